"""How a run may end badly."""

from __future__ import annotations


class Diverged(Exception):
    """A loss is no longer finite.

    Attributes:
        step: 1-based step within the stage.
    """

    def __init__(self, stage: str, step: int, what: str) -> None:
        super().__init__(f"{what} in stage {stage!r} at step {step}")
        self.step = step


class OutOfTime(Exception):
    """A time cap passed before training ended."""
