"""What whoever trains a stage tells the engine while it trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ltbench.engine.checkpoint import State


@dataclass
class StageEvents:
    """What the engine wants to hear of.

    Attributes:
        on_step: called with the number of steps done (1 each time).
        on_epoch: called with (epoch just finished, mean loss terms, learning rate, seconds, those of them in which it
            waited for pictures, or for features from the cache).
        save: called with the state after each epoch; the engine decides where it goes.
    """

    on_step: Callable[[int], None]
    on_epoch: Callable[[int, dict[str, float], float, float, float], None]
    save: Callable[[State], None]
