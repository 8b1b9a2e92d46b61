"""What comes of stating a record's facts again: who can, is above this layer; what it found, is told here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ltbench.records.record import RunRecord
from ltbench.tasks.task import Task


@dataclass
class Restated:
    """Outcome of stating a record's facts again.

    Attributes:
        problems: facts that are wrong, one line each.
        unchecked: facts that nothing here can check, one line each.
        checked: what was compared, in order.
    """

    problems: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)

    def add(self, problems: Iterable[str]) -> None:
        """Remember what is wrong."""
        self.problems.extend(problems)

    def skip(self, what: str) -> None:
        """Remember what was not checked, and why."""
        self.unchecked.append(f"not checked: {what}")


#: States the facts of a record again, for the task that it names.
Restate = Callable[[RunRecord, Task], Restated]
