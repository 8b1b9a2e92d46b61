"""What was measured beside what was printed: mean over seeds, its interval, the difference, and what differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ltbench.method.extras import OF_VALIDATION
from ltbench.metrics.bootstrap import seed_interval
from ltbench.records.record import RunRecord
from ltbench.report.papers.book import Line, PaperTable
from ltbench.report.papers.points import with_points
from ltbench.report.papers.runs import NO_VALIDATION, PlannedRun, addresses_of, parts_of, runs_of
from ltbench.report.papers.shelf import Shelf
from ltbench.report.published import PARAMETERS, Published
from ltbench.report.rows import Row


@dataclass(frozen=True)
class Compared:
    """One printed figure and what was measured for it.

    Attributes:
        mean: over seeds, in the figure's unit; None where it was not measured.
        half: half width of the 95 % t interval over seeds; None for one seed and where the seed changes nothing.
    """

    figure: Published
    mean: float | None = None
    half: float | None = None
    seeds: tuple[int, ...] = ()

    @property
    def difference(self) -> float | None:
        """Measured minus printed; None where one of them is missing, or what is printed is a bound."""
        if self.mean is None or not self.figure.value or self.figure.note == "at least":
            return None
        return self.mean - self.figure.number

    @property
    def outside(self) -> bool:
        """Whether the printed figure lies outside of the interval over seeds; never without one."""
        return self.half is not None and self.difference is not None and abs(self.difference) > self.half


@dataclass(frozen=True)
class ComparedLine:
    """A row of a table.

    Attributes:
        runs: by task setting, the run or why there is none.
        differs: one word → what differs between printed and measured.
    """

    line: Line
    cells: tuple[Compared, ...]
    runs: Mapping[str, PlannedRun | str]
    differs: Mapping[str, str]

    @property
    def not_run(self) -> dict[str, tuple[str, ...]]:
        """Why some of it cannot be run, and on which task settings."""
        found: dict[str, tuple[str, ...]] = {}
        for address, run in self.runs.items():
            if isinstance(run, str):
                found[run] = (*found.get(run, ()), address)
        return found

    @property
    def runnable(self) -> bool:
        """Whether any of it can be run."""
        return any(isinstance(run, PlannedRun) for run in self.runs.values())


@dataclass(frozen=True)
class ComparedTable:
    """A table or curve with what was measured."""

    table: PaperTable
    lines: tuple[ComparedLine, ...]

    @property
    def measured(self) -> int:
        """Figures that were measured."""
        return sum(cell.mean is not None for line in self.lines for cell in line.cells)


def compare(table: PaperTable, shelf: Shelf) -> ComparedTable:
    """Lay records beside a printed table."""
    table = with_points(table)
    return ComparedTable(table, tuple(_line(line, shelf) for line in table.lines))


def _line(line: Line, shelf: Shelf) -> ComparedLine:
    runs = runs_of(line)
    rows = {address: shelf.row(run) for address, run in runs.items() if isinstance(run, PlannedRun)}
    found = {address: row for address, row in rows.items() if row is not None}
    cells = tuple(_cell(figure, line, found) for figure in line.printed)
    return ComparedLine(line, cells, runs, _differs(line, runs, found))


def _cell(figure: Published, line: Line, rows: Mapping[str, Row]) -> Compared:
    if figure.metric == PARAMETERS:
        known = [rows[address] for address in addresses_of(figure) if address in rows]
        counts = {record.cost.trainable_parameters for row in known for record in row.records}
        # Numbers that differ between settings are none of the method's.
        return Compared(figure, counts.pop() / 1e6, seeds=known[0].seeds) if len(counts) == 1 else Compared(figure)
    by_seed: list[dict[int, float]] = []
    for address, metric, subset in parts_of(figure, line.recipe):
        if address not in rows:
            return Compared(figure)
        scores = {record.seed: _score(record, metric, subset) for record in rows[address].records}
        by_seed.append({seed: score for seed, score in scores.items() if score is not None})
    seeds = sorted(set.intersection(*(set(scores) for scores in by_seed))) if by_seed else []
    if not seeds:
        return Compared(figure)
    values = [sum(scores[seed] for scores in by_seed) / len(by_seed) for seed in seeds]
    fixed = all(row.first.method.deterministic for row in rows.values())
    interval = None if fixed else seed_interval(values)
    return Compared(figure, sum(values) / len(values), interval[1] if interval else None, tuple(seeds))


def _score(record: RunRecord, metric: str, subset: str) -> float | None:
    return record.scores.get(metric, {}).get(subset)


def _differs(line: Line, runs: Mapping[str, PlannedRun | str], rows: Mapping[str, Row]) -> dict[str, str]:
    """What is known to differ: as the paper's file says, then what the runs and their records show."""
    planned = [run for run in runs.values() if isinstance(run, PlannedRun)]
    if not planned:
        return {}
    # What is true of the table, and not of this row, is empty here.
    found = {word: text for word, text in line.differs.items() if text}
    if line.recipe.selection == "validation":
        found = {**_selection(found.pop("selection", "here the last epoch counts"), planned), **found}
    for printed, ours in line.recipe.metrics.items():
        if any(figure.metric == printed for figure in line.printed):
            found.setdefault("metric", f"{printed} as the paper computes it is {ours} here")
    if any(run.variant == "code" for run in planned):
        found.setdefault("variant", "formulas of the released code where they are not those printed")
    origins = sorted({run.origin for run in planned if run.preset != "none" and not run.origin.startswith("published")})
    if origins:
        found.setdefault("settings", f"not printed for this row; the preset's origin is {', '.join(origins)}")
    return found | _of_records(rows, {run.address for run in planned if run.selection == "validation"})


def _selection(text: str, planned: Sequence[PlannedRun]) -> dict[str, str]:
    """What differs of a row whose protocol chooses the epoch on validation rows: nothing where the task has them."""
    lacking = [run.address for run in planned if run.lacks]
    return {"selection": f"on {', '.join(lacking)} {NO_VALIDATION}; {text}"} if lacking else {}


def _of_records(rows: Mapping[str, Row], chosen: Collection[str]) -> dict[str, str]:
    """What differs of the records; ``chosen``: task settings whose printed rows used validation rows as well."""
    records = [record for row in rows.values() for record in row.records]
    found = {}
    if any(record.backbone.weights == "random" for record in records):
        found["weights"] = "measured with random weights: what is here tries the path and is no result"
    if limits := sorted({record.limit for record in records if record.limit is not None}):
        found["rows"] = f"measured on no more than {max(limits):,} training rows"
    if types := sorted({record.backbone.dtype for record in records} - {"float32"}):
        found["arithmetic"] = f"features are of {', '.join(types)}"
    extras = {extra for record in records for extra in record.extras if not _is_asked(extra, record, chosen)}
    if extras:
        found["extras"] = f"measured with {', '.join(sorted(extras))}"
    if any(record.task.unpinned for record in records):
        found["pins"] = "the task cannot pin all that it is made of, see its card"
    if any(len(row.records) == 1 and not row.first.method.deterministic for row in rows.values()):
        found["seeds"] = "one seed: no interval, so that no difference is marked"
    return found


def _is_asked(extra: str, record: RunRecord, chosen: Collection[str]) -> bool:
    return extra in OF_VALIDATION and record.task.address in chosen
