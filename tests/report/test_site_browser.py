"""The site in a headless browser; skipped where there is none. ``tox -e site`` brings what is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ltbench.report.site.write import write_site
from report.browsing import Watched, chromium
from report.sites import toy_content

#: Of columns that are shown, in the order of the rows that are seen.
CELLS = """title => {
  const heads = [...document.querySelectorAll('.grid .tabulator-col')];
  const head = heads.find(one => one.querySelector('.heading').textContent === title);
  const cells = `.grid .tabulator-cell[tabulator-field="${head.getAttribute('tabulator-field')}"]`;
  return [...document.querySelectorAll(cells)].map(cell => cell.textContent);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("web") / "site"
    write_site(target, toy_content(tmp_path_factory.mktemp("runs")), "0.1.0")
    return target


@pytest.fixture
def tab(browser: Any, site: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A task's page; no test ends with a complaint or with something asked of another host."""
    wanted = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **wanted})
    # Many processes may share the cores.
    context.set_default_timeout(120_000)
    watched = Watched(context.new_page())
    watched.page.goto((site / "tasks" / "toy-plt-v1.html").as_uri())
    watched.page.wait_for_selector(".grid.ready")
    yield watched
    assert watched.said == []
    assert watched.asked == []
    context.close()


def cells(tab: Watched, title: str) -> list[str]:
    found: list[str] = tab.page.evaluate(CELLS, title)
    return found


def choose(tab: Watched, section: str) -> None:
    tab.page.select_option(".part", label=section)


def heading(tab: Watched, title: str) -> Any:
    return tab.page.locator(".grid .heading", has_text=title).first


def test_sorting_by_keyboard_and_back(tab: Watched) -> None:
    choose(tab, "toy-plt@mr0: tiny-clip")
    before = cells(tab, "method")
    assert before[:2] == ["lmpt", "coop"]
    heading(tab, "tail").focus()
    tab.page.keyboard.press("Enter")
    down = [float(text.split()[0]) for text in cells(tab, "tail")]
    assert down == sorted(down, reverse=True)
    tab.page.keyboard.press("Enter")
    up = [float(text.split()[0]) for text in cells(tab, "tail")]
    assert up == sorted(up)
    assert up != down
    sorted_by = tab.page.locator('.grid .tabulator-col[aria-sort="ascending"] .heading')
    assert sorted_by.all_text_contents() == ["tail"]
    tab.page.keyboard.press("Enter")
    assert cells(tab, "method") == before


def test_search_sections_and_filters_narrow_the_rows(tab: Watched) -> None:
    count = tab.page.locator(".count")
    assert count.text_content() == "10 rows"
    tab.page.fill(".search", "hspnet mr50")
    assert cells(tab, "method") == ["hspnet"]
    assert count.text_content() == "1 of 10 rows"
    tab.page.fill(".search", "nothing like this")
    assert "no row fits" in tab.page.locator(".grid").inner_text()
    tab.page.fill(".search", "")
    tab.page.check(".ranked")
    assert "linear-probe" not in cells(tab, "method")
    tab.page.check(".filters")
    box = tab.page.locator('.tabulator-col:has(.heading:text-is("total")) input')
    box.press_sequentially("> 71")
    tab.page.wait_for_selector('.count:text-is("3 of 10 rows")')
    assert set(cells(tab, "method")) == {"lmpt", "coop"}
    box.press("Control+a")
    box.press_sequentially("60 .. 61")
    tab.page.wait_for_selector('.count:text-is("2 of 10 rows")')
    tab.page.uncheck(".filters")
    tab.page.wait_for_selector('.count:text-is("9 of 10 rows")')


def test_columns_are_chosen(tab: Watched) -> None:
    assert not heading(tab, "origin").is_visible()
    tab.page.click(".columns summary")
    tab.page.get_by_label("origin").check()
    tab.page.get_by_label("head", exact=True).uncheck()
    assert heading(tab, "origin").is_visible()
    assert "default (not tuned)" in cells(tab, "origin")
    assert not tab.page.locator('.heading:text-is("head")').is_visible()


def test_a_row_that_is_not_ranked_looks_different_and_says_why(tab: Watched) -> None:
    choose(tab, "not ranked")
    assert cells(tab, "#") == ["–"]
    assert cells(tab, "why it is not ranked") == ["limited to 10 rows"]
    style = "selector => getComputedStyle(document.querySelector(selector)).fontStyle"
    assert tab.page.evaluate(style, ".tabulator-row.unranked .tabulator-cell") == "italic"
    choose(tab, "toy-plt@mr0: tiny-clip")
    assert tab.page.evaluate(style, ".tabulator-row:not(.unranked) .tabulator-cell") == "normal"


def test_a_row_opens_by_keyboard_with_its_records(tab: Watched, site: Path) -> None:
    tab.page.locator(".name", has_text="coop").first.focus()
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("dialog[open]")
    links = tab.page.locator("dialog a", has_text="record").evaluate_all("all => all.map(one => one.href)")
    assert len(links) == 3
    assert all(link.startswith((site / "records").as_uri()) for link in links)
    assert tab.page.locator("dialog a", has_text="card of the method").count() == 1
    assert "71.25" in tab.page.locator("dialog").inner_text()
    tab.page.keyboard.press("Escape")
    assert not tab.page.locator("dialog").is_visible()


def test_hostile_texts_are_shown_as_they_are(tab: Watched) -> None:
    name = tab.page.locator(".name", has_text="onerror").first
    assert name.inner_text().startswith('"><img src=x onerror="alert(1)">&amp; {{ 7*7 }}')
    name.click()
    tab.page.wait_for_selector("dialog[open]")
    assert tab.page.locator("img").count() == 0


def test_classes_have_bars_by_group_with_seeds_as_dots(tab: Watched) -> None:
    tab.page.wait_for_selector(".by-class td.bar")
    shown = tab.page.locator(".by-class thead th").all_inner_texts()
    assert [text.split()[0] for text in shown] == ["class", "labels", "lmpt", "coop", '"><img']
    assert tab.page.locator(".by-class tr.group").count() == 1
    first = tab.page.locator(".by-class tbody tr").nth(1)
    # Two seeds and three, of the two best rows.
    assert first.locator("td.bar").nth(0).locator(".dot").count() == 2
    assert first.locator("td.bar").nth(1).locator(".dot").count() == 3
    tab.page.locator(".row-name", has_text="lmpt").first.locator("input").uncheck()
    tab.page.wait_for_selector(".by-class thead th:nth-child(5)", state="detached")


def test_pictures_of_a_section_come_when_it_opens(tab: Watched) -> None:
    tab.page.wait_for_selector("details[data-part][open] .pictures svg")
    closed = tab.page.locator("details[data-part]:not([open])").first
    assert closed.locator("svg").count() == 0
    closed.locator("summary").first.click()
    tab.page.wait_for_selector("details[data-part][open] >> nth=1 >> .pictures svg")
    # Of each row with its seeds; the curves lie in the page.
    assert tab.page.locator("details[open] .pictures circle.seed").count() > 4


@pytest.mark.parametrize("tab", [{"color_scheme": "dark"}], indirect=True)
def test_dark_follows_the_system_until_one_is_chosen(tab: Watched) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    cell = "getComputedStyle(document.querySelector('.tabulator-row:not(.tabulator-group)')).backgroundColor"
    assert tab.page.evaluate(paper) == tab.page.evaluate(cell) == "rgb(20, 23, 27)"
    tab.page.click("#theme")
    assert tab.page.evaluate(paper) == tab.page.evaluate(cell) == "rgb(255, 255, 255)"
    tab.page.reload()
    tab.page.wait_for_selector(".grid.ready")
    assert tab.page.evaluate(paper) == "rgb(255, 255, 255)"
    assert tab.page.locator("#theme").inner_text() == "Dark"


@pytest.mark.parametrize("tab", [{"viewport": {"width": 390, "height": 844}}], indirect=True)
def test_a_narrow_screen_scrolls_the_table_and_not_the_page(tab: Watched, site: Path) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.page.evaluate(wide) == 0
    first, second = (tab.page.locator(f".tabulator-row .tabulator-cell >> nth={place}") for place in (0, 1))
    before = first.bounding_box(), second.bounding_box()
    tab.page.evaluate("document.querySelector('.tabulator-tableholder').scrollLeft = 60")
    tab.page.wait_for_timeout(100)
    assert first.bounding_box()["x"] == before[0]["x"]
    assert second.bounding_box()["x"] < before[1]["x"] - 50
    for name in ("index.html", "cards/coop.html", "papers/lmpt.html"):
        tab.page.goto((site / name).as_uri())
        assert tab.page.evaluate(wide) == 0, name
