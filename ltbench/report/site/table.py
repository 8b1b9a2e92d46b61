"""The rows of a leaderboard as one table of the site, whose figures are the texts of the Markdown page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ltbench.metrics.judged import TOTAL
from ltbench.records.judge import ZSL
from ltbench.report.board import Board, equals_title, human, labels_of, origin_text
from ltbench.report.cells import Cell, score_cell
from ltbench.report.corrected import corrected_table
from ltbench.report.row_notes import row_notes
from ltbench.report.rows import Row, Score, shown_metrics, shown_subsets, telling_subsets

#: What a cell says that has nothing to say.
EMPTY = Cell("–")


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: heading, as on the Markdown page.
        numeric: aligned right, sorted by number, highest first.
        shown: without anybody's asking.
        about: what it holds, where the heading does not say.
    """

    title: str
    numeric: bool = True
    shown: bool = True
    about: str = ""


@dataclass(frozen=True)
class Part:
    """Rows that may be looked at together: a section, or the rows that are not ranked.

    Attributes:
        name: short, for a list to choose from.
        title: what its rows share.
        ranked: its rows have ranks.
    """

    name: str
    title: str
    ranked: bool


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        part: place of its part.
        rank: ``None`` where it is not ranked.
        label: as on the Markdown page.
        cells: one a column.
        notes: what method and encoder say of the row.
    """

    row: Row
    part: int
    rank: int | None
    label: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SiteTable:
    """The rows of a board, section by section, those that are not ranked last."""

    parts: tuple[Part, ...]
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]

    def column(self, title: str) -> int:
        """Place of a column.

        Raises:
            ValueError: there is none.
        """
        return [column.title for column in self.columns].index(title)


#: Makes the cell of a row.
_Make = Callable[[Row], Cell]


def site_table(board: Board) -> SiteTable:
    """The table of a board; columns that say nothing of any row are left out."""
    groups: list[tuple[Part, list[tuple[Row, int | None]]]] = [
        (
            Part(_name(section.ranked[0].row), equals_title(section.equals), True),
            [(ranked.row, ranked.rank) for ranked in section.ranked],
        )
        for section in board.sections
    ]
    if board.unranked:
        groups.append((Part("not ranked", "shown, not ranked", False), [(row, None) for row in board.unranked]))
    _tell_apart(groups)
    rows = [row for _, members in groups for row, _ in members]
    made = [(column, [make(row) for row in rows]) for column, make in _columns(board, rows)]
    made += _corrected(rows)
    made = [(column, cells) for column, cells in made if any(cell.text not in ("", EMPTY.text) for cell in cells)]
    entries, place = [], 0
    for number, (_, members) in enumerate(groups):
        labels = labels_of([row for row, _ in members])
        for (row, rank), label in zip(members, labels, strict=True):
            notes = tuple(note.removeprefix(f"{label}: ") for note in row_notes([row], [label]))
            entries.append(Entry(row, number, rank, label, tuple(cells[place] for _, cells in made), notes))
            place += 1
    return SiteTable(tuple(part for part, _ in groups), tuple(column for column, _ in made), tuple(entries))


def _name(row: Row) -> str:
    task = row.first.task
    return " +".join([f"{task.address}: {row.equals.made_with[0]}", *row.equals.made_with[1:]])


def _tell_apart(groups: list[tuple[Part, list[tuple[Row, int | None]]]]) -> None:
    """Sections may differ in no more than a hash; the second of a name gets a number."""
    seen: dict[str, int] = {}
    for place, (part, members) in enumerate(groups):
        seen[part.name] = number = seen.get(part.name, 0) + 1
        if number > 1:
            groups[place] = (Part(f"{part.name} ({number})", part.title, part.ranked), members)


def _columns(board: Board, rows: Sequence[Row]) -> Iterator[tuple[Column, _Make]]:
    # What the rows of a section share stands above them.
    yield Column("setting", numeric=False, shown=False), lambda row: Cell(row.equals.setting or "")
    yield Column("backbone", numeric=False, shown=False), lambda row: Cell(" +".join(row.equals.made_with))
    metrics = shown_metrics(rows)
    telling = _telling(board, rows)
    for subset in shown_subsets(rows, board.headline):
        about = f"{board.headline} over {'all classes' if subset == TOTAL else f'the group {subset}'}, percent"
        shown = subset in telling and not subset.endswith("_fixed")
        yield Column(subset, shown=shown, about=about), _score(board.headline, subset)
    yield Column("n", about="seeds"), lambda row: Cell(str(len(row.records)), len(row.records))
    yield from _costs()
    yield (
        Column("oracle", shown=False, about="best epoch on the test part; never ranked"),
        lambda row: score_cell(Score(row.oracle())),
    )
    for metric in metrics[1:]:
        subsets = shown_subsets(rows, metric)
        for subset in subsets if ZSL in subsets else [TOTAL]:
            title = metric if subset == TOTAL else f"{metric} {subset}"
            yield Column(title, shown=False, about="percent"), _score(metric, subset)
    texts: tuple[tuple[str, _Make], ...] = (
        ("origin", lambda row: Cell(origin_text(row))),
        ("preset", lambda row: Cell(row.first.method.preset or "–")),
        ("config", lambda row: Cell(row.config_id)),
        ("version", lambda row: Cell(f"{row.first.method.distribution} {row.first.method.version}")),
        ("epoch", lambda row: Cell(row.first.selection.rule)),
        ("seeds", lambda row: Cell(", ".join(str(seed) for seed in row.seeds))),
        ("device", lambda row: Cell(", ".join(sorted({record.cost.device for record in row.records})))),
    )
    for title, make in texts:
        yield Column(title, numeric=False, shown=False), make
    yield Column("why it is not ranked", numeric=False), lambda row: Cell("; ".join(row.why_not))


def _telling(board: Board, rows: Sequence[Row]) -> set[str]:
    """Groups that some section tells of."""
    groups = [[ranked.row for ranked in section.ranked] for section in board.sections] or [list(rows)]
    return {subset for members in groups for subset in telling_subsets(members, board.headline)}


def _score(metric: str, subset: str) -> _Make:
    return lambda row: score_cell(row.score(metric, subset))


def _costs() -> Iterator[tuple[Column, _Make]]:
    """Parameters and seconds as on the Markdown page, and what there is no room for on it."""

    def number(field: str, text: Callable[[float], str]) -> _Make:
        def make(row: Row) -> Cell:
            value = row.mean_cost(field)
            return EMPTY if value is None else Cell(text(value), value)

        return make

    yield Column("params", about="trainable parameters"), number("trainable_parameters", human)
    yield Column("train s", about="seconds of training"), number("train_seconds", lambda value: f"{value:.1f}")
    yield Column("encode s", shown=False), number("encode_seconds", lambda value: f"{value:.1f}")
    yield Column("evaluate s", shown=False), number("evaluate_seconds", lambda value: f"{value:.1f}")
    yield Column("peak memory", shown=False, about="bytes"), number("peak_memory_bytes", human)
    yield Column("all params", shown=False, about="parameters, frozen ones too"), number("total_parameters", human)


def _corrected(rows: Sequence[Row]) -> list[tuple[Column, list[Cell]]]:
    """What recipes that rewrite training labels recovered; the rest of the rows has dashes."""
    places = [(Cell(str(place), place), Cell("")) for place in range(len(rows))]
    table = corrected_table(rows, places)
    if table is None:
        return []
    found = {line[0].value: line[2:] for line in table.rows}
    return [
        (Column(title, shown=False), [found[place][number] if place in found else EMPTY for place in range(len(rows))])
        for number, title in enumerate(table.columns[2:])
    ]
