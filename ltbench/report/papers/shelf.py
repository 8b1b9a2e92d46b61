"""Records at hand, by the run that they are of: same task version, recipe, variant, backbone, settings and epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ltbench.backbones.registry import own_size
from ltbench.method.config import build_config
from ltbench.method.extras import OF_VALIDATION, validation_extra
from ltbench.plugin.manager import registry
from ltbench.records.record import RunRecord
from ltbench.report.papers.runs import PlannedRun
from ltbench.report.rows import Row, make_rows
from ltbench.tasks.registry import load_task
from ltbench.tasks.views import validation_labels


class Shelf:
    """Finds the rows of a leaderboard that a planned run is.

    Args:
        records: of any task; failed ones are passed over.
    """

    def __init__(self, records: Iterable[RunRecord] = ()) -> None:
        self._records: dict[tuple[str, str, str, str], list[RunRecord]] = defaultdict(list)
        for record in records:
            if record.status == "completed":
                place = (record.task.address, record.method.name, record.method.variant, record.backbone.name)
                self._records[place].append(record)

    def row(self, run: PlannedRun) -> Row | None:
        """What was measured for a run: of several rows (other weights, fewer training rows, older code) the one that
        least keeps from being ranked, then one of float32, then the one with most seeds, then the newest; None where
        there is none.
        """
        near = self._records.get((run.address, run.method, run.variant, run.backbone), [])
        version = load_task(run.address).version if near else 0
        fitting = [r for r in near if (r.task.version, r.share) == (version, run.share) and _same_epoch(r, run)]
        rows = make_rows(record for record in fitting if _same_settings(record, run))
        return min(rows, key=_standing, default=None)

    def seconds(self, run: PlannedRun) -> float | None:
        """What one run took on average, in seconds of encoding, training and evaluating; None where none is known.

        Settings other than the run's count as well, rows that were limited do not.
        """
        near = self._records.get((run.address, run.method, run.variant, run.backbone), [])
        costs = [record.cost for record in near if record.limit is None and record.share == run.share]
        phases = [(cost.encode_seconds, cost.train_seconds, cost.evaluate_seconds) for cost in costs]
        known = [sum(part for part in each if part is not None) for each in phases if None not in each]
        return sum(known) / len(known) if known else None


def _standing(row: Row) -> tuple[Any, ...]:
    newest = max(record.created for record in row.records)
    return len(row.why_not), row.equals.dtype != "float32", -len(row.records), [-ord(letter) for letter in newest]


def _same_epoch(record: RunRecord, run: PlannedRun) -> bool:
    """Whether the epoch that counts was chosen as the run's is, on the same labels of validation rows.

    A run that chooses no epoch may have such rows as well, for its method's own choices.
    """
    asked = validation_extra(validation_labels(load_task(run.address), run.validation))
    return record.selection.rule == run.selection and OF_VALIDATION.intersection(record.extras) <= asked


def _same_settings(record: RunRecord, run: PlannedRun) -> bool:
    """Whether a record's configuration is that of the run; what a record of older code leaves out is the default."""
    config, size = record.method.config, record.backbone.image_size
    unasked = (None, own_size(record.backbone.name), config.get("image_size"))
    if size not in (unasked if run.image_size is None else (run.image_size,)):
        return False
    expected = build_config(_model(run.method), run.method, run.settings).model_dump(mode="json")
    return {**expected, **config} == expected


@lru_cache(maxsize=256)
def _model(method: str) -> Any:
    return registry().methods.get(method).spec.load().Config
