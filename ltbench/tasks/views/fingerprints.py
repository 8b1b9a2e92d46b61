"""Comparing the fingerprints that a task pins with those of the data as found."""

from __future__ import annotations

from collections.abc import Callable

from ltbench.plugin.errors import UserError
from ltbench.tasks.task import Fingerprints, Task

#: Most likely reason for a mismatch, by fingerprint.
_CAUSES = {
    "class_names": "another class order or spelling",
    "train_ids": "another split under the same name, or rows added or removed",
    "observed_labels": "another mask draw or another version of the protocol",
    "train_labels": "another annotation release, or 'difficult' objects counted differently",
    "val_ids": "another validation split",
    "test_ids": "another test split, or images filtered out",
    "test_labels": "another annotation release, or 'difficult' objects counted differently",
    "captions": "captions from another source or in another order",
    "groups": "other group thresholds (n >= 100 and n >= 20 are meant), or other counts",
    "images": "image files were replaced, re-encoded or resized",
}


def compare_fingerprints(pinned: Fingerprints, found: Fingerprints) -> list[str]:
    """One line for every pinned hash that differs: both hashes and the likely cause."""
    problems = []
    for name in Fingerprints.model_fields:
        expected, actual = getattr(pinned, name), getattr(found, name)
        if expected is not None and actual is not None and expected != actual:
            problems.append(f"{name}: expected sha256 {expected}, found {actual} (likely {_CAUSES[name]})")
    return problems


def check_fingerprints(
    task: Task, found: Fingerprints, rows: int | None = None, complete: Callable[[Task], str] | None = None
) -> None:
    """Refuse data that is not the task's.

    Args:
        task: what is pinned.
        found: what the data give.
        rows: number of test rows found; what lies apart from the pinned number is said first, as it says more than
            a hash does.
        complete: says how to get the rows that are missing; asked only where some are.

    Raises:
        UserError: names every fingerprint that differs, with both hashes and the likely cause.
    """
    problems = compare_fingerprints(task.fingerprints, found)
    if not problems:
        return
    pinned = task.counts.test_rows
    fewer = rows is not None and pinned is not None and rows < pinned
    counted = f"{rows:,} of its {pinned:,} test rows are listed here; " if fewer else ""
    raise UserError(
        f"task {task.address}: {counted}the data are not those of version {task.version}: {'; '.join(problems)}",
        complete(task) if fewer and complete else f"ltbench show task {task.name}",
    )
