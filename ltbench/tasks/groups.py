"""Groups of classes for scoring: head, medium and tail by observed counts, and lists fixed by the task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ltbench.tasks.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEAD, MEDIUM, TAIL = "head", "medium", "tail"


class FixedGroup(BaseModel):
    """A group that the task lists by name, whatever the counts.

    Attributes:
        name: of the group (``seen``).
        classes: class names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    classes: tuple[str, ...]


class GroupRule(BaseModel):
    """How classes are grouped.

    Attributes:
        by_count: make head, medium and tail from counts.
        head_from: head has at least this many positives (the papers print ">100"; their counts need ">=").
        medium_from: medium has at least this many and fewer than ``head_from``; tail has fewer.
        fixed: further groups, listed by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by_count: bool = True
    head_from: int = Field(default=100, ge=1)
    medium_from: int = Field(default=20, ge=0)
    fixed: tuple[FixedGroup, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> GroupRule:
        if self.medium_from > self.head_from:
            raise ValueError(f"medium starts at {self.medium_from}, above head at {self.head_from}")
        names = [group.name for group in self.fixed] + ([HEAD, MEDIUM, TAIL] if self.by_count else [])
        if len(set(names)) != len(names) or "total" in names:
            raise ValueError(f"group names repeat, or use the reserved 'total': {names}")
        return self

    @classmethod
    def zero_shot(cls, seen: Iterable[str], unseen: Iterable[str]) -> GroupRule:
        """Groups ``seen`` and ``unseen``, none by count."""
        groups = (FixedGroup(name="seen", classes=tuple(seen)), FixedGroup(name="unseen", classes=tuple(unseen)))
        return cls(by_count=False, fixed=groups)


def positive_counts(labels: NDArray[np.signedinteger[Any]]) -> tuple[int, ...]:
    """Number of +1 per class of labels [N, C]."""
    return tuple(int(count) for count in (labels == 1).sum(axis=0))


def groups_from_counts(
    counts: Sequence[int] | NDArray[np.integer[Any]],
    rule: GroupRule,
    class_names: Sequence[str] | None = None,
    suffix: str = "",
) -> dict[str, tuple[int, ...]]:
    """Group name → class numbers, ascending; a group may be empty.

    Args:
        counts: [C] positives per class, usually the *observed* ones of the task setting.
        rule: how to group.
        class_names: [C]; needed where the rule has fixed groups.
        suffix: added to head, medium and tail (``_fixed`` for groups by complete counts beside those by observed ones).

    Raises:
        ProtocolError: fixed groups without class names or with names that are none, or counts that do not fit.
    """
    numbers = [int(count) for count in counts]
    if class_names is not None and len(class_names) != len(numbers):
        raise ProtocolError(f"{len(numbers)} counts for {len(class_names)} class names")
    if any(count < 0 for count in numbers):
        raise ProtocolError(f"counts must not be negative: {numbers}")
    groups: dict[str, tuple[int, ...]] = {}
    if rule.by_count:
        bounds = {
            HEAD: (rule.head_from, None),
            MEDIUM: (rule.medium_from, rule.head_from),
            TAIL: (0, rule.medium_from),
        }
        for name, (low, high) in bounds.items():
            inside = (c for c, n in enumerate(numbers) if n >= low and (high is None or n < high))
            groups[name + suffix] = tuple(inside)
    if rule.fixed:
        if class_names is None:
            raise ProtocolError("fixed groups are listed by name: class names are needed")
        column = {name: c for c, name in enumerate(class_names)}
        for group in rule.fixed:
            stray = [name for name in group.classes if name not in column]
            if stray:
                raise ProtocolError(f"group {group.name!r} lists {stray}, which are not classes")
            groups[group.name] = tuple(sorted(column[name] for name in group.classes))
    return groups
