"""What is judged: checked logits and labels, cut to the rows and columns that count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.ap import Array, Index, RankedColumn, rank_columns
from ltbench.metrics.errors import MetricError

TOTAL = "total"

#: Subset name → column numbers of the uncut matrix.
Groups = Mapping[str, Sequence[int] | Index]


class Options(TypedDict, total=False):
    """What else decides a judgement; all optional.

    Attributes:
        calibrated: the logits mean probability = sigmoid(logit) (default). If not, threshold metrics are ``None``
            unless ``decisions`` are given.
        decisions: bool [n, C]; default logit > 0.
        rows: row numbers, or a bool mask [n], that count (default: all).
        columns: column numbers that count, cut *before* softmax and top-k (default: all). Groups keep what is left.
        class_names: [C], for error messages.
        row_names: [n], for error messages.
    """

    calibrated: bool
    decisions: Array | None
    rows: Array | Sequence[int] | None
    columns: Array | Sequence[int] | None
    class_names: Sequence[str] | None
    row_names: Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Judged:
    """Input of every metric; make it with :func:`judged`.

    Attributes:
        logits: float32 [n, C], finite.
        truth: int8 [n, C] in {+1, -1, 0}; 0 is unknown and ignored.
        decisions: bool [n, C], or ``None`` for uncalibrated logits.
        subsets: name → positions among the C columns; ``total`` holds all of them.
        columns: original column numbers of the C columns.
    """

    logits: NDArray[np.float32]
    truth: NDArray[np.int8]
    decisions: NDArray[np.bool_] | None
    subsets: Mapping[str, Index]
    columns: tuple[int, ...]

    @cached_property
    def ranked(self) -> Sequence[RankedColumn]:
        """Every class sorted by its logits."""
        return rank_columns(self.logits, self.truth)


def judged(logits: Array, truth: Array, groups: Groups | None = None, **options: Unpack[Options]) -> Judged:
    """Check what a run left behind, and cut it to what counts.

    Args:
        logits: float32 [n, C]; judged as they are, before any saturating transform.
        truth: signed integers [n, C] in {+1, -1, 0}.
        groups: subset name → column numbers (of the uncut matrix); ``total`` is always there and cannot be given.
        **options: see :class:`Options`.

    Raises:
        MetricError: a wrong shape, kind or value; names row and class where there are such.
    """
    logits, truth = np.asarray(logits), np.asarray(truth)
    _check_matrices(logits, truth, options.get("class_names"), options.get("row_names"))
    decisions = options.get("decisions")
    if decisions is not None:
        decisions = np.asarray(decisions)
        if decisions.shape != logits.shape or decisions.dtype != np.bool_:
            raise MetricError(f"decisions must be bool {logits.shape}, got {decisions.dtype} {decisions.shape}")
    elif options.get("calibrated", True):
        decisions = logits > 0
    n, classes = logits.shape
    kept_rows = _rows(options.get("rows"), n)
    kept_columns = _columns(options.get("columns"), classes, "columns")
    position = np.full(classes, -1)
    position[kept_columns] = np.arange(kept_columns.size)
    subsets: dict[str, Index] = {TOTAL: np.arange(kept_columns.size)}
    for name, members in (groups or {}).items():
        if name == TOTAL:
            raise MetricError(f"{TOTAL!r} is the name of the subset of all classes; call the group otherwise")
        inside = position[_columns(members, classes, f"group {name!r}")]
        subsets[name] = inside[inside >= 0]
    cut = np.ix_(kept_rows, kept_columns)
    return Judged(
        logits=np.ascontiguousarray(logits[cut]),
        truth=np.ascontiguousarray(truth[cut], dtype=np.int8),
        decisions=None if decisions is None else decisions[cut],
        subsets=subsets,
        columns=tuple(int(c) for c in kept_columns),
    )


def _check_matrices(
    logits: Array, truth: Array, class_names: Sequence[str] | None, row_names: Sequence[str] | None
) -> None:
    if logits.ndim != 2 or logits.dtype != np.float32:
        raise MetricError(f"logits must be a float32 matrix [n, C], got {logits.dtype} {logits.shape}")
    if truth.shape != logits.shape:
        raise MetricError(f"truth has shape {truth.shape}, logits have {logits.shape}")
    # Unsigned and boolean labels cannot say "absent": their 0 would be read as unknown.
    if truth.dtype.kind != "i":
        raise MetricError(f"truth must be signed integers in {{-1, 0, 1}}, got {truth.dtype}")
    n, classes = logits.shape
    if n == 0 or classes == 0:
        raise MetricError(f"nothing to judge: logits have shape {logits.shape}")
    for given, size, what in ((class_names, classes, "class names"), (row_names, n, "row names")):
        if given is not None and len(given) != size:
            raise MetricError(f"{len(given)} {what} for {size} in the logits")

    def place(bad: NDArray[np.bool_]) -> tuple[int, int, str]:
        row, column = (int(i) for i in np.argwhere(bad)[0])
        row_name = f" ({row_names[row]!r})" if row_names is not None else ""
        class_name = f" ({class_names[column]!r})" if class_names is not None else ""
        return row, column, f"at row {row}{row_name}, class {column}{class_name}; {int(bad.sum())} such value(s)"

    bad = ~np.isfinite(logits)
    if bad.any():
        row, column, where = place(bad)
        raise MetricError(f"logit {logits[row, column]} is not finite {where}")
    bad = (truth < -1) | (truth > 1)
    if bad.any():
        row, column, where = place(bad)
        raise MetricError(f"label {truth[row, column]} is outside {{-1, 0, 1}} {where}")


def _rows(rows: Array | Sequence[int] | None, n: int) -> Index:
    if rows is None:
        return np.arange(n)
    chosen = np.asarray(rows)
    if chosen.dtype == np.bool_:
        if chosen.shape != (n,):
            raise MetricError(f"the row mask has shape {chosen.shape}, not ({n},)")
        chosen = np.flatnonzero(chosen)
    chosen = _numbers(chosen, n, "rows")
    if chosen.size == 0:
        raise MetricError("no row is left to judge")
    return chosen


def _columns(columns: Any, classes: int, what: str) -> Index:
    if columns is None:
        return np.arange(classes)
    chosen = _numbers(np.asarray(columns), classes, what)
    if chosen.size == 0 and what == "columns":
        raise MetricError("no column is left to judge")
    return chosen


def _numbers(chosen: Array, size: int, what: str) -> Index:
    if chosen.size == 0:
        return np.empty(0, dtype=np.intp)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise MetricError(f"{what} must be a list of numbers, got {chosen.dtype} {chosen.shape}")
    if chosen.min() < 0 or chosen.max() >= size:
        raise MetricError(f"{what} must lie in 0..{size - 1}, got {int(chosen.min())}..{int(chosen.max())}")
    if np.unique(chosen).size != chosen.size:
        raise MetricError(f"{what} repeat a number")
    return chosen.astype(np.intp)
