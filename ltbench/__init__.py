"""ltbench: which method should I use when my multi-label images are long-tailed, partly labelled, or unseen?

The public API in one screen; everything is imported on first use, so ``import ltbench`` imports no torch::

    import ltbench

    ltbench.tasks()                                   # names of tasks; methods() and backbones() likewise
    task = ltbench.load_task("shapes-lt")             # a frozen description: classes, protocol, groups, fingerprints
    done = ltbench.run("shapes-lt", "zero-shot")      # one run, one record
    done[0].record.scores["mAP"]["total"]
    ltbench.leaderboard("ltbench-runs", "shapes-lt")  # a pandas frame, one row a metric and subset
    ltbench.predict(done[0], ["photo.jpg"])           # a pandas frame, one row a picture
    ltbench.recommend("shapes-lt").verdict            # which method to use, in sentences

:func:`sweep` runs many, :func:`compare` sets two rows against each other, :func:`verify` scores records again.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltbench.api import (
        backbones,
        compare,
        leaderboard,
        load_task,
        methods,
        predict,
        recommend,
        run,
        sweep,
        tasks,
        verify,
    )

__all__ = [
    "backbones",
    "compare",
    "leaderboard",
    "load_task",
    "methods",
    "predict",
    "recommend",
    "run",
    "sweep",
    "tasks",
    "verify",
]

_ALSO_PACKAGES = ("backbones", "tasks")


class _Names(ModuleType):
    """A subpackage that lists names when it is called: ``ltbench.tasks()`` beside ``ltbench.tasks.task``."""

    def __call__(self) -> list[str]:
        from ltbench import api

        names: list[str] = getattr(api, self.__name__.rpartition(".")[2])()
        return names


class _Package(ModuleType):
    """Importing a subpackage makes it an attribute here, whenever that happens; two of them share a public name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ALSO_PACKAGES and isinstance(value, ModuleType):
            value.__class__ = _Names
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _ALSO_PACKAGES:
        return importlib.import_module(f"ltbench.{name}")
    if name in __all__:
        from ltbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'ltbench' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


sys.modules[__name__].__class__ = _Package
