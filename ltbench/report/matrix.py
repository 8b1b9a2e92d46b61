"""Every recipe on one setting of every family of tasks: one page from the committed records, photographs first.

A cell is a row of that task's leaderboard. Where there is none, the cell says why. Nothing is ranked here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ltbench.metrics.judged import TOTAL
from ltbench.plugin.manager import Registered
from ltbench.plugin.specs import MethodSpec
from ltbench.records.read import all_records
from ltbench.records.record import RunRecord
from ltbench.report.board import labels_of
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.critical import AverageRanks, average_ranks
from ltbench.report.row_notes import row_notes
from ltbench.report.rows import Row, make_rows
from ltbench.tasks.task import Task


@dataclass(frozen=True)
class Images:
    """Tasks that share their images, one setting of each family.

    Attributes:
        tasks: addresses; 40 % of labels missing and half of them known lie in the middle of what papers report.
        backbone: that all of them are run with; rows of others carry its name.
        figure: name of the critical-difference diagram.
        visual: encoder without text that visual recipes run with beside it.
        left: what was left without a preset, and why.
    """

    name: str
    tasks: tuple[str, ...]
    backbone: str
    figure: str
    visual: str = ""
    left: str = ""

    @property
    def encoders(self) -> tuple[str, ...]:
        """That presets may be made for."""
        return (self.backbone, self.visual) if self.visual else (self.backbone,)

    @property
    def names(self) -> frozenset[str]:
        """Of the tasks, without settings."""
        return frozenset(address.partition("@")[0] for address in self.tasks)


SHAPES = Images(
    "Drawn shapes",
    ("shapes-lt", "shapes-plt@mr40", "shapes-spml", "shapes-partial@p50", "shapes-zsl"),
    "tiny-clip",
    "critical-difference",
)
PHOTOS = Images(
    "Photographs",
    tuple(address.replace("shapes-", "photos-") for address in SHAPES.tasks),
    "lite0-minilm",
    "critical-difference-photos",
    "lite0",
    "Left without a preset are recipes that train a whole tower (their -linear heads stand for them), those that take "
    "minutes a run on two cores beyond the tasks that show them (cocoop, tai-dpt, full-fine-tuning, hspnet-cluster), "
    "graphs over regions on long tails, and losses for single positive labels where labels are missing otherwise, save "
    "their linear heads where half of the labels are known.",
)
#: Any other tasks: no backbone is theirs, so each figure carries the name of its own.
OTHERS = Images("Other tasks", (), "", "critical-difference-others")

#: What keeps a recipe from running on a task, short for a cell → in words; empty when it can run.
Lacks = Callable[[MethodSpec, Task], Mapping[str, str]]
#: Whether a recipe's variant has a preset for a task setting with a backbone.
HasPreset = Callable[[MethodSpec, Task, str, str], bool]

NO_PRESET, NOT_RUN, FAILED, NOT_RANKED = "no preset", "not run", "failed", "not ranked"
ELSEWHERE = "other family"
_REASONS = {
    ELSEWHERE: "the recipe can run, but was made for other families of tasks and brings no configuration for this one",
    NO_PRESET: "the recipe was made for such tasks too and can run, but brings no configuration for this one",
    NOT_RUN: "there is a preset, but no record on the leaderboard",
    FAILED: "every attempt on the leaderboard failed or diverged",
    NOT_RANKED: "the leaderboard shows the runs and does not rank them",
}


@dataclass(frozen=True)
class Matrix:
    """A part of the page, before it is written.

    Attributes:
        groups: title → table of recipes.
        reasons: short → in words, of the empty cells that there are.
        averages: average ranks over all tasks, and over those that name all their classes in training.
        notes: what methods and encoders say of the rows.
    """

    tasks: tuple[Task, ...]
    groups: Mapping[str, Table]
    reasons: Mapping[str, str]
    averages: tuple[AverageRanks, ...] = ()
    notes: tuple[str, ...] = ()
    images: Images = SHAPES

    @property
    def filled(self) -> Mapping[str, int]:
        """Cells with figures, of each task."""
        counts = Counter(
            task.address
            for table in self.groups.values()
            for line in table.rows
            for task, cell in zip(self.tasks, line[1:], strict=True)
            if cell.text[:1].isdigit()
        )
        return {task.address: counts[task.address] for task in self.tasks}


def build_matrix(
    methods: Iterable[Registered[MethodSpec]],
    tasks: Sequence[Task],
    records: Mapping[str, Sequence[RunRecord]],
    lacks: Lacks,
    has_preset: HasPreset,
    images: Images = SHAPES,
) -> Matrix:
    """Lay out the cells.

    Args:
        methods: a line for each recipe, and for each of its variants that has records.
        tasks: columns.
        records: of each task's address.
        lacks: what keeps a recipe from running on a task.
        has_preset: whether a variant has a preset for a task.
        images: what the tasks share.
    """
    rows = {task.address: make_rows(records[task.address]) for task in tasks}
    reasons: dict[str, str] = {}
    grouped: dict[str, list[tuple[Cell, ...]]] = {}
    ordered = sorted(methods, key=lambda item: (_group_key(item), item.spec.name))
    for key, items in groupby(ordered, key=_group_key):
        lines = grouped.setdefault(_title(key), [])
        for item in items:
            for variant in _variants(item.spec, rows.values()):
                cells = [_cell(item.spec, variant, t, rows, records, lacks, has_preset, reasons, images) for t in tasks]
                label = item.spec.name if variant == "paper" else f"{item.spec.name} ({variant})"
                lines.append((Cell(label), *cells))
    columns = ("method", *(f"{task.address}: {task.headline}" for task in tasks))
    numeric = (False, *(True for _ in tasks))
    tables = {title: Table(title, columns, numeric, tuple(lines), keys=1) for title, lines in grouped.items()}
    shown = [row for found in rows.values() for row in found if not row.why_not]
    notes = tuple(row_notes(shown, [row.name for row in shown]))
    # Of a task with many settings one counts, as every task counts once.
    counted = [task for task in tasks if task.address in images.tasks] or list(tasks)
    averages = _averages(counted, {task.address: rows[task.address] for task in counted}, images.backbone)
    return Matrix(tuple(tasks), tables, reasons, averages, notes, images)


def _averages(tasks: Sequence[Task], rows: Mapping[str, Sequence[Row]], backbone: str) -> tuple[AverageRanks, ...]:
    """Few recipes can do all tasks, because of unseen classes; so those without are ranked over as well."""
    closed = {task.address: rows[task.address] for task in tasks if not task.unseen}
    several = [rows] if len(closed) == len(rows) else [rows, closed]
    found = [average_ranks(each, backbone) for each in several]
    return tuple(one for one in found if one is not None)


BASELINES = "baselines-"
"""How the names of the plugins of baselines begin."""


def _group_key(item: Registered[MethodSpec]) -> tuple[bool, str, int, tuple[str, ...]]:
    """By plugin; the plugins of baselines come first, as one, divided by what their recipes were made for."""
    several = item.plugin.startswith(BASELINES)
    families = tuple(sorted(item.spec.families)) if several else ()
    return (not several, "baselines" if several else item.plugin, -len(families), families)


def _title(key: tuple[bool, str, int, tuple[str, ...]]) -> str:
    _, plugin, _, families = key
    return f"{plugin}, made for {', '.join(families)}" if families else plugin


def _variants(spec: MethodSpec, rows: Iterable[Sequence[Row]]) -> list[str]:
    """Variants with records, in the order of the spec; without any the default one."""
    ran = {r.first.method.variant for found in rows for r in found if r.first.method.name == spec.name}
    return [variant for variant in spec.variants if variant in ran] or [spec.variants[0]]


def _cell(
    spec: MethodSpec,
    variant: str,
    task: Task,
    rows: Mapping[str, Sequence[Row]],
    records: Mapping[str, Sequence[RunRecord]],
    lacks: Lacks,
    has_preset: HasPreset,
    reasons: dict[str, str],
    images: Images,
) -> Cell:
    def mine(record: RunRecord) -> bool:
        return (record.method.name, record.method.variant) == (spec.name, variant)

    found = [row for row in rows[task.address] if mine(row.first)]
    ranked = [row for row in found if not row.why_not]
    if ranked:
        return _scores(ranked, task.headline, images.backbone)
    why: Mapping[str, str] = {}
    if found:
        why = {NOT_RANKED: _REASONS[NOT_RANKED]}
    elif any(mine(record) for record in records[task.address]):
        why = {FAILED: _REASONS[FAILED]}
    elif not (why := lacks(spec, task)):
        made = any(has_preset(spec, task, encoder, variant) for encoder in images.encoders)
        short = NOT_RUN if made else NO_PRESET if _made_for(spec, task) else ELSEWHERE
        why = {short: _REASONS[short]}
    reasons.update(why)
    return Cell(", ".join(why))


def _made_for(spec: MethodSpec, task: Task) -> bool:
    """Whether a recipe says that such tasks are its own; one that names no family is made for any."""
    return not spec.families or task.family in spec.families


def _scores(rows: Sequence[Row], headline: str, backbone: str) -> Cell:
    """All rows of a recipe at once: to pick the best would be a choice made on the test part.

    Rows of two encoders are told apart by these, and by nothing else.
    """
    parts = []
    for row in rows:
        beside = [other for other in rows if other.equals.made_with == row.equals.made_with]
        apart = labels_of(beside)[beside.index(row)].removeprefix(row.name).strip()
        marks = [
            *row.marks,
            *([apart] if apart else []),
            *([row.equals.encoder] if row.equals.encoder != backbone else []),
            *(f"+{what}" for what in row.equals.made_with[1:]),
        ]
        parts.append(" ".join([score_cell(row.score(headline, TOTAL)).text, *marks]))
    return Cell("; ".join(parts))


def committed_records(leaderboards: Path, tasks: Sequence[Task]) -> dict[str, list[RunRecord]]:
    """Records of each task's setting; none for a task without a leaderboard.

    Raises:
        UserError: a record cannot be read.
    """
    found: dict[str, list[RunRecord]] = {}
    for task in tasks:
        folder = leaderboards / task.name / f"v{task.version}" / "records"
        read = all_records([folder]) if folder.is_dir() else None
        if read is not None and read.problems:
            raise read.problems[0]
        records = [entry.record for entry in read.records] if read is not None else []
        found[task.address] = [record for record in records if record.task.setting == task.setting]
    return found
