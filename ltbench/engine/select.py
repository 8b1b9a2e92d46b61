"""``--methods``: names, ``suggested``, ``all`` and patterns such as ``*-linear`` become recipes that fit a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ltbench.engine.fit import NO_BACKBONE, lacks_on
from ltbench.engine.suggested import Suggestion, suggested
from ltbench.engine.sweep_plan import PlanItem
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.registry import resolve
from ltbench.tasks.task import Task

SUGGESTED = "suggested"
ALL = "all"


@dataclass(frozen=True)
class Selection:
    """Recipes for a task.

    Attributes:
        chosen: in the order in which they were asked for, each once.
        left_out: recipe of a set or pattern → in few words why it does not fit.
    """

    chosen: tuple[Suggestion, ...]
    left_out: dict[str, str]


def is_set(word: str) -> bool:
    """Whether a word stands for several recipes."""
    return word in (SUGGESTED, ALL) or any(sign in word for sign in "*?[")


def select(words: Sequence[str], task: Task, backbone: str | None = None) -> Selection:
    """Recipes that words stand for. Of sets and patterns only those that fit task and backbone; names as they are.

    Raises:
        UnknownName: a name that nobody registered.
        UserError: a pattern that fits no name, or nothing that fits the task.
    """
    chosen: dict[str, Suggestion] = {}
    left_out: dict[str, str] = {}
    for word in words:
        if not is_set(word):
            registry().methods.get(word)
            chosen.setdefault(word, Suggestion(word))
            left_out.pop(word, None)
            continue
        for one in _members(word, task):
            if one.method in chosen or one.method in left_out:
                continue
            lacks = lacks_on(registry().methods.get(one.method).spec, task, backbone, one.options)
            if lacks:
                left_out[one.method] = next(iter(lacks))
            else:
                chosen[one.method] = one
    if not chosen:
        hint = "--backbone NAME (ltbench list backbones)" if NO_BACKBONE in left_out.values() else (
            f"ltbench list methods --task {task.name}" + (f" --backbone {backbone}" if backbone else "")
        )  # fmt: skip
        why = ", ".join(dict.fromkeys(left_out.values()))
        raise UserError(f"none of {', '.join(words)} can run on {task.address} ({why})", hint)
    return Selection(tuple(chosen.values()), left_out)


def items_of(words: Sequence[str], addresses: Sequence[str], backbone: str | None = None) -> tuple[PlanItem, ...]:
    """Recipes of a sweep over tasks: each on those tasks of the sweep that it fits.

    Raises:
        UserError: as :func:`select`, of some task.
    """
    tasks = [task for address in addresses for task in resolve(address)]
    if not any(is_set(word) for word in words):
        return tuple(PlanItem(method=word) for word in words)
    where: dict[str, list[tuple[Suggestion, str]]] = {}
    for task in tasks:
        for one in select(words, task, backbone).chosen:
            where.setdefault(f"{one.method} {sorted(one.options.items())}", []).append((one, task.address))
    every = [task.address for task in tasks]
    return tuple(
        PlanItem(
            method=found[0][0].method,
            options=dict(found[0][0].options),
            tasks=() if [address for _, address in found] == every else tuple(address for _, address in found),
        )
        for found in where.values()
    )


def _members(word: str, task: Task) -> tuple[Suggestion, ...]:
    """All that a word stands for.

    Raises:
        UserError: no name fits a pattern.
    """
    known = registry().methods
    if word == SUGGESTED:
        # A distribution may lack some of the plugins.
        return tuple(one for one in suggested(task) if one.method in known)
    names = [name for name in known.names() if word == ALL or fnmatchcase(name, word)]
    if not names:
        raise UserError(f"no method is called {word!r}", "ltbench list methods")
    return tuple(Suggestion(name) for name in names)
