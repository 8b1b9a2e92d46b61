"""How long a reader waits for the site of 10,000 records, and its author for writing it.

Run with ``pytest tests/benchmarks/test_site_size.py --benchmark-only``; the browser's part skips without Playwright and
Chromium.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from records import builders as b
from report.browsing import Watched, chromium
from report.sites import on_disk

from ltbench.report.board import build_board
from ltbench.report.site.write import Content, write_site

pytestmark = pytest.mark.benchmark(group="site")

TASKS, SETTINGS, RECIPES, SEEDS = 5, 8, 84, 3
PAINTED = """() => new Promise(done => new PerformanceObserver(list => done(list.getEntries().at(-1).startTime))
  .observe({ type: 'paint', buffered: true }))"""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Content:
    """5 tasks with 8 settings, 84 recipes on each and 3 seeds: 10,080 records."""
    records = []
    for number, setting in product(range(TASKS), range(SETTINGS)):
        task = b.task_facts(b.task(name=f"toy-{number}", setting=f"p{setting}0"))
        for recipe, seed in product(range(RECIPES), range(SEEDS)):
            score = 40 + recipe / 3 + seed / 10 + setting
            records.append(b.record(task=task, method=b.method_facts(name=f"recipe-{recipe}"), seed=seed, mAP=score))
    boards = [build_board(records, f"toy-{number}", 1) for number in range(TASKS)]
    return Content(boards, on_disk(records, tmp_path_factory.mktemp("runs")), [])


@pytest.fixture(scope="module")
def site(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("web") / "site", content, "0.1.0").folder


def test_writing(benchmark: BenchmarkFixture, content: Content, tmp_path: Path) -> None:
    assert len(content.records) == TASKS * SETTINGS * RECIPES * SEEDS
    done = benchmark.pedantic(write_site, (tmp_path / "site", content, "0.1.0"), rounds=1)
    benchmark.extra_info.update(files=done.files, size=done.size)


@pytest.mark.parametrize("name", ["index.html", "tasks/toy-0-v1.html"])
def test_first_paint(benchmark: BenchmarkFixture, site: Path, name: str) -> None:
    """First paint under a second, and rows to be seen not much later."""
    with chromium() as browser:
        watched = Watched(browser.new_page())

        def look() -> float:
            watched.page.goto((site / name).as_uri(), wait_until="commit")
            painted = float(watched.page.evaluate(PAINTED))
            watched.page.wait_for_selector("table, .grid.ready")
            return painted

        painted = benchmark.pedantic(look, rounds=3)
        benchmark.extra_info.update(first_paint_ms=painted, page_bytes=(site / name).stat().st_size)
        assert painted < 1000
        assert watched.said == []
