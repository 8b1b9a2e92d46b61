"""What the metric contract refuses to judge."""

from __future__ import annotations


class MetricError(ValueError):
    """Logits, labels, groups or metric names that the contract cannot judge; the message says which and where."""
