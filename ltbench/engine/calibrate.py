"""Logits of validation rows, kept with a run, from which thresholds follow: above which logit a class is present.

Where the task's runs have validation rows, they are those of the run itself. Else its rows were trained on, so the same
configuration is trained once more without a share of the training rows, and judged on these.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ltbench.data.base import Labels
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.held_out import with_validation
from ltbench.engine.phase1 import Phase1
from ltbench.engine.predict import weights_of
from ltbench.engine.prepare import prepare, setup_for
from ltbench.engine.request import RunRequest
from ltbench.engine.rerun import request_of
from ltbench.engine.validated import judged_labels, validation_logits
from ltbench.metrics.thresholds import Rule, Threshold, thresholds
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.tensors import read_tensors, write_tensors
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.tasks.own.custom import features_of, folder_of
from ltbench.tasks.views import open_train

NAME: Final = "validation.safetensors"
FORMAT: Final = 1


@dataclass(frozen=True)
class Judged:
    """Validation rows of a run.

    Attributes:
        logits: float32 [n, C].
        labels: int8 [n, C] in {+1, -1, 0}.
        own: the run itself gave the logits; else the same configuration, trained without these rows.
    """

    class_names: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    labels: Labels
    own: bool

    def thresholds(self, rule: Rule) -> dict[str, Threshold | None]:
        """By class name."""
        return dict(zip(self.class_names, thresholds(self.logits, self.labels, rule), strict=True))


def judged_rows(
    path: Path, data_root: Path | None = None, reporter: Reporter = SILENT, weights: str | None = None
) -> Judged:
    """Validation logits of a recorded run: those that are kept beside it, else made now, and kept.

    Args:
        path: the record, in the run's folder.
        data_root: where data sets are, if nothing is kept yet.
        weights: file of the backbone's weights, where the run's came from a file.

    Raises:
        UserError: the run did not complete, its data are not here, or the file is damaged.
    """
    record = load_record(path)
    kept = path.parent / NAME
    if kept.is_file():
        return _read(kept, record)
    if record.status != "completed":
        raise UserError(f"run {record.key[:8]} {record.status}: it has no logits", "ltbench list runs")
    request = _request(record, path.parent, data_root, weights)
    reporter.line(f"thresholds of run {record.key[:8]}: predicting validation images, once")
    if request.task.validation.in_final_runs:
        judged = _own_logits(request, record, path.parent, reporter)
    else:
        judged = _trained_again(request, reporter)
    _write(kept, record, judged)
    return judged


def _request(record: RunRecord, out: Path, data_root: Path | None, weights: str | None) -> RunRequest:
    """The run as it was; a file of features is the one that its task notes."""
    request = request_of(record, out, data_root)
    if record.backbone.weights.startswith("file "):
        backbone = request.backbone
        folder = folder_of(request.task) if request.task.family == "custom" else None
        features = features_of(folder) if folder is not None else None
        if "image" in record.backbone.offers:
            request = replace(request, weights=weights)
        elif features is not None and f"precomputed:{features.name}" == backbone:
            request = replace(request, backbone=f"precomputed:{features}", weights=None, image_size=None)
        else:
            raise UserError(
                f"the features of run {record.key[:8]} ({backbone}) are not those of task {request.task.address}",
                "leave --thresholds out",
            )
    if request.task.fingerprints.model_dump() != {**request.task.fingerprints.model_dump(), **record.task.fingerprints}:
        raise UserError(
            f"task {request.task.address} has other data here than run {record.key[:8]} had",
            f"ltbench show task {request.task.address}",
        )
    return request


def _own_logits(request: RunRequest, record: RunRecord, folder: Path, reporter: Reporter) -> Judged:
    prepared = prepare(request, reporter)
    view = open_train(prepared.request.task, prepared.data)
    phase = Phase1(setup_for(prepared, view.sampled(request.task, request.share), folder, reporter))
    phase.load(weights_of(record, folder))
    validation = view.validation
    assert validation is not None
    logits = phase.predict(phase.test_inputs(validation, "encoding validation images"), validation.class_names)
    return Judged(validation.class_names, logits, judged_labels(validation.observed), own=True)


def _trained_again(request: RunRequest, reporter: Reporter) -> Judged:
    task, _ = with_validation(request.task)
    if task.validation.classes:
        raise UserError(
            f"{task.address} validates on classes that training withholds, so its own have no thresholds",
            "leave --thresholds out",
        )
    with tempfile.TemporaryDirectory() as place:
        logits, view = validation_logits(replace(request, task=task), Path(place), reporter)
    return Judged(view.class_names, logits, judged_labels(view.observed), own=False)


def _write(path: Path, record: RunRecord, judged: Judged) -> None:
    stated = {
        "format": FORMAT,
        "record": record.record_sha256,
        "class_names": judged.class_names,
        "own": judged.own,
    }
    write_tensors(path, {"logits": judged.logits, "labels": judged.labels}, stated)


def _read(path: Path, record: RunRecord) -> Judged:
    again = f"rm {path}"
    try:
        tensors, stated = read_tensors(path)
        names = tuple(stated["class_names"])
        logits, labels = tensors["logits"], tensors["labels"]
        if stated["format"] != FORMAT or logits.shape != labels.shape or logits.shape[1:] != (len(names),):
            raise ValueError("shapes or format")
        if logits.dtype != np.float32 or labels.dtype != np.int8 or not np.isfinite(logits).all():
            raise ValueError("types or values")
        if stated["record"] != record.record_sha256:
            raise UserError(f"{path} is of another run", again)
        return Judged(names, logits, labels, bool(stated["own"]))
    except Damaged as error:
        raise UserError(f"{path} is damaged ({error.damage})", again) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is damaged ({error})", again) from error
