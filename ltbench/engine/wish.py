"""What ``ltbench recommend`` is asked for, and what it did: values that the steps hand on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ltbench.backbones.options import EncodeDtype
from ltbench.engine.budget import Extent
from ltbench.engine.run import Finished
from ltbench.engine.suggested import Suggestion
from ltbench.tasks.defaults import Chosen
from ltbench.tasks.task import Task

TRIALS = 8
SHARES = (0.25, 0.5)


@dataclass(frozen=True)
class Wish:
    """What is asked.

    Attributes:
        methods: names, ``suggested``, ``all`` or patterns.
        trials: configurations tried of each method that has something to tune.
        shares: of the training rows, for the curve of the best method.
        budget: seconds for everything; None for as long as it takes.
    """

    task: Task
    backbone: str | None = None
    methods: tuple[str, ...] = ("suggested",)
    trials: int = TRIALS
    seeds: tuple[int, ...] = (0, 1, 2)
    shares: tuple[float, ...] = SHARES
    budget: float | None = None
    weights: str | None = None
    image_size: int | None = None
    dtype: EncodeDtype = "float32"
    device: str = "auto"
    threads: int = 1
    workers: int | None = None
    data_root: Path | None = None
    out: Path = Path("ltbench-runs")


@dataclass(frozen=True)
class Tried:
    """One method.

    Attributes:
        trials: how many there were.
        score: best on validation rows, percent; None where none completed.
        why_out: why it was not run; empty where it was.
        runs: one a seed, completed or not.
    """

    suggestion: Suggestion
    trials: int = 0
    score: float | None = None
    why_out: str = ""
    runs: tuple[Finished, ...] = ()

    @property
    def completed(self) -> tuple[Finished, ...]:
        """Runs with scores."""
        return tuple(one for one in self.runs if one.record.status == "completed")


@dataclass(frozen=True)
class Outcome:
    """What was done.

    Attributes:
        tried: methods in order of worth, those that were left out on the way too.
        left_out: methods of a set that do not fit → why.
        curve: share → runs of the best method that learns, on that share of the training rows.
        learner: that method; None where none learns, or there was no time.
        held_out: validation rows are a share of the training rows, because the task has none.
        seconds: from start to end, of this process.
        folder: for the report.
    """

    wish: Wish
    backbone: Chosen
    extent: Extent
    tried: tuple[Tried, ...]
    left_out: dict[str, str]
    curve: dict[float, tuple[Finished, ...]] = field(default_factory=dict)
    learner: Tried | None = None
    held_out: bool = False
    seconds: float = 0.0
    folder: Path = Path()
