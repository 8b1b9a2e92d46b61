"""The epoch that validation rows choose, where a run asks for it in place of the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.engine import checkpoint
from ltbench.engine.setup import Chosen
from ltbench.method import GradientStage
from ltbench.metrics.contract import evaluate
from ltbench.plugin.errors import UserError
from ltbench.tasks.views import TrainView

if TYPE_CHECKING:
    from ltbench.engine.phase1 import Phase1
    from ltbench.engine.request import RunRequest


def check_selection(request: RunRequest) -> None:
    """Refuse a choice on validation rows where a run on the task has none.

    Raises:
        UserError: it has none.
    """
    if request.selects and not request.task.validation.in_final_runs:
        raise UserError(
            f"runs on {request.task.address} have no validation rows to choose an epoch on", "leave --selection out"
        )


class BestEpoch:
    """Keeps the weights of the epoch of the last stage that is best on validation rows, the first of equals.

    They are judged by the task's headline metric, as a search does, with averaged weights where a stage averages. What
    is kept lies on disk, so that an interrupted run goes on with it. The test part is not looked at.

    Args:
        phase: what is trained.
        view: the validation rows.
        folder: of the attempt's checkpoints.

    Raises:
        Damaged: what is kept of an interrupted run is damaged.
        UserError: nothing is trained in epochs, or the rows show no label known to be absent, which ranks nothing.
    """

    def __init__(self, phase: Phase1, view: TrainView | None, request: RunRequest, folder: Path) -> None:
        assert view is not None, "check_selection refuses tasks without validation rows"
        if not isinstance(phase.stages[-1], GradientStage):
            raise UserError(f"method {request.method} has no epochs to choose from", "leave --selection out")
        if not (view.observed == -1).any():
            raise UserError(
                "validation rows show no label that is known to be absent, so that no epoch is better than another",
                "--validation clean, which the row then says",
            )
        self._phase, self._view, self._metric = phase, view, request.task.headline
        self._inputs = phase.test_inputs(view, "encoding validation images")
        self._path = folder / "best.pt"
        found = self._kept()
        self._best = None if found is None else Chosen(int(found["epoch"]), float(found["score"]))

    def _kept(self) -> checkpoint.State | None:
        # Its predecessor would be another epoch, so that a damaged file has none to stand in for it.
        try:
            return checkpoint.read(self._path)
        except FileNotFoundError:
            return None

    def look(self, stage: int, epoch: int) -> None:
        """Judge an epoch that has ended."""
        logits = self._phase.predict(self._inputs, self._view.class_names)
        score = evaluate(logits, self._view.observed, None, (self._metric,)).scores[self._metric]["total"]
        if score is None or (self._best is not None and score <= self._best.score):
            return
        self._best = Chosen(epoch + 1, score)
        checkpoint.save(self._path, {"epoch": epoch + 1, "score": score, "module": self._phase.capture()})

    def take(self) -> Chosen:
        """Put the weights of the best epoch back.

        Raises:
            UserError: no epoch could be judged.
        """
        if self._best is None:
            raise UserError(f"{self._metric} is undefined on the validation rows", "leave --selection out")
        found = self._kept()
        assert found is not None, "what is kept lies on disk"
        self._phase.restore(found["module"])
        return self._best
