"""Writing a site: everything into a new folder, which then takes the place of the old one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ltbench.records.read import LoadedRecord
from ltbench.records.record import RunRecord
from ltbench.report.board import Board
from ltbench.report.matrix import Matrix
from ltbench.report.published import PAPERS
from ltbench.report.site.cards import cards_of
from ltbench.report.site.names import page_name, record_file
from ltbench.report.site.pages import Page, card_page, index_page, paper_page, task_page
from ltbench.report.site.place import replaced
from ltbench.report.site.table import SiteTable, site_table

ASSETS = (
    "tabulator.min.js",
    "tabulator_simple.min.css",
    "tabulator.LICENSE.txt",
    "site.css",
    "site.js",
    "theme.js",
)


@dataclass(frozen=True)
class Content:
    """What a site is made of.

    Attributes:
        boards: one a task and version.
        records: of these tasks, and where they lie.
        matrices: recipes by tasks, one for each kind of images of which any task is installed.
        missing: tasks and recipes with records that the matrices lack.
        left_out: files that could not be read.
    """

    boards: Sequence[Board]
    records: Sequence[LoadedRecord]
    matrices: Sequence[Matrix]
    missing: Sequence[str] = ()
    left_out: int = 0


@dataclass(frozen=True)
class WrittenPage:
    """The page of a task, relative to the site."""

    task: str
    version: int
    page: str
    rows: int
    unranked: int
    failed: int
    records: int


@dataclass(frozen=True)
class WrittenSite:
    """What was written; ``size`` is in bytes."""

    folder: Path
    pages: tuple[WrittenPage, ...]
    cards: int
    files: int
    size: int

    @property
    def index(self) -> Path:
        """The first page."""
        return self.folder / "index.html"


def write_site(target: Path, content: Content, version: str) -> WrittenSite:
    """Write the site; the same content gives the same bytes.

    Args:
        target: an empty folder, a site of ours (which is replaced as a whole), or nothing yet.
        version: of ltbench.

    Raises:
        UserError: the folder holds something else, or cannot be written; what was there before is intact.
    """
    cards = cards_of(entry.record for entry in content.records)
    counts = Counter((entry.record.task.name, entry.record.task.version) for entry in content.records)
    tables = [site_table(board) for board in content.boards]
    listed = [
        (board, table, counts[board.task, board.version]) for board, table in zip(content.boards, tables, strict=True)
    ]
    with replaced(target, version) as folder:
        for name in ("tasks", "cards", "papers", "records", "assets"):
            (folder / name).mkdir()
        for board, table, _ in listed:
            _write_page(folder / "tasks", task_page(board, table, cards))
        for card in cards.values():
            _write(folder / "cards" / f"{card.name}.html", card_page(card))
        for paper in PAPERS:
            _write(folder / "papers" / f"{paper}.html", paper_page(paper))
        index = index_page(listed, content.matrices, cards, content.missing, content.left_out, version)
        _write_page(folder, index)
        _copy_records(folder, content, tables)
        for name in ASSETS:
            source = resources.files("ltbench.report.site") / "assets" / name
            (folder / "assets" / name).write_bytes(source.read_bytes())
    files = [path for path in target.rglob("*") if path.is_file()]
    pages = tuple(_page(*one) for one in listed)
    return WrittenSite(target, pages, len(cards), len(files), sum(path.stat().st_size for path in files))


def _page(board: Board, table: SiteTable, records: int) -> WrittenPage:
    unranked = len(board.unranked)
    return WrittenPage(
        task=board.task,
        version=board.version,
        page=f"tasks/{page_name(board.task, board.version)}.html",
        rows=len(table.entries) - unranked,
        unranked=unranked,
        failed=len(board.failed),
        records=records,
    )


def _write_page(folder: Path, page: Page) -> None:
    _write(folder / f"{page.name}.html", page.html)
    for name, text in page.scripts.items():
        _write(folder / name, text)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _copy_records(folder: Path, content: Content, tables: Sequence[SiteTable]) -> None:
    """The records that pages link to, byte for byte as they were written."""
    places = {entry.record.record_sha256: entry.path for entry in content.records}
    for record in _linked(content.boards, tables):
        shutil.copyfile(places[record.record_sha256], folder / record_file(record))


def _linked(boards: Sequence[Board], tables: Sequence[SiteTable]) -> list[RunRecord]:
    rows = [record for table in tables for entry in table.entries for record in entry.row.records]
    return [*rows, *(record for board in boards for record in board.failed)]


def by_address(records: Sequence[LoadedRecord]) -> Mapping[str, list[RunRecord]]:
    """Address of a task setting → its records, in the order of the addresses."""
    found: dict[str, list[RunRecord]] = {}
    for entry in records:
        found.setdefault(entry.record.task.address, []).append(entry.record)
    return dict(sorted(found.items()))
