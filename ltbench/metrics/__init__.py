"""How it is judged: the contract states every convention; ``reference`` keeps other definitions for comparison."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltbench.metrics.ap import average_precision
    from ltbench.metrics.bootstrap import Difference, Intervals, bootstrap_intervals, paired_bootstrap, seed_interval
    from ltbench.metrics.contract import METRICS, Metric, Scores, evaluate, metric, per_class_ap
    from ltbench.metrics.errors import MetricError

__all__ = [
    "METRICS",
    "Difference",
    "Intervals",
    "Metric",
    "MetricError",
    "Scores",
    "average_precision",
    "bootstrap_intervals",
    "evaluate",
    "metric",
    "paired_bootstrap",
    "per_class_ap",
    "seed_interval",
]

# Where each name lives. Registering metrics imports this package, and lists of tasks must not wait for numpy.
_HOMES = {
    "ap": ("average_precision",),
    "bootstrap": ("Difference", "Intervals", "bootstrap_intervals", "paired_bootstrap", "seed_interval"),
    "contract": ("METRICS", "Metric", "Scores", "evaluate", "metric", "per_class_ap"),
    "errors": ("MetricError",),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
