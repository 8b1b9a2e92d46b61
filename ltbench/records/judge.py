"""Phase 2: opens the true labels and judges the files that phase 1 wrote and closed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ltbench.data.base import DataSet
from ltbench.metrics.bootstrap import REPLICATES, bootstrap_intervals
from ltbench.metrics.contract import evaluate
from ltbench.metrics.errors import MetricError
from ltbench.metrics.judged import TOTAL, Options
from ltbench.metrics.versions import CONTRACT_VERSIONS, logits_dtype
from ltbench.plugin.errors import UserError
from ltbench.records.facts import IntervalTable, LogitsFacts, ScoreTable
from ltbench.records.logits import Logits, LogitsFile, file_sha256, read_logits
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.task import Task
from ltbench.tasks.views import Truth, check_fingerprints, open_truth

DECIMALS = 6
#: Subsets of zero-shot tasks. ``zsl``: only unseen classes are judged and only they compete. ``gzsl``: all classes
#: compete; ``seen`` and ``unseen`` are its two halves.
ZSL, GZSL, SEEN, UNSEEN = "zsl", "gzsl", "seen", "unseen"

V = TypeVar("V")


@dataclass(frozen=True)
class Judgement:
    """What phase 2 finds, in percent, rounded to six decimals as records state it.

    Attributes:
        scores: metric → subset → value.
        intervals: same shape, 95 % bootstrap intervals over test images.
        per_class_ap: class name → average precision, ``None`` without a positive.
        excluded: classes without a positive, in column order.
    """

    scores: ScoreTable
    intervals: IntervalTable
    per_class_ap: dict[str, float | None]
    excluded: tuple[str, ...]


@dataclass(frozen=True)
class JudgedFolder:
    """Everything that phase 2 adds to a record.

    Attributes:
        truth: with the fingerprints as found.
        decisions: sha256 of the decisions file, where there is one.
    """

    judgement: Judgement
    truth: Truth
    logits: LogitsFacts
    decisions: str | None


def judge(
    task: Task,
    truth: Truth,
    logits: Logits,
    decisions: NDArray[np.bool_] | None = None,
    calibrated: bool = True,
    replicates: int = REPLICATES,
) -> Judgement:
    """Judge logits by the task's metrics under the contract.

    Args:
        task: names the metrics and the contract's version.
        truth: opened by phase 2.
        logits: float32 [n, C], row-aligned with the truth.
        decisions: bool [n, C] in place of logit > 0.
        calibrated: if not, and without decisions, threshold metrics are ``None``.
        replicates: resamplings of the test images; the seed of the draws is part of the contract.

    Returns:
        Subsets ``total`` and the task's groups; on zero-shot tasks ``zsl``, ``gzsl``, ``seen`` and ``unseen`` too.
        A filtered metric keeps the images that show a judged class: for ``zsl`` an unseen one, elsewhere any.

    Raises:
        UserError: the task asks for another version of the contract.
        MetricError: the logits cannot be judged.
    """
    if task.contract not in CONTRACT_VERSIONS:
        known = " and ".join(str(version) for version in CONTRACT_VERSIONS)
        raise UserError(
            f"task {task.address} asks for metric contract {task.contract}, this ltbench has {known}",
            "pip install --upgrade ltbench",
        )
    options: Options = {"calibrated": calibrated, "class_names": truth.class_names, "row_names": truth.ids}
    if decisions is not None:
        options["decisions"] = decisions
    groups = dict(truth.groups)
    if truth.unseen:
        groups[UNSEEN] = tuple(truth.unseen)
        groups[SEEN] = tuple(c for c in range(len(truth.class_names)) if c not in set(truth.unseen))
    found = evaluate(logits, truth.labels, groups, task.metrics, **options)
    scores = found.scores
    spans = bootstrap_intervals(logits, truth.labels, groups, task.metrics, replicates, **options)
    if truth.unseen:
        options["columns"] = truth.unseen
        scores = _with_zero_shot(scores, evaluate(logits, truth.labels, None, task.metrics, **options).scores)
        spans = _with_zero_shot(
            spans, bootstrap_intervals(logits, truth.labels, None, task.metrics, replicates, **options)
        )
    names = truth.class_names
    return Judgement(
        scores=_mapped(scores, lambda value: round(value, DECIMALS)),
        intervals=_mapped(spans, lambda span: (round(span[0], DECIMALS), round(span[1], DECIMALS))),
        per_class_ap={
            names[column]: None if value is None else round(value, DECIMALS)
            for column, value in zip(found.columns, found.per_class_ap, strict=True)
        },
        excluded=tuple(names[column] for column in found.excluded_classes),
    )


def check_stored(task: Task, file: LogitsFile) -> list[str]:
    """Whether the logits are stored as the task's contract judges them: a line if not, else nothing."""
    wanted = logits_dtype(task.contract)
    return [] if file.dtype == wanted else [f"logits are {file.dtype}, contract {task.contract} judges {wanted}"]


def check_alignment(truth: Truth, file: LogitsFile) -> list[str]:
    """What does not fit between logits and truth, one line each; empty when rows and classes are aligned."""
    problems = []
    if file.logits.shape != truth.labels.shape:
        problems.append(f"logits are {_size(file.logits)} but the task has {_size(truth.labels)}")
    if file.ids_sha256 != fingerprint(list(truth.ids)):
        problems.append("logits were made for other test rows, or for the same rows in another order")
    if file.classes_sha256 != fingerprint(list(truth.class_names)):
        problems.append("logits were made for other classes, or for the same classes in another order")
    return problems


def judge_folder(
    task: Task, data: DataSet, folder: Path, calibrated: bool = True, replicates: int = REPLICATES
) -> JudgedFolder:
    """Phase 2 of a run: open the truth, check that the logits in a folder belong to it, and judge them.

    Raises:
        UserError: the data are not the task's, the logits are missing, damaged, for other rows or classes, or hold a
            value that cannot be judged.
    """
    file = read_logits(folder / "logits.safetensors")
    truth = open_truth(task, data)
    check_fingerprints(task, truth.fingerprints)
    problems = [*check_alignment(truth, file), *check_stored(task, file)]
    if problems:
        raise UserError(f"{file.path}: {'; '.join(problems)}", "ltbench run --overwrite always …")
    try:
        judgement = judge(task, truth, file.logits, calibrated=calibrated, replicates=replicates)
    except MetricError as error:
        raise UserError(f"{file.path}: {error}", "ltbench run --overwrite always …") from error
    decisions = folder / "decisions.json"
    rows, classes = file.logits.shape
    return JudgedFolder(
        judgement=judgement,
        truth=truth,
        logits=LogitsFacts(sha256=file.sha256, rows=rows, classes=classes, dtype=file.dtype),
        decisions=file_sha256(decisions) if decisions.exists() else None,
    )


def _size(matrix: Logits | NDArray[np.int8]) -> str:
    return " x ".join(str(size) for size in matrix.shape)


def _with_zero_shot(
    everything: Mapping[str, Mapping[str, V]], unseen: Mapping[str, Mapping[str, V]]
) -> dict[str, dict[str, V]]:
    return {
        metric: {**by_subset, GZSL: by_subset[TOTAL], ZSL: unseen[metric][TOTAL]}
        for metric, by_subset in everything.items()
    }


S = TypeVar("S")
T = TypeVar("T")


def _mapped(table: Mapping[str, Mapping[str, S | None]], change: Callable[[S], T]) -> dict[str, dict[str, T | None]]:
    return {
        metric: {subset: None if value is None else change(value) for subset, value in by_subset.items()}
        for metric, by_subset in table.items()
    }
