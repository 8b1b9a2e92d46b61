"""Two rows against each other: overall, by group, by class, and the test rows on which they differ most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ltbench.metrics.judged import TOTAL
from ltbench.metrics.misplaced import misplaced
from ltbench.metrics.pairs import Sample, interval_alone
from ltbench.plugin.errors import UserError
from ltbench.records.compare import DRAWS, spread_of, subset_replicates
from ltbench.records.judge import SEEN, UNSEEN
from ltbench.records.record import RunRecord
from ltbench.report.pairs import at_hand, read_checked, truth_of
from ltbench.report.rows import SUBSETS, Row

if TYPE_CHECKING:
    from ltbench.records.verify import OpenTruth
    from ltbench.tasks.views import Truth

#: Its value for one class is the class's average precision.
AP = "mAP"


@dataclass(frozen=True)
class Gap:
    """A figure of two rows; points are percentage points.

    Attributes:
        name: subset or class.
        a: mean over the seeds of the first row, percent; ``None`` where undefined, like all that follow from it.
        b: of the second.
        value: a - b.
        low: lower end of its 95 % interval, of this figure alone; ``None`` where a row that may vary has one seed.
        high: upper end.
    """

    name: str
    a: float | None
    b: float | None
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def separated(self) -> bool:
        """The interval leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class TestRow:
    """A test row on which two rows of the leaderboard differ.

    Attributes:
        id: of the test row.
        labels: its present classes.
        a: error of the first, percent, mean over the seeds at hand, see :func:`ltbench.metrics.misplaced.misplaced`.
        b: of the second.
    """

    id: str
    labels: tuple[str, ...]
    a: float
    b: float

    @property
    def value(self) -> float:
        """Error of the first minus that of the second: above 0 where the second is better."""
        return self.a - self.b


@dataclass(frozen=True)
class HeadToHead:
    """A comparison of two rows.

    Attributes:
        address: task with setting.
        metric: what ``overall`` and ``groups`` are; ``classes`` are average precisions.
        seeds: of each row.
        resampled: seeds of each row whose logits were at hand for resampling the test images.
        paired: the variance over seeds is that of the differences, seed by seed.
        unequal: facts in which the two are no equals, so that no leaderboard ranks them together.
        rows: by falling absolute difference.
    """

    address: str
    metric: str
    a: str
    b: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    resampled: tuple[tuple[int, ...], tuple[int, ...]]
    paired: bool
    unequal: tuple[str, ...]
    overall: Gap
    groups: tuple[Gap, ...]
    classes: tuple[Gap, ...]
    rows: tuple[TestRow, ...]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""
        made = asdict(self)
        for name, gaps in (("groups", self.groups), ("classes", self.classes)):
            made[name] = [{**asdict(gap), "separated": gap.separated} for gap in gaps]
        made["overall"]["separated"] = self.overall.separated
        made["rows"] = [{**asdict(row), "value": row.value} for row in self.rows]
        return made


def head_to_head(
    rows: tuple[Row, Row], labels: tuple[str, str], files: Mapping[str, Path], open_truth: OpenTruth, top: int = 10
) -> HeadToHead:
    """Compare two rows of one task setting.

    Args:
        rows: the two.
        labels: what they are called.
        files: sha256 → file of logits.
        open_truth: opens the task.
        top: test rows to name.

    Raises:
        UserError: they are rows of two tasks, or of other data; or logits of one are not at hand, damaged or changed.
    """
    first, second = rows
    _check(first, second, labels, files)
    truth = truth_of(first, open_truth)
    used = [at_hand(row, files) for row in rows]
    logits = [[read_checked(files[sha256], sha256, truth) for sha256 in hashes] for hashes in used]
    metric = first.first.task.headline
    groups = {name: columns for name, columns in _groups(truth).items() if len(columns)}
    single = {_column(c): (c,) for c in range(len(truth.class_names))}
    # Average precisions cost nothing beside a mean of them; another metric is counted apart.
    shared = single if metric == AP else {}
    drawn = [subset_replicates(side, truth, {**groups, **shared}, metric) for side in logits]
    by_class = drawn if shared else [subset_replicates(side, truth, single, AP) for side in logits]
    paired = first.seeds == second.seeds and len(first.seeds) > 1

    def subset(name: str) -> Gap:
        values = [[record.scores.get(metric, {}).get(name) for record in row.records] for row in rows]
        return _gap(name, values, rows, _sd(drawn, name), paired)

    def one_class(column: int, name: str) -> Gap:
        values = [[record.per_class_ap.get(name) for record in row.records] for row in rows]
        return _gap(name, values, rows, _sd(by_class, _column(column)), paired)

    order = {name: place for place, name in enumerate(SUBSETS)}
    return HeadToHead(
        address=first.first.task.address,
        metric=metric,
        a=labels[0],
        b=labels[1],
        seeds=(first.seeds, second.seeds),
        resampled=(_seeds_of(first, used[0]), _seeds_of(second, used[1])),
        paired=paired and not any(row.first.method.deterministic for row in rows),
        unequal=tuple(_unequal(first, second)),
        overall=subset(TOTAL),
        groups=tuple(subset(name) for name in sorted(groups, key=lambda n: (order.get(n, len(order)), n))),
        classes=tuple(one_class(column, name) for column, name in enumerate(truth.class_names)),
        rows=_most_different(logits, truth, top),
    )


def _check(first: Row, second: Row, labels: tuple[str, str], files: Mapping[str, Path]) -> None:
    tasks = [f"{row.first.task.address} version {row.first.task.version}" for row in (first, second)]
    if tasks[0] != tasks[1]:
        raise UserError(
            f"{labels[0]} ran on {tasks[0]}, {labels[1]} on {tasks[1]}",
            f"ltbench run --task {first.first.task.address} --method {second.first.method.name}",
        )
    if first.equals.data != second.equals.data:
        raise UserError(f"{labels[0]} and {labels[1]} were judged on other data", "ltbench verify RECORD")
    for row, label in zip((first, second), labels, strict=True):
        if not at_hand(row, files):
            facts = row.first
            raise UserError(
                f"no logits of {label} lie beside its records",
                f"ltbench run --task {facts.task.address} --method {facts.method.name} --overwrite always",
            )


def _groups(truth: Truth) -> dict[str, tuple[int, ...]]:
    groups = dict(truth.groups)
    if truth.unseen:
        groups[UNSEEN] = tuple(truth.unseen)
        groups[SEEN] = tuple(c for c in range(len(truth.class_names)) if c not in set(truth.unseen))
    return groups


def _column(number: int) -> str:
    return f"class number {number}"


def _sd(drawn: Sequence[Mapping[str, Any]], name: str) -> float:
    found = spread_of(drawn[0][name], drawn[1][name])
    return math.nan if found is None else found


def _gap(name: str, values: list[list[float | None]], rows: Sequence[Row], images: float, paired: bool) -> Gap:
    known = [[value for value in side if value is not None] for side in values]
    samples = [
        Sample(tuple(side), row.first.method.deterministic) if len(side) == len(row.records) else None
        for side, row in zip(known, rows, strict=True)
    ]
    a, b = samples
    if a is None or b is None:
        return Gap(name, None if a is None else a.mean, None if b is None else b.mean)
    return Gap(name, a.mean, b.mean, *interval_alone(a, b, images, DRAWS, paired))


def _seeds_of(row: Row, used: Sequence[str]) -> tuple[int, ...]:
    return tuple(record.seed for record in row.records if _sha256(record) in used)


def _sha256(record: RunRecord) -> str | None:
    return None if record.logits is None else record.logits.sha256


def _unequal(first: Row, second: Row) -> list[str]:
    sides = [asdict(row.equals) for row in (first, second)]
    return [f"{name}: {sides[0][name]} and {sides[1][name]}" for name in sides[0] if sides[0][name] != sides[1][name]]


def _most_different(logits: Sequence[Sequence[Any]], truth: Truth, top: int) -> tuple[TestRow, ...]:
    a, b = (np.mean([misplaced(one, truth.labels) for one in side], axis=0) for side in logits)
    difference = np.nan_to_num(np.abs(a - b))
    # Stable, so that equal differences come in the order of the test rows.
    chosen = np.argsort(-difference, kind="stable")[:top]
    names = truth.class_names
    return tuple(
        TestRow(
            id=truth.ids[row],
            labels=tuple(names[column] for column in np.flatnonzero(truth.labels[row] == 1)),
            a=float(a[row]),
            b=float(b[row]),
        )
        for row in chosen
        if difference[row] > 0
    )
