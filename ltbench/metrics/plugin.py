"""Registers the metrics of the contract, lazily."""

from __future__ import annotations

from ltbench.plugin import MetricSpec, hookimpl

_SUMMARIES = {
    "mAP": "mean over classes of average precision, ties as one step, no interpolation",
    "mAP_softmax": "mAP of the softmax over classes, as LMPT's tables",
    "CP": "mean over classes of precision at logit > 0",
    "CR": "mean over classes of recall at logit > 0",
    "CF1": "mean over classes of F1 at logit > 0",
    "CF1_of_means": "harmonic mean of CP and CR",
    "OP": "precision over all pairs at logit > 0",
    "OR": "recall over all pairs at logit > 0",
    "OF1": "F1 over all pairs at logit > 0",
    "P@3": "precision of the three highest logits of each image, micro",
    "R@3": "recall of the three highest logits of each image, micro",
    "F1@3": "F1 of the three highest logits of each image, micro",
    "P@5": "precision of the five highest logits of each image, micro",
    "R@5": "recall of the five highest logits of each image, micro",
    "F1@5": "F1 of the five highest logits of each image, micro",
    "P@3_filtered": "P@3 over the images that show a judged class only, as DualCoOp's test lists",
    "R@3_filtered": "R@3 over the images that show a judged class only",
    "F1@3_filtered": "F1@3 over the images that show a judged class only",
}


@hookimpl
def ltbench_metrics() -> list[MetricSpec]:
    """The metrics that tasks may name."""
    return [
        MetricSpec(name=name, target="ltbench.metrics.contract:metric", summary=text)
        for name, text in _SUMMARIES.items()
    ]
