"""Rows of a section in a sentence: the few that it is about, or the few that it is not about."""

from __future__ import annotations

from collections.abc import Sequence

#: Rows that a sentence is about for each that it names as left out, at least.
_FEW = 4


def named(labels: Sequence[str], of: Sequence[str]) -> str:
    """Names, or ``all rows``, or ``all rows but`` those of which there are few.

    Args:
        labels: of the rows that are meant, in order.
        of: of all rows of the section.
    """
    left = [label for label in of if label not in labels]
    if len(of) > 1 and not left:
        return "all rows"
    if left and _FEW * len(left) <= len(labels):
        return f"all rows but {', '.join(left)}"
    return ", ".join(labels)
