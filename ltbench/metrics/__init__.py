"""How it is judged: the contract states every convention; ``reference`` keeps other definitions for comparison."""

from __future__ import annotations

from ltbench.metrics.ap import average_precision
from ltbench.metrics.bootstrap import Difference, Intervals, bootstrap_intervals, paired_bootstrap, seed_interval
from ltbench.metrics.contract import CONTRACT_VERSION, METRICS, Metric, Scores, evaluate, metric, per_class_ap
from ltbench.metrics.errors import MetricError

__all__ = [
    "CONTRACT_VERSION",
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
