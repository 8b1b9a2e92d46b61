"""How long a reader waits for a site of 10,000 records, and its author for writing it.

Run with ``pytest tests/benchmarks/test_site_size.py --benchmark-only``; the browser's part skips without Playwright and
Chromium. Two spreads, both of records of the true format:

* several tasks: the committed leaderboards, ten tasks with 1 to 9 settings, each recipe under 3 names, and 12 seeds for
  3 (10,000 records, about 800 rows);
* one task: 9 settings, 5 encoders, 31 recipes under 3 names, 3 seeds (12,285 records, 4,095 rows in 90 sections).

First paint is the *first contentful paint* of the browser's own clock, which begins when the address is opened. The
load of the machine is noted beside it: other processes on its cores make it longer.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from records.many import one_board, true_records, write_runs
from report.browsing import Watched, chromium

from ltbench.records.read import LoadedRecord
from ltbench.records.record import RunRecord
from ltbench.report.board import build_board
from ltbench.report.site.write import Content, WrittenSite, write_site

pytestmark = pytest.mark.benchmark(group="site")

PAINTED = """() => new Promise(done => new PerformanceObserver(list => {
    const found = list.getEntries().find(one => one.name === 'first-contentful-paint');
    if (found) done(found.startTime);
  }).observe({ type: 'paint', buffered: true }))"""


@pytest.fixture(scope="module", params=["several tasks", "one task"])
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Content:
    records = list(one_board() if request.param == "one task" else true_records(10_000))
    paths = write_runs(iter(records), tmp_path_factory.mktemp("many") / "runs")
    by_task: dict[tuple[str, int], list[RunRecord]] = {}
    for record in records:
        by_task.setdefault((record.task.name, record.task.version), []).append(record)
    boards = [build_board(own, *task) for task, own in sorted(by_task.items())]
    return Content(boards, [LoadedRecord(*one) for one in zip(paths, records, strict=True)], [])


@pytest.fixture(scope="module")
def site(content: Content, tmp_path_factory: pytest.TempPathFactory) -> WrittenSite:
    return write_site(tmp_path_factory.mktemp("web") / "site", content, "0.1.0")


def test_writing(benchmark: BenchmarkFixture, content: Content, tmp_path: Path) -> None:
    assert len(content.records) >= 10_000
    done = benchmark.pedantic(write_site, (tmp_path / "site", content, "0.1.0"), rounds=1)
    benchmark.extra_info.update(files=done.files, size=done.size, rows=[page.rows for page in done.pages])


def test_first_paint(benchmark: BenchmarkFixture, site: WrittenSite) -> None:
    """Of every page under a second, and the rows to be seen not much later."""
    pages = [site.index, *sorted(site.folder.glob("*/*.html"))]
    seen: dict[str, dict[str, float]] = {}
    with chromium() as browser:

        def look(page: Path) -> dict[str, float]:
            # A context of its own has nothing cached.
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(120_000)
            watched = Watched(context.new_page())
            watched.page.goto(page.as_uri(), wait_until="commit")
            found = {"first_paint_ms": float(watched.page.evaluate(PAINTED)), "bytes": page.stat().st_size}
            watched.page.wait_for_load_state("load")
            if watched.page.locator(".grid").count():
                watched.page.wait_for_selector(".grid.ready")
                found["table_ms"] = float(watched.page.evaluate("performance.now()"))
            assert watched.said == []
            context.close()
            return {**found, "load": os.getloadavg()[0]}

        def look_at_all() -> None:
            seen.update({page.relative_to(site.folder).as_posix(): look(page) for page in pages})

        look(pages[0])  # The browser's own start is not the page's.
        benchmark.pedantic(look_at_all, rounds=1)
    for name, found in seen.items():
        print(name, {key: round(value, 1) for key, value in found.items()})
    benchmark.extra_info.update(seen)
    assert sum(name.startswith("tasks/") for name in seen) == len(site.pages)
    assert {name: found for name, found in seen.items() if found["first_paint_ms"] >= 1000} == {}
    assert {name: found for name, found in seen.items() if found.get("table_ms", 0) >= 10_000} == {}
