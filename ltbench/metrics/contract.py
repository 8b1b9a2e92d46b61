"""The metric contract: every convention by which ltbench judges logits (design section 4).

All values are percent. Means over classes are unweighted; a class without a positive in the test labels is left out of
them and listed. Sums over all pairs keep it: a false alarm there is one. Unknown labels (0) are ignored. P, R and F1
are 0 when there is no true positive. Within a group, top-k metrics count the group's share of each image's k highest
logits over all judged columns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from ltbench.metrics.ap import Array, Float, Index, RankedColumn, rank_columns, softmax_log_odds
from ltbench.metrics.counts import ClassCounts, f1, harmonic, mean_where, share, top_k_decisions
from ltbench.metrics.errors import MetricError
from ltbench.metrics.filtered import SUFFIX, Filtered
from ltbench.metrics.judged import Groups, Judged, Options, judged

#: Per-class quantities of all replicates: name → [C, R].
PerClass = Mapping[str, Float]
#: What a source gives for a judged input: multiplicities [n, R] → per-class quantities.
Measure = Callable[[Array], PerClass]
#: Sorts or decides once; ``None`` when the input does not allow it (threshold metrics of uncalibrated logits).
Source = Callable[[Judged], Measure | None]


@dataclass(frozen=True)
class Metric:
    """A named metric.

    Attributes:
        name: how tasks name it.
        definition: one line.
        source: what is counted per class; metrics that share a source share its work.
        reduce: (per-class quantities, positions of the subset's classes) → share in [0, 1] per replicate, [R]; nan is
            undefined.
    """

    name: str
    definition: str
    source: Source
    reduce: Callable[[PerClass, Index], Float]


def ranking(data: Judged) -> Measure:
    """Source ``ap``: average precision of every class by its logits."""
    return _ranked(data.ranked)


def softmax_ranking(data: Judged) -> Measure:
    """Source ``ap``: average precision of every class by the softmax over the judged columns."""
    return _ranked(rank_columns(softmax_log_odds(data.logits), data.truth))


def _ranked(ranked: Sequence[RankedColumn]) -> Measure:
    return lambda weights: {"ap": np.stack([column.average_precision(weights) for column in ranked])}


def thresholded(data: Judged) -> Measure | None:
    """Source ``tp``, ``fp``, ``fn`` of the decisions (logit > 0 unless given)."""
    return None if data.decisions is None else _counted(ClassCounts(data.decisions, data.truth))


def above_zero(data: Judged) -> Measure:
    """Source ``tp``, ``fp``, ``fn`` of logit > 0, whatever decisions there are and whatever the logits mean."""
    return _counted(ClassCounts(data.logits > 0, data.truth))


@dataclass(frozen=True)
class TopK:
    """Source ``tp``, ``fp``, ``fn`` of each image's k highest logits among the judged columns."""

    k: int

    def __call__(self, data: Judged) -> Measure:
        return _counted(ClassCounts(top_k_decisions(data.logits, self.k), data.truth))


def _counted(classes: ClassCounts) -> Measure:
    return lambda weights: dict(zip(("tp", "fp", "fn"), classes.counts(weights), strict=True))


def _mean_ap(measured: PerClass, subset: Index) -> Float:
    ap = measured["ap"][subset]
    return mean_where(ap, ~np.isnan(ap))


def _class_mean(value: Callable[[Float, Float, Float], Float]) -> Callable[[PerClass, Index], Float]:
    def reduce(measured: PerClass, subset: Index) -> Float:
        tp, fp, fn = (measured[name][subset] for name in ("tp", "fp", "fn"))
        return mean_where(value(tp, fp, fn), tp + fn > 0)

    return reduce


def _micro(value: Callable[[Float, Float, Float], Float]) -> Callable[[PerClass, Index], Float]:
    def reduce(measured: PerClass, subset: Index) -> Float:
        return value(*(measured[name][subset].sum(axis=0) for name in ("tp", "fp", "fn")))

    return reduce


def _precision(tp: Float, fp: Float, fn: Float) -> Float:
    return share(tp, tp + fp)


def _recall(tp: Float, fp: Float, fn: Float) -> Float:
    return share(tp, tp + fn)


def _f1_of_means(measured: PerClass, subset: Index) -> Float:
    return harmonic(_class_mean(_precision)(measured, subset), _class_mean(_recall)(measured, subset))


def _top_k(k: int) -> list[Metric]:
    of = f"of each image's {k} highest logits (ties to the lowest class index), over all images and classes together"
    return [
        Metric(f"P@{k}", f"precision {of}", TopK(k), _micro(_precision)),
        Metric(f"R@{k}", f"recall {of}", TopK(k), _micro(_recall)),
        Metric(f"F1@{k}", f"F1 {of}", TopK(k), _micro(f1)),
    ]


#: The contract's metrics by name. ``P@k``, ``R@k`` and ``F1@k`` exist for every k, and each metric filtered: see
#: :func:`metric`.
METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("mAP", "mean over classes of average precision, ties as one step, no interpolation", ranking, _mean_ap),
        Metric("mAP_softmax", "mAP by the softmax over the judged classes in float64", softmax_ranking, _mean_ap),
        Metric("CP", "mean over classes of precision at logit > 0", thresholded, _class_mean(_precision)),
        Metric("CR", "mean over classes of recall at logit > 0", thresholded, _class_mean(_recall)),
        Metric("CF1", "mean over classes of F1 at logit > 0", thresholded, _class_mean(f1)),
        Metric("CF1_of_means", "harmonic mean of CP and CR", thresholded, _f1_of_means),
        Metric("OP", "precision at logit > 0 over all images and classes together", thresholded, _micro(_precision)),
        Metric("OR", "recall at logit > 0 over all images and classes together", thresholded, _micro(_recall)),
        Metric("OF1", "F1 at logit > 0 over all images and classes together", thresholded, _micro(f1)),
        Metric(
            "OR_half", "OR also of logits that are no probabilities, as COMIC prints it", above_zero, _micro(_recall)
        ),
        *_top_k(3),
        *_top_k(5),
    )
}


def metric(name: str) -> Metric:
    """The contract's metric of this name; ``P@k``, ``R@k``, ``F1@k`` for any k of at least 1; else a plugin's.

    Each has a second one, ``<name>_filtered``, over the images that show a judged class (``ltbench.metrics.filtered``).

    Raises:
        MetricError: no such metric.
    """
    if name in METRICS:
        return METRICS[name]
    if name.endswith(SUFFIX) and not name.removesuffix(SUFFIX).endswith(SUFFIX):
        base = metric(name.removesuffix(SUFFIX))
        text = f"{base.definition}; only images that show a judged class"
        return Metric(name, text, Filtered(base.source), base.reduce)
    match = re.fullmatch(r"(P|R|F1)@([1-9][0-9]*)", name)
    if match is None:
        plugged = _plugged(name)
        if plugged is not None:
            return plugged
        raise MetricError(f"unknown metric {name!r}; the contract has {', '.join(METRICS)} and any other k")
    return {m.name: m for m in _top_k(int(match[2]))}[name]


def _plugged(name: str) -> Metric | None:
    """A metric that a plugin registered: its target is a :class:`Metric`, or a function from the name to one."""
    from ltbench.plugin.manager import registry

    catalogue = registry().metrics
    if name not in catalogue:
        return None
    target = catalogue.get(name).spec.load()
    found = target if isinstance(target, Metric) else target(name)
    if not isinstance(found, Metric):
        raise MetricError(f"metric {name!r}: its target gives a {type(found).__name__}, not a Metric")
    return found


@dataclass(frozen=True)
class Scores:
    """What phase 2 finds, in percent.

    Attributes:
        scores: metric → subset → value; ``None`` where undefined (empty subset, no positive, uncalibrated).
        columns: original numbers of the judged columns.
        per_class_ap: AP per judged column, ``None`` without a positive.
        excluded_classes: original numbers of the judged columns without a positive.
        rows: number of images judged.
    """

    scores: dict[str, dict[str, float | None]]
    columns: tuple[int, ...]
    per_class_ap: list[float | None]
    excluded_classes: list[int]
    rows: int

    def __getitem__(self, name: str) -> dict[str, float | None]:
        """Subset → value of one metric."""
        return self.scores[name]


#: metric → subset → percent per replicate, [R] (nan: undefined there), or ``None`` when it cannot be judged at all.
Replicated = dict[str, dict[str, Float | None]]
#: Multiplicities [n, R] → scores.
Scorer = Callable[[Array], Replicated]


def measure(data: Judged, metrics: Sequence[Metric]) -> Scorer:
    """Sort and decide once, to score any number of multiplicity vectors afterwards."""
    measures = {m.source: m.source(data) for m in metrics}

    def score(weights: Array) -> Replicated:
        measured = {source: None if of is None else of(weights) for source, of in measures.items()}
        found: Replicated = {}
        for m in metrics:
            per_class = measured[m.source]
            found[m.name] = {
                name: None if per_class is None or subset.size == 0 else 100 * m.reduce(per_class, subset)
                for name, subset in data.subsets.items()
            }
        return found

    return score


def resolve(metrics: Sequence[str | Metric]) -> list[Metric]:
    """Metrics by name, in order.

    Raises:
        MetricError: unknown or repeated.
    """
    if isinstance(metrics, str):
        raise MetricError(f"metrics must be a list of names, got the text {metrics!r}")
    found = [metric(m) if isinstance(m, str) else m for m in metrics]
    names = [m.name for m in found]
    if len(set(names)) != len(names):
        raise MetricError(f"metrics repeat: {names}")
    return found


def per_class_ap(logits: Array, truth: Array, **options: Unpack[Options]) -> list[float | None]:
    """AP per class in percent, ``None`` without a positive; arguments as :func:`evaluate`."""
    return evaluate(logits, truth, None, (), **options).per_class_ap


def evaluate(
    logits: Array,
    truth: Array,
    groups: Groups | None = None,
    metrics: Sequence[str | Metric] = ("mAP",),
    **options: Unpack[Options],
) -> Scores:
    """Judge one set of logits.

    Args:
        logits: float32 [n, C].
        truth: int8 [n, C] in {+1, -1, 0}.
        groups: subset name → column numbers; ``total`` is added. A group may be empty: its scores are ``None``.
        metrics: names (or metrics) to report.
        **options: see :class:`ltbench.metrics.judged.Options`.

    Raises:
        MetricError: input that cannot be judged (non-finite logits name row and class), or an unknown metric.
    """
    chosen = resolve(metrics)
    data = judged(logits, truth, groups, **options)
    once = np.ones((data.truth.shape[0], 1), dtype=np.int32)
    found = measure(data, chosen)(once)
    ap = 100 * ranking(data)(once)["ap"][:, 0]
    return Scores(
        scores={name: {s: _number(v) for s, v in by_subset.items()} for name, by_subset in found.items()},
        columns=data.columns,
        per_class_ap=[_number(ap[c : c + 1]) for c in range(ap.size)],
        excluded_classes=[data.columns[c] for c in np.flatnonzero(np.isnan(ap))],
        rows=data.truth.shape[0],
    )


def _number(value: Float | None) -> float | None:
    return None if value is None or np.isnan(value[0]) else float(value[0])
