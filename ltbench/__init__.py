"""ltbench: which method should I use when my multi-label images are long-tailed, partly labelled, or unseen?

The public API in one screen; everything is imported on first use, so ``import ltbench`` imports no torch::

    import ltbench

    ltbench.tasks()                                   # names of tasks; methods() and backbones() likewise
    task = ltbench.load_task("shapes-lt")             # a frozen description: classes, protocol, groups, fingerprints
    done = ltbench.run("shapes-lt", "zero-shot")      # one run, one record
    done[0].record.scores["mAP"]["total"]
    ltbench.leaderboard("ltbench-runs", "shapes-lt")  # a pandas frame, one row a metric and subset
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltbench.api import backbones, leaderboard, load_task, methods, run, tasks

__all__ = ["backbones", "leaderboard", "load_task", "methods", "run", "tasks"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in __all__:
        from ltbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'ltbench' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
