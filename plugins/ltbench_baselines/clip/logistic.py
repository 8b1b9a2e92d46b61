"""L2-regularised logistic regression, one class at a time, with C chosen by cross-validation on observed labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from ltbench.method import SILENT, Reporter
from ltbench.plugin import UserError

Floats: TypeAlias = npt.NDArray[np.float64]
Labels: TypeAlias = npt.NDArray[np.int8]
Choice: TypeAlias = Literal["common", "per-class"]


@dataclass(frozen=True)
class LogisticFit:
    """Fitted classifiers; logits are ``features @ weight.T + bias``.

    Attributes:
        weight: float64 [C, D].
        bias: float64 [C].
        c: float64 [C], inverse regularisation strength of each class; NaN where nothing was fitted.
        heldout_loss: float64 [C, G], log-loss in nats on held-out folds for each value of the grid; NaN for classes
            that took no part in the choice. Empty [C, 0] when C was given.
    """

    weight: Floats
    bias: Floats
    c: Floats
    heldout_loss: Floats


def fit_logistic(
    features: Floats,
    observed: Labels,
    *,
    grid: Sequence[float],
    folds: int = 5,
    choice: Choice = "common",
    c: float | None = None,
    max_iter: int = 1000,
    reporter: Reporter = SILENT,
) -> LogisticFit:
    """Fit one logistic regression a class by L-BFGS: minimise ``|w|^2 / 2 + C sum_k log(1 + exp(-y_k (w x_k + b)))``.

    Unknown labels are left out class by class. A class without observed positives, or without observed negatives, gets
    the constant logit ``ln((n_pos + 1/2) / (n_neg + 1/2))``. C is chosen by stratified cross-validation with the mean
    log-loss of held-out rows. Classes with fewer positives or negatives than folds cannot be split: they take the C
    chosen over the others. When no class has enough for `folds`, the largest number of folds that fits one is taken.

    Args:
        features: float64 [N, D]; they are not normalised here.
        observed: int8 [N, C] in {+1, -1, 0}.
        grid: values of C to choose from, ascending.
        folds: folds of the cross-validation; drawn from a fixed seed, so that the fit is a function of the data.
        choice: ``common``: one C for all classes, of the lowest held-out log-loss averaged over classes;
            ``per-class``: each class its own.
        c: take this C and choose nothing.
        max_iter: iteration limit of L-BFGS.
        reporter: told how many classes are done.

    Raises:
        UserError: C is to be chosen, and no class has two positives and two negatives.
    """
    reduced, back = _row_space(features)
    classes = observed.shape[1]
    fitted = [k for k in range(classes) if (observed[:, k] == 1).any() and (observed[:, k] == -1).any()]
    chosen = np.full(classes, np.nan)
    losses = np.full((classes, 0 if c is not None else len(grid)), np.nan)
    if c is not None:
        chosen[fitted] = c
    elif fitted:
        used = _usable_folds(observed, folds)
        splittable = _splittable(observed, used)
        with reporter.task("choosing C", len(splittable)) as advance:
            for k in splittable:
                losses[k] = _heldout_loss(reduced, observed[:, k], grid, used, max_iter)
                advance(1)
        chosen[fitted] = _choose(losses, grid, choice)[fitted]
    weight = np.zeros((classes, features.shape[1]))
    bias = np.log(((observed == 1).sum(axis=0) + 0.5) / ((observed == -1).sum(axis=0) + 0.5))
    for k in fitted:
        known = observed[:, k] != 0
        model = LogisticRegression(C=chosen[k], max_iter=max_iter).fit(reduced[known], observed[known, k])
        weight[k] = back @ model.coef_[0]
        bias[k] = model.intercept_[0]
    return LogisticFit(weight, bias, chosen, losses)


def _row_space(features: Floats) -> tuple[Floats, Floats]:
    """Coordinates of the rows in an orthonormal basis of their span, and the basis [D, r].

    The optimum lies in that span and the penalty does not change under rotation, so nothing but time is lost where
    there are fewer rows than dimensions.
    """
    rows, dim = features.shape
    if rows >= dim:
        return features, np.eye(dim)
    left, scale, right = np.linalg.svd(features, full_matrices=False)
    keep = scale > scale[0] * max(rows, dim) * np.finfo(np.float64).eps if scale.size else np.zeros(0, dtype=bool)
    return left[:, keep] * scale[keep], right[keep].T


def _splittable(observed: Labels, folds: int) -> list[int]:
    """Classes with at least one positive and one negative for every fold."""
    fewest = np.minimum((observed == 1).sum(axis=0), (observed == -1).sum(axis=0))
    return [int(k) for k in np.flatnonzero(fewest >= folds)]


def _usable_folds(observed: Labels, folds: int) -> int:
    fewest = np.minimum((observed == 1).sum(axis=0), (observed == -1).sum(axis=0)).max(initial=0)
    if fewest < 2:
        raise UserError(
            "C cannot be chosen by cross-validation: no class has two observed positives and two observed negatives",
            "ltbench run … -o c=1",
        )
    return int(min(folds, fewest))


def _heldout_loss(features: Floats, column: Labels, grid: Sequence[float], folds: int, max_iter: int) -> Floats:
    """Mean log-loss in nats of held-out rows for each C [G]."""
    known = column != 0
    inputs, labels = features[known], column[known].astype(np.float64)
    total = np.zeros(len(grid))
    for train, held in StratifiedKFold(folds, shuffle=True, random_state=0).split(inputs, labels):
        model = LogisticRegression(max_iter=max_iter, warm_start=True)
        for position, value in enumerate(grid):
            # Neighbouring values of C have neighbouring optima: each fit starts from the last one.
            model.set_params(C=value).fit(inputs[train], labels[train])
            scores = model.decision_function(inputs[held])
            total[position] += np.logaddexp(0.0, -labels[held] * scores).sum()
    return total / len(labels)


def _choose(losses: Floats, grid: Sequence[float], choice: Choice) -> Floats:
    """C of each class [C]; ties go to the stronger regularisation."""
    values = np.asarray(grid, dtype=np.float64)
    measured = ~np.isnan(losses).any(axis=1)
    common = values[int(losses[measured].mean(axis=0).argmin())]
    chosen = np.full(len(losses), common)
    if choice == "per-class":
        chosen[measured] = values[losses[measured].argmin(axis=1)]
    return chosen
