"""A recipe trained on the rows for tuning and judged on the validation rows: what searches and thresholds choose by.

The test part is never opened.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ltbench.data.base import Labels
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.answer import Logits
from ltbench.engine.needs import read_task
from ltbench.engine.phase1 import Phase1
from ltbench.engine.prepare import Prepared, prepare, setup_for
from ltbench.engine.request import RunRequest
from ltbench.metrics.contract import evaluate
from ltbench.tasks.views import TrainView, open_train


def tuning_view(prepared: Prepared) -> TrainView:
    """Rows to train on, with the validation rows that choices are judged on; the test part is not opened."""
    request = prepared.request
    task = read_task(request.task, prepared.resolved.method.needs(), validates=True)
    return open_train(task, prepared.data, "tune").sampled(request.task, request.share).limited(request.limit)


def validation_score(
    request: RunRequest, folder: Path, reporter: Reporter = SILENT, deadline: float | None = None
) -> float | None:
    """Train on the tuning view and judge on its validation rows; the test part stays closed.

    Returns:
        The task's headline metric in percent.

    Raises:
        OutOfTime: the deadline passed.
        Diverged: the loss stopped being finite.
    """
    logits, validation = validation_logits(request, folder, reporter, deadline)
    found = evaluate(logits, judged_labels(validation.observed), None, (request.task.headline,))
    return found.scores[request.task.headline]["total"]


def validation_logits(
    request: RunRequest, folder: Path, reporter: Reporter = SILENT, deadline: float | None = None
) -> tuple[Logits, TrainView]:
    """Train on the tuning view; logits float32 [n, C] of its validation rows, and these rows.

    Raises:
        OutOfTime: as :func:`validation_score`, like Diverged.
    """
    prepared = prepare(request, reporter)
    view = tuning_view(prepared)
    validation = view.validation
    assert validation is not None
    setup = setup_for(prepared, view, folder, reporter)
    setup.deadline = deadline
    phase = Phase1(setup)
    phase.run()
    logits = phase.predict(phase.test_inputs(validation, "encoding validation images"), validation.class_names)
    return logits, validation


def judged_labels(observed: Labels) -> Labels:
    """Labels int8 [N, C] of validation rows as a choice can be judged by.

    Where they name only what is there, what they do not name counts as absent: against no absent label at all every
    order of the images would be perfect.
    """
    return observed if (observed == -1).any() else np.where(observed == 0, np.int8(-1), observed)
