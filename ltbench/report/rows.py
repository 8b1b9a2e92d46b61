"""From records to rows: which runs belong together, what they scored on average, and what keeps a row from ranking."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from ltbench.backbones.registry import own_size
from ltbench.metrics.bootstrap import seed_interval
from ltbench.metrics.contract import METRICS
from ltbench.metrics.judged import TOTAL
from ltbench.records.canonical import sha256_of
from ltbench.records.record import RunRecord
from ltbench.report.notes import notes_of
from ltbench.tasks.overlap import why_unranked

#: Order in which subsets are shown; others follow by name.
SUBSETS = ("total", "head", "medium", "tail", "gzsl", "zsl", "seen", "unseen")


@dataclass(frozen=True)
class Score:
    """A score over the seeds of a row.

    Attributes:
        mean: percent; ``None`` where undefined for some seed.
        half: half width of the 95 % t interval over seeds; ``None`` for deterministic methods or fewer than two seeds.
        image: bootstrap interval over test images of a row with one record.
    """

    mean: float | None
    half: float | None = None
    image: tuple[float, float] | None = None


@dataclass(frozen=True)
class Equals:
    """What two rows must share to be ranked against each other."""

    setting: str | None
    backbone: str
    weights: str
    weights_sha256: str
    dtype: str
    pretraining: str
    extras: tuple[str, ...]
    contract: int
    data: str
    image_size: int | None = None

    @classmethod
    def of(cls, record: RunRecord) -> Equals:
        """Class of a record; ``data`` is a hash over the task's fingerprints."""
        return cls(
            setting=record.task.setting,
            backbone=record.backbone.name,
            weights=record.backbone.weights,
            weights_sha256=record.backbone.weights_sha256,
            dtype=record.backbone.dtype,
            pretraining=record.backbone.pretraining,
            extras=tuple(sorted(record.extras)),
            contract=record.task.contract,
            data=_data_hash(tuple(sorted(record.task.fingerprints.items()))),
            image_size=record.backbone.image_size,
        )

    @property
    def encoder(self) -> str:
        """The backbone, with the size of its images where that is not its own."""
        if self.image_size in (None, own_size(self.backbone)):
            return self.backbone
        return f"{self.backbone} at {self.image_size} x {self.image_size}"

    @property
    def made_with(self) -> tuple[str, ...]:
        """Encoder, its arithmetic unless that is float32, and extras: what names a class of equals to people."""
        return (self.encoder, *([] if self.dtype == "float32" else [self.dtype]), *self.extras)

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """Settings in natural order, then backbones and extras by name."""
        same = (self.weights, self.weights_sha256, self.dtype, self.pretraining, self.contract, self.data)
        rest = (self.extras, *same, self.image_size or 0)
        return (natural(self.setting or ""), self.backbone, *rest)


@dataclass(frozen=True)
class Row:
    """Runs that differ by their seed only.

    Attributes:
        records: newest completed record of each seed, by seed.
        why_not: what keeps the row from being ranked; empty when nothing does.
    """

    equals: Equals
    records: tuple[RunRecord, ...]
    why_not: tuple[str, ...]

    @property
    def first(self) -> RunRecord:
        """A record that speaks for what all of them share."""
        return self.records[0]

    @cached_property
    def config_id(self) -> str:
        """First eight digits of the hash of the resolved configuration."""
        return sha256_of(self.first.method.config)[:8]

    @cached_property
    def name(self) -> str:
        """Recipe, with its variant unless that is the printed one, and the marks of its notes."""
        method = self.first.method
        inside = (*([] if method.variant == "paper" else [method.variant]), *self.marks)
        return f"{method.name} ({', '.join(inside)})" if inside else method.name

    @property
    def marks(self) -> tuple[str, ...]:
        """Words by which the installed method tells such rows from its others."""
        return tuple(note.mark for note in notes_of(self.first) if note.mark)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the records."""
        return tuple(record.seed for record in self.records)

    @property
    def headline(self) -> float | None:
        """What ranks: the task's headline metric over all classes."""
        return self.score(self.first.task.headline, "total").mean

    @property
    def logits(self) -> tuple[str, ...]:
        """Hashes of the logits of all seeds, sorted."""
        return tuple(sorted(record.logits.sha256 for record in self.records if record.logits is not None))

    @cached_property
    def _found(self) -> dict[tuple[str, str], Score]:
        """Scores that were asked for: a board asks for most of them several times."""
        return {}

    def score(self, metric: str, subset: str) -> Score:
        """Mean over seeds of one figure."""
        place = (metric, subset)
        if place not in self._found:
            self._found[place] = self._score(metric, subset)
        return self._found[place]

    def _score(self, metric: str, subset: str) -> Score:
        score = self.over_seeds([record.scores.get(metric, {}).get(subset) for record in self.records])
        if score.mean is None or len(self.records) > 1:
            return score
        return Score(score.mean, image=self.first.intervals[metric][subset])

    def over_seeds(self, values: Sequence[float | None]) -> Score:
        """Mean of one value a seed, with its interval; undefined where a seed's value is."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return Score(None)
        interval = None if self.first.method.deterministic or len(known) < 2 else seed_interval(known)
        return Score(sum(known) / len(known), None if interval is None else interval[1])

    def oracle(self) -> float | None:
        """Mean of the best-epoch-on-test headline, where every seed was audited."""
        headline = self.first.task.headline
        found = [(record.selection.oracle or {}).get(headline, {}).get("total") for record in self.records]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    def mean_cost(self, name: str) -> float | None:
        """Mean over seeds of a field of ``cost``; ``None`` where it was not measured for some seed."""
        found = [getattr(record.cost, name) for record in self.records]
        return None if any(value is None for value in found) else float(sum(found)) / len(found)


def why_not_ranked(record: RunRecord) -> tuple[str, ...]:
    """Everything that keeps a completed run from being ranked, in words."""
    reasons = []
    if record.backbone.weights == "random":
        reasons.append("random weights")
    elif not record.backbone.ranked:
        reasons.append("this backbone is not ranked")
    if record.limit is not None:
        reasons.append(f"limited to {record.limit} rows")
    if record.share is not None:
        reasons.append(f"trained on a share of {record.share:g} of the rows")
    if record.task.unpinned:
        reasons.append(f"unpinned: {', '.join(sorted(record.task.unpinned))}")
    if not record.task.ranked:
        reasons.append("this task is not ranked")
    return (*reasons, *why_unranked(record.task.name, record.method.origin, record.backbone.pretraining))


def make_rows(records: Iterable[RunRecord]) -> list[Row]:
    """Group completed records; of each seed the newest attempt counts."""
    grouped: dict[tuple[Equals, tuple[str, ...], str], list[RunRecord]] = defaultdict(list)
    for record in records:
        if record.status == "completed":
            grouped[Equals.of(record), why_not_ranked(record), _identity(record)].append(record)
    rows = []
    for (equals, why_not, _), members in grouped.items():
        newest: dict[int, RunRecord] = {}
        for record in sorted(members, key=_age):
            newest[record.seed] = record
        chosen = tuple(newest[seed] for seed in sorted(newest))
        rows.append(Row(equals, chosen, why_not))
    return sorted(rows, key=_order)


def failures(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Attempts that did not complete, in a fixed order."""
    failed = {record.record_sha256: record for record in records if record.status != "completed"}
    return sorted(
        failed.values(),
        key=lambda r: (natural(r.task.setting or ""), r.method.name, r.seed, r.attempt, r.created, r.record_sha256),
    )


def shown_metrics(rows: Sequence[Row]) -> list[str]:
    """Metrics of some rows: the headline first, then in the contract's order."""
    if not rows:
        return []
    headline = rows[0].first.task.headline
    names = {name for row in rows for record in row.records for name in record.scores}
    return sorted(names, key=lambda name: (name != headline, *_place(name, tuple(METRICS))))


def shown_subsets(rows: Sequence[Row], metric: str) -> list[str]:
    """Subsets of a metric; ``gzsl`` is left out because it is ``total`` by another name."""
    names = {name for row in rows for record in row.records for name in record.scores.get(metric, {})}
    return sorted(names - {"gzsl"}, key=lambda name: _place(name, SUBSETS))


def telling_subsets(rows: Sequence[Row], metric: str) -> list[str]:
    """Those of :func:`shown_subsets` that say something beside ``total``.

    A task without a long tail has all its classes in one group, and none in the others; their columns would repeat the
    total, or be empty.
    """
    totals = [row.score(metric, TOTAL) for row in rows]

    def tells(name: str) -> bool:
        scores = [row.score(metric, name) for row in rows]
        return any(score.mean is not None for score in scores) and scores != totals

    return [name for name in shown_subsets(rows, metric) if name == TOTAL or tells(name)]


def natural(text: str) -> tuple[tuple[str, int], ...]:
    """Sort key by which ``p9`` comes before ``p10``."""
    parts = re.findall(r"(\D*)(\d*)", text)
    return tuple((word, int(number) if number else -1) for word, number in parts if word or number)


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def _age(record: RunRecord) -> tuple[Any, ...]:
    return (record.created, record.attempt, record.record_sha256)


def _identity(record: RunRecord) -> str:
    """What the runs of a row share besides their equals, as a text to group by; thousands of records are grouped."""
    method = record.method
    return json.dumps(
        {
            "recipe": [method.name, method.distribution, method.version, method.variant],
            "origin": method.origin,
            "config": method.config,
            "policy": method.unknown_policy,
            "selection": record.selection.rule,
            "limit": record.limit,
            "share": record.share,
        },
        sort_keys=True,
    )


@lru_cache(maxsize=256)
def _data_hash(fingerprints: tuple[tuple[str, str | None], ...]) -> str:
    return sha256_of(dict(fingerprints))


def _order(row: Row) -> tuple[Any, ...]:
    best = row.headline
    method = row.first.method
    identity = (row.name, method.distribution, method.version, method.origin, row.config_id)
    return (row.equals.sort_key, best is None, -(best or 0.0), identity, row.why_not, row.logits)
