"""A leaderboard of one task version as plain tables of text and numbers, which every format then renders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ltbench.metrics.judged import TOTAL
from ltbench.records.judge import ZSL
from ltbench.records.record import RunRecord
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.corrected import NOTE, corrected_table
from ltbench.report.curves import curve_tables
from ltbench.report.named import named
from ltbench.report.pairs import Comparisons
from ltbench.report.published import papers_on
from ltbench.report.ranks import Compared, Ranked, compare_rows
from ltbench.report.row_notes import row_notes
from ltbench.report.rows import Equals, Row, Score, failures, make_rows, shown_metrics, shown_subsets, telling_subsets
from ltbench.report.undecided import pair_notes
from ltbench.report.verdict import in_short, twin_notes, verdict

#: Compares the rows of each section.
Compare = Callable[[Sequence[Sequence[Row]]], Comparisons]


@dataclass(frozen=True)
class Section:
    """Rows that were ranked against each other.

    Attributes:
        compared: all pairs of the rows.
        tables: the first has the headline metric by group, and cost.
        notes: sentences without which the first table misleads.
        remarks: other sentences below the tables.
        verdict: what the comparisons say, in a sentence; empty where no row has a figure.
        short: as much of it as fits a line.
    """

    equals: Equals
    compared: Compared
    ranked: tuple[Ranked, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    verdict: str = ""
    short: str = ""


@dataclass(frozen=True)
class Board:
    """A leaderboard.

    Attributes:
        sections: one per setting and class of equals.
        unranked: rows that are shown, never ranked.
        failed: attempts that did not complete.
        overview: recipes over all settings of the task.
        extra: tables for ``unranked`` and ``failed``.
        printed: papers that printed figures on this task, see :mod:`ltbench.report.published`.
    """

    task: str
    version: int
    headline: str
    sections: tuple[Section, ...]
    unranked: tuple[Row, ...] = ()
    failed: tuple[RunRecord, ...] = ()
    extra: tuple[Table, ...] = ()
    printed: tuple[str, ...] = ()
    overview: tuple[Table, ...] = ()

    @property
    def settings(self) -> list[str | None]:
        """Settings that have sections, in order."""
        return list(dict.fromkeys(section.equals.setting for section in self.sections))


def build_board(
    records: Iterable[RunRecord], task: str, version: int, comparisons: Comparisons | Compare | None = None
) -> Board:
    """Build the leaderboard of one task version; records of other tasks and versions are passed over.

    Args:
        comparisons: of its rows; or what makes them of its sections, once these are known.
    """
    own = [record for record in records if (record.task.name, record.task.version) == (task, version)]
    rows = make_rows(own)
    ranked = [row for row in rows if not row.why_not]
    grouped = _by_equals(ranked)
    if comparisons is None:
        known = Comparisons()
    else:
        known = comparisons if isinstance(comparisons, Comparisons) else comparisons(grouped)
    sections = tuple(_section(members[0].equals, members, known) for members in grouped)
    unranked = tuple(row for row in rows if row.why_not)
    failed = tuple(failures(own))
    extra = (*_unranked_tables(unranked), *_failed_tables(failed))
    headline = rows[0].first.task.headline if rows else (failed[0].task.headline if failed else "mAP")
    overview = tuple(curve_tables(task, ranked))
    return Board(task, version, headline, sections, unranked, failed, extra, papers_on(task), overview)


def ranked_sections(records: Iterable[RunRecord], task: str, version: int) -> list[list[Row]]:
    """The rows of each section of a leaderboard, in order, before they are compared."""
    own = [record for record in records if (record.task.name, record.task.version) == (task, version)]
    return _by_equals([row for row in make_rows(own) if not row.why_not])


def _by_equals(rows: Iterable[Row]) -> list[list[Row]]:
    return [list(members) for _, members in groupby(rows, key=lambda row: row.equals)]


def _section(equals: Equals, rows: list[Row], comparisons: Comparisons) -> Section:
    compared = compare_rows(rows, comparisons)
    ranked = compared.ranked()
    labels = labels_of(rows)
    lead = [(Cell(str(r.rank), r.rank), Cell(label)) for r, label in zip(ranked, labels, strict=True)]
    tables = []
    metrics = shown_metrics(rows)
    apart = [metric for metric in metrics[1:] if ZSL in shown_subsets(rows, metric)]
    for number, metric in enumerate([*metrics[:1], *apart]):
        subsets = telling_subsets(rows, metric)
        columns: list[str] = [*subsets]
        body = [[score_cell(row.score(metric, subset)) for subset in subsets] for row in rows]
        if number == 0:
            oracle = any(row.oracle() is not None for row in rows)
            columns += ["n", "params", "train s", *(["oracle"] if oracle else [])]
            for cells, row in zip(body, rows, strict=True):
                cells += _cost_cells(row, oracle)
        numeric = (True, False, *(True for _ in columns))
        filled = tuple((*head, *cells) for head, cells in zip(lead, body, strict=True))
        tables.append(Table(metric, ("#", "method", *columns), numeric, filled))
    others = [metric for metric in metrics[1:] if metric not in apart]
    if others:
        totals = [[score_cell(row.score(metric, TOTAL)) for metric in others] for row in rows]
        filled = tuple((*head, *cells) for head, cells in zip(lead, totals, strict=True))
        numeric = (True, False, *(True for _ in others))
        tables.append(Table("Other metrics, over all classes", ("#", "method", *others), numeric, filled))
    corrected = corrected_table(rows, lead)
    tables += [_origins(rows, lead)] if corrected is None else [corrected, _origins(rows, lead)]
    notes = (*row_notes(rows, labels), *twin_notes(rows, labels))
    remarks = (*pair_notes(compared, labels), *_notes(rows, labels), *([] if corrected is None else [NOTE]))
    said = verdict(compared, labels), in_short(compared, labels)
    return Section(equals, compared, tuple(ranked), tuple(tables), notes, remarks, *said)


def labels_of(rows: Sequence[Row]) -> list[str]:
    """A name for each row, in order; where recipe and variant do not tell rows apart, with whatever does."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    return [_label(row, by_name[row.name]) for row in rows]


def _label(row: Row, namesakes: Sequence[Row]) -> str:
    facts: tuple[Callable[[Row], str], ...] = (
        lambda r: r.config_id,
        lambda r: f"{r.first.method.distribution} {r.first.method.version}",
        origin_text,
    )
    presets = [other.first.method.preset for other in namesakes]
    if len(namesakes) > 1 and len(set(presets)) == len(presets):
        preset = row.first.method.preset
        return row.name if preset is None else f"{row.name} [{preset}]"
    telling = [fact(row) for fact in facts if len({fact(other) for other in namesakes}) > 1]
    return f"{row.name} [{', '.join(telling)}]" if telling else row.name


def _cost_cells(row: Row, oracle: bool) -> list[Cell]:
    parameters, seconds = row.mean_cost("trainable_parameters"), row.mean_cost("train_seconds")
    cells = [
        Cell(str(len(row.records)), len(row.records)),
        Cell("–" if parameters is None else human(parameters), parameters),
        Cell("–" if seconds is None else f"{seconds:.1f}", seconds),
    ]
    return [*cells, score_cell(Score(row.oracle()))] if oracle else cells


def human(number: float) -> str:
    """``2.1 M``: three digits at most before the point, a unit of thousands."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:.0f}"


def origin_text(row: Row) -> str:
    """Where the configuration comes from; ``default`` says outright that nothing was tuned."""
    origin = row.first.method.origin
    return "default (not tuned)" if origin == "default" else origin


def _origins(rows: Sequence[Row], lead: Sequence[tuple[Cell, Cell]]) -> Table:
    body = []
    for row, head in zip(rows, lead, strict=True):
        method = row.first.method
        body.append(
            (
                *head,
                Cell(origin_text(row)),
                Cell(method.preset or "–"),
                Cell(row.config_id),
                Cell(f"{method.distribution} {method.version}"),
                Cell(row.first.selection.rule),
                Cell(", ".join(str(seed) for seed in row.seeds)),
            )
        )
    columns = ("#", "method", "origin", "preset", "config", "version", "epoch", "seeds")
    return Table("How the rows were made", columns, (True, *(False for _ in columns[1:])), tuple(body))


def _notes(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[str]:
    fixed = [label for row, label in zip(rows, labels, strict=True) if row.first.method.deterministic]
    if fixed:
        said = "No interval over seeds, because the seed changes nothing (only test images vary)"
        yield f"{said}: {', '.join(fixed)}."
    devices: dict[str, list[str]] = {}
    for row, label in zip(rows, labels, strict=True):
        for device in sorted({record.cost.device for record in row.records}):
            devices.setdefault(device, []).append(label)
    yield "Seconds were measured on " + "; ".join(f"{d}: {on}" for d, on in _by_device(devices, labels)) + "."


def _by_device(devices: Mapping[str, Sequence[str]], labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The rows of each device in words; those of the most rows last, and not by name where the others tell them."""
    *others, most = sorted(devices, key=lambda device: len(devices[device]))
    elsewhere = {label for device in others for label in devices[device]}
    for device in others:
        yield device, named(devices[device], labels)
    told = bool(others) and elsewhere.isdisjoint(devices[most])
    yield most, "all other rows" if told and len(devices[most]) > 3 else named(devices[most], labels)


def _unranked_tables(rows: Sequence[Row]) -> Iterator[Table]:
    if not rows:
        return
    labels = labels_of(rows)
    body = tuple(
        (
            Cell(row.equals.setting or "–"),
            Cell(label),
            Cell(row.equals.encoder),
            score_cell(row.score(row.first.task.headline, "total")),
            Cell(str(len(row.records)), len(row.records)),
            Cell("; ".join(row.why_not)),
        )
        for row, label in zip(rows, labels, strict=True)
    )
    columns = ("setting", "method", "backbone", rows[0].first.task.headline, "n", "why it is not ranked")
    yield Table("Shown, not ranked", columns, (False, False, False, True, True, False), body)


def _failed_tables(records: Sequence[RunRecord]) -> Iterator[Table]:
    if not records:
        return
    body = tuple(
        (
            Cell(record.task.setting or "–"),
            Cell(record.method.name),
            Cell(record.backbone.name),
            Cell(str(record.seed), record.seed),
            Cell(str(record.attempt), record.attempt),
            Cell(record.status),
            Cell("–" if record.step is None else str(record.step), record.step),
            Cell(_short(record.reason or "")),
        )
        for record in records
    )
    columns = ("setting", "method", "backbone", "seed", "attempt", "status", "step", "reason")
    yield Table("Failures", columns, (False, False, False, True, True, False, True, False), body)


def _short(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def equals_title(equals: Equals, among: Sequence[Section] = ()) -> str:
    """``tiny-clip (weights tiny-v1, a1b2c3d4; float32)``.

    Args:
        equals: what the rows of a table share.
        among: tables of the same page. Where another is called the same and has other data (two people's tasks of one
            name), the first digits of the hash over the task's fingerprints tell them apart.
    """
    title = _title(equals)
    twins = [one.equals for one in among if one.equals.setting == equals.setting and _title(one.equals) == title]
    return f"{title}, data {equals.data[:8]}" if len({one.data for one in twins}) > 1 else title


def _title(equals: Equals) -> str:
    extras = f"; with {', '.join(equals.extras)}" if equals.extras else ""
    return f"{equals.encoder} (weights {equals.weights}, {equals.weights_sha256[:8]}; {equals.dtype}{extras})"
