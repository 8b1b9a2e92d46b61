"""Other people's definitions, for golden vectors and side-by-side tables. Nothing here ranks: the contract does.

Each function states whose code it follows (repository, commit), and what sets it apart. Values are shares in [0, 1]
unless said otherwise. The originals sort unstably, so their order among equal scores depends on the library's version;
here the sort is stable, and each function says which way.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ltbench.metrics.ap import Array, Float, rank_columns
from ltbench.metrics.counts import f1, share

Triple = tuple[float, float, float]
Six = tuple[float, float, float, float, float, float]


def reversed_order(scores: Array) -> NDArray[np.intp]:
    """Rows of each column from the highest score to the lowest, equal scores in reversed row order; [n, C]."""
    return np.argsort(scores, axis=0, kind="stable")[::-1]


def rank_ap(positive: Array, order: Array, *, epsilon: float = 0.0, counted: Array | None = None) -> Float:
    """Mean over the positives of the precision at their rank; every row is a step of its own, 0 without a positive.

    Args:
        positive: bool [n, C].
        order: [n, C] rows from best to worst.
        epsilon: added to the number of positives.
        counted: bool [n, C]; rows to leave out of a class's ranking are false (default: none).

    Returns:
        [C].
    """
    hit = np.take_along_axis(positive, order, axis=0)
    here = np.ones(hit.shape, dtype=bool) if counted is None else np.take_along_axis(counted, order, axis=0)
    hit = hit & here
    precision = np.cumsum(hit, axis=0) / np.maximum(np.cumsum(here, axis=0), 1)
    number = hit.sum(axis=0)
    return np.where(number > 0, (precision * hit).sum(axis=0) / np.maximum(number + epsilon, epsilon or 1.0), 0.0)


def asl_ap(scores: Array, targets: Array, order: Array | None = None) -> Float:
    """AP as in ASL's helper, copied into DualCoOp (49e71d7), HSPNet (d3467c9), SPLC (dcfa4d5) and COMIC (1de14e5).

    1e-8 is added to the number of positives, ties follow the sort, any target but 1 is a negative, and a class without
    a positive gives 0 and *is* averaged. Without ``order``, equal scores come in reversed row order.

    Args:
        scores: [n, C].
        targets: [n, C].
        order: [n, C] to replay a recorded sort.
    """
    return rank_ap(targets == 1, reversed_order(scores) if order is None else order, epsilon=1e-8)


def sklearn_ap(scores: Array, targets: Array, *, unknown: int | None = None) -> Float:
    """AP over distinct scores with 0 for a class without a positive: LMPT, DB, DR, LESA, Cole, LargeLoss.

    Args:
        scores: [n, C].
        targets: [n, C]; 1 is positive.
        unknown: value of targets that takes no part (default: none).

    Returns:
        [C]; nan for a class whose every target is unknown.
    """
    truth = np.where(targets == 1, 1, -1).astype(np.int8)
    if unknown is not None:
        truth[targets == unknown] = 0
    once = np.ones((truth.shape[0], 1), dtype=np.int64)
    ap = np.array([float(column.average_precision(once)[0]) for column in rank_columns(scores, truth)])
    return np.where(np.isnan(ap) & (truth != 0).any(axis=0), 0.0, ap)


def top_k(scores: Array, k: int) -> NDArray[np.bool_]:
    """The last k of an ascending stable sort of each row (ties to the *highest* class index); bool [n, C]."""
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :k], True, axis=1)
    return chosen


def micro_at_k(scores: Array, targets: Array, k: int, *, drop_empty_rows: bool = False) -> Triple:
    """(P, R, F1) of each row's k highest: DualCoOp ``calc_F1``, BiAM (4e391f1), LESA (e40a7f2), SDL (769fe4f).

    P divides by rows times k even where fewer classes or unknown labels are ranked. Without a hit F1 is nan, as theirs.

    Args:
        scores: [n, C].
        targets: [n, C]; 1 is positive.
        k: at least 1.
        drop_empty_rows: leave out rows without a positive (SDL; LESA's ``is_exclude``).
    """
    positive = targets == 1
    if drop_empty_rows:
        kept = positive.any(axis=1)
        scores, positive = scores[kept], positive[kept]
    hits = float((top_k(scores, k) & positive).sum())
    precision = hits / (len(scores) * k) if len(scores) else np.nan
    recall = hits / float(positive.sum()) if positive.any() else np.nan
    return precision, recall, 2 * precision * recall / (precision + recall) if hits else np.nan


def dualcoop_validate(scores: Array, targets: Array) -> tuple[float, ...]:
    """(CP, CR, CF1, OP, OR, OF1, mAP) in percent of DualCoOp's and HSPNet's ``validate``: probability > 0.5.

    Means are over *all* classes, CF1 is the mean of per-class F1, mAP is :func:`asl_ap`.
    """
    tp, fp, fn = _counts(scores > 0.5, targets)
    of_class = [float(x.mean()) for x in (share(tp, tp + fp), share(tp, tp + fn), f1(tp, fp, fn))]
    all_tp, all_fp, all_fn = (np.atleast_1d(x.sum()) for x in (tp, fp, fn))
    overall = (share(all_tp, all_tp + all_fp), share(all_tp, all_tp + all_fn), f1(all_tp, all_fp, all_fn))
    return tuple(100 * v for v in (*of_class, *(float(x[0]) for x in overall), float(asl_ap(scores, targets).mean())))


def hcp_overall(logits: Array, targets: Array, k: int | None = None) -> Six:
    """(OP, OR, OF1, CP, CR, CF1) of SST/SARB (HCP-MLR-PL d9fd300), SSGRL and ML-GCN: logit >= 0.

    CF1 is the harmonic mean of CP and CR. A class never predicted counts as one wrong prediction; one never present
    makes CR nan.

    Args:
        logits: [n, C].
        targets: [n, C]; 1 is positive.
        k: only each row's k highest may be positive (default: all).
    """
    chosen = logits >= 0 if k is None else (logits >= 0) & top_k(logits, k)
    tp, fp, fn = _counts(chosen, targets)
    predicted = np.where(tp + fp == 0, 1.0, tp + fp)
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = tp.sum() / predicted.sum(), tp.sum() / (tp + fn).sum()
        of_class = float((tp / predicted).mean()), float((tp / (tp + fn)).mean())
        both = [float(v) for p, r in (overall, of_class) for v in (p, r, 2 * p * r / (p + r))]
    return both[0], both[1], both[2], both[3], both[4], both[5]


def voc2012_ap(scores: Array, targets: Array) -> Float:
    """Interpolated AP of HCP-MLR-PL's ``Compute_mAP_VOC2012``: area under the precision envelope, nan if no positive.

    Args:
        scores: [n, C]; equal scores keep their row order.
        targets: [n, C]; 1 is positive.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    hit = np.take_along_axis(targets == 1, order, axis=0)
    precision = np.cumsum(hit, axis=0) / np.arange(1, len(hit) + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    number = hit.sum(axis=0)
    return np.where(number > 0, (envelope * hit).sum(axis=0) / np.maximum(number, 1), np.nan)


def biam_ap(scores: Array, targets: Array) -> Float:
    """AP of BiAM's ``compute_AP``: by rank, labels 0 take no part, 0 without a positive (and averaged)."""
    order = np.argsort(-scores, axis=0, kind="stable")
    return rank_ap(targets == 1, order, counted=np.abs(targets) == 1)


def mlgcn_ap(scores: Array, targets: Array, *, difficult: bool) -> float:
    """AP of one class in ML-GCN (5517d6f): by rank; targets 0 are difficult objects, left out if ``difficult``."""
    order = np.argsort(-scores, kind="stable")[:, None]
    counted = (targets != 0)[:, None] if difficult else None
    return float(rank_ap((targets == 1)[:, None], order, counted=counted)[0])


def cole_at_k(scores: Array, targets: Array, k: int) -> Triple:
    """(recall, precision, share of rows with a hit) at k in Cole et al. (89152d5): image means, 0 if unlabelled."""
    positive = targets == 1
    hits = (top_k(scores, k) & positive).sum(axis=1)
    recall = hits / np.maximum(positive.sum(axis=1), 1)
    return float(recall.mean()), float((hits / k).mean()), float((hits > 0).mean())


def softmax(logits: Array, precision: Literal["float32", "float16"] = "float32") -> Array:
    """Softmax over classes as LMPT (aab39ca) judges it: rounded to float32, or computed from and rounded to float16."""
    x = np.asarray(logits, dtype=precision).astype(np.float32)
    shares = np.exp(x - x.max(axis=1, keepdims=True))
    found: Array = (shares / shares.sum(axis=1, keepdims=True)).astype(precision)
    return found


def sigmoid32(logits: Array) -> Array:
    """Sigmoid in float32, as DR (7e5a4d3) judges it: logits beyond about 17 all become 1 and tie."""
    return np.float32(1) / (np.float32(1) + np.exp(-np.asarray(logits, dtype=np.float32)))


def db_f1_and_accuracy(logits: Array, targets: Array) -> Triple:
    """(micro F1, macro F1, accuracy) of DistributionBalancedLoss (14460d0) at logit > 0; accuracy is over all pairs."""
    chosen = logits > 0
    tp, fp, fn = _counts(chosen, targets)
    micro = f1(*(np.atleast_1d(x.sum()) for x in (tp, fp, fn)))
    return float(micro[0]), float(f1(tp, fp, fn).mean()), float((chosen == (targets == 1)).mean())


def shot_map(ap: Array, train_counts: Array) -> tuple[float, float, float, float]:
    """(total, many, medium, few) mean AP in percent of COMIC (1de14e5): n >= 100, n >= 20, the rest; nan when empty."""
    many, few = train_counts >= 100, train_counts < 20
    groups = (np.ones(len(ap), dtype=bool), many, ~many & ~few, few)
    means = [100 * float(ap[g].mean()) if g.any() else np.nan for g in groups]
    return means[0], means[1], means[2], means[3]


def comic_recall_precision(scores: Array, targets: Array) -> tuple[float, float]:
    """(micro recall, micro precision) in percent of COMIC at probability > 0.5."""
    tp, fp, fn = (np.atleast_1d(x.sum()) for x in _counts(scores > 0.5, targets))
    return 100 * float(share(tp, tp + fn)[0]), 100 * float(share(tp, tp + fp)[0])


def _counts(chosen: NDArray[np.bool_], targets: Array) -> tuple[Float, Float, Float]:
    """Per class; every target but 1 is a negative."""
    positive = targets == 1
    parts = (chosen & positive, chosen & ~positive, ~chosen & positive)
    tp, fp, fn = (part.sum(axis=0).astype(np.float64) for part in parts)
    return tp, fp, fn
