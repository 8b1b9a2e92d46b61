"""A method cut to a few steps, and who counts them and interrupts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ltbench.data.progress import Advance
from ltbench.method import Context, GradientStage, Method, Needs, Stage

EPOCHS = 3
BATCH = 8

StageHook = Callable[[Sequence[Stage], Context], None]


class Interrupted(BaseException):
    """Stands in for a killed process, so it is no Exception: nothing may catch it."""


class Short(Method):
    """A method whose gradient stages are cut to a few small epochs; everything else is the method's own."""

    def __init__(self, method: Method, on_stages: StageHook | None = None) -> None:
        self.config = method.config
        self.method = method
        self.on_stages = on_stages

    def needs(self) -> Needs:
        """The method's own."""
        return self.method.needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        """The method's own, at most 3 epochs of batches of at most 8 rows."""
        stages = [
            replace(stage, epochs=min(stage.epochs, EPOCHS), batch_size=min(stage.batch_size, BATCH))
            if isinstance(stage, GradientStage)
            else stage
            for stage in self.method.stages(context)
        ]
        if self.on_stages is not None:
            self.on_stages(stages, context)
        return stages


@dataclass
class Watcher:
    """Counts the training steps of a run; calls back at each, and interrupts the run at the asked one."""

    stop_at: int = -1
    on_step: Callable[[int], None] | None = None
    steps: int = 0

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Count what advances a bar of training."""
        yield self._advance if label.startswith("training") else (lambda n: None)

    def line(self, text: str) -> None:
        """Drop the line."""

    def _advance(self, n: int) -> None:
        self.steps += n
        if self.on_step is not None:
            self.on_step(self.steps)
        if self.steps == self.stop_at:
            raise Interrupted
