"""Vectors of published losses for incomplete labels: what is compared how, and which test meets which file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltbench.losses import (
    AssumeNegativeLoss,
    AsymmetricLoss,
    EntropyMaximizationLoss,
    ExpectedPositivesLoss,
    HillLoss,
    IgnoreUnknownLoss,
    MarginRankingLoss,
    PairwiseRankingLoss,
    PartialAsymmetricLoss,
    PartialBCELoss,
    SoftPartialBCELoss,
    SPLCLoss,
    WeakAssumeNegativeLoss,
    labels_from_binary,
)
from tests.conftest import SHARED
from tests.golden import golden

GOLDEN = SHARED / "golden" / "limited-labels"
Make = Callable[[], torch.nn.Module]
Labels = Callable[[Tensor], Tensor]


def load(name: str) -> dict[str, Any]:
    """Arrays of one golden file, or a skip."""
    return golden("limited-labels", name)


def tensor(array: Any, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.from_numpy(np.array(array)).to(dtype)


def same(labels: Tensor) -> Tensor:
    """Labels that stand in the encoding of the package: 0 is unknown."""
    return labels


def observed(arrays: dict[str, Any], key: str, suffix: str = "labels") -> Tensor:
    """Integer labels of one case."""
    return tensor(arrays[f"{key}__{suffix}"], torch.int64)


def minus_one_unknown(labels: Tensor) -> Tensor:
    """DualCoOp's labels: 1 present, 0 absent, -1 unknown."""
    return torch.where(labels < 0, 0, 2 * labels - 1)


def dualcoop(**options: Any) -> PartialAsymmetricLoss:
    return PartialAsymmetricLoss(variant="code", reduction="sum", **options)


def released_asl(gamma_neg: float, gamma_pos: float, clip: float) -> AsymmetricLoss:
    return AsymmetricLoss(
        gamma_neg=gamma_neg, gamma_pos=gamma_pos, clip=clip, detach_weights=True, variant="code", reduction="sum"
    )


def splc(epoch: int) -> SPLCLoss:
    loss = SPLCLoss(reduction="sum")
    loss.set_epoch(epoch)
    return loss


# Golden file, cases inside it that end in a key of the hyper-parameters, what the labels mean, and our loss.
# "code" is the variant of every file here: its source is a release.
PLAIN: dict[str, list[tuple[str, Labels, Make]]] = {
    "cole_an": [("", same, lambda: AssumeNegativeLoss(variant="code"))],
    "cole_an_ls": [("", same, lambda: AssumeNegativeLoss(smoothing=0.1, variant="code"))],
    "cole_bce": [("", labels_from_binary, lambda: AssumeNegativeLoss(variant="code"))],
    "cole_bce_ls": [("", labels_from_binary, lambda: AssumeNegativeLoss(smoothing=0.1, variant="code"))],
    "cole_wan": [("", same, lambda: WeakAssumeNegativeLoss(variant="code"))],
    "cole_pr": [("", same, PairwiseRankingLoss)],
    "cole_iu": [("", same, lambda: IgnoreUnknownLoss(variant="code"))],
    "cole_epr": [("", same, lambda: ExpectedPositivesLoss(1.5, variant="code"))],
    "em_loss": [
        (f"a{alpha}", same, lambda alpha=alpha: EntropyMaximizationLoss(alpha=alpha, variant="code"))
        for alpha in (0.1, 0.2, 0.01)
    ],
    "hill_loss": [("", same, lambda: HillLoss(reduction="sum"))],
    "robust_mlml_baseline_losses": [
        ("bce", labels_from_binary, lambda: released_asl(0, 0, 0)),
        ("focal", labels_from_binary, lambda: released_asl(2, 2, 0)),
        ("asl", labels_from_binary, lambda: released_asl(4, 0, 0.05)),
    ],
    "dualcoop_asl_g2_1": [("", minus_one_unknown, lambda: dualcoop())],
    "dualcoop_asl_g4_1": [("", minus_one_unknown, lambda: dualcoop(gamma_neg=4))],
    "dualcoop_asl_g0_0": [("", minus_one_unknown, lambda: dualcoop(gamma_neg=0, gamma_pos=0))],
    "dualcoop_single_prompt_asl_pos": [("", labels_from_binary, lambda: dualcoop(prompts="positive"))],
    "dualcoop_single_prompt_asl_neg": [("", labels_from_binary, lambda: dualcoop(prompts="negative"))],
    "durand_partial_bce": [("", same, PartialBCELoss)],
    "hcp_partial_bce": [
        (f"m{margin}", same, lambda margin=margin: SoftPartialBCELoss(margin=margin)) for margin in (0.0, 0.95, 1.0)
    ],
    "lesa_biam_ranking_loss": [("", same, MarginRankingLoss)],
    "splc_loss": [(f"ep{epoch}", same, lambda epoch=epoch: splc(epoch)) for epoch in (0, 1, 5)],
}
ELSEWHERE = {
    "dualcoop_region_aggregation": "plugins/dualcoop/test_dualcoop_golden.py",
    "dualcoop_attention_conv": "backbones/test_mean_token.py",
    "dualcoop_prompt_tokens": "plugins/dualcoop/test_dualcoop_golden.py",
    "dualcoop_lr_schedule": "plugins/dualcoop/test_dualcoop_golden.py",
    "cutout_pil": "plugins/dualcoop/test_dualcoop_golden.py",
    "asl_style_mAP": "metrics/test_reference.py",
    "dualcoop_validate": "metrics/test_reference.py",
    "dualcoop_validate_zsl": "metrics/test_reference.py",
    "cole_metrics": "metrics/test_reference.py",
    "largeloss_metrics_unknown": "metrics/test_reference.py",
    "hcp_metrics": "metrics/test_reference.py",
    "mlgcn_difficult_ap": "metrics/test_reference.py",
    "biam_metrics": "metrics/test_reference.py",
    "lesa_metrics": "metrics/test_reference.py",
    "sdl_metrics": "metrics/test_reference.py",
    "hspnet_adjacency": "plugins/hspnet/test_hspnet_golden.py",
    "mlgcn_adjacency": "nn/test_graph.py",
    "hspnet_gcn": "plugins/hspnet/test_hspnet_golden.py",
    "hcp_semantic_decoupling_ggnn": "nn/test_semantic_decoupling.py",
    "hspnet_forward_toy": "plugins/hspnet/test_hspnet_golden.py",
    "hspnet_schedule_ema": "plugins/hspnet/test_hspnet_golden.py",
    "conse": "plugins/unseen/test_zsl_golden.py",
    "hcp_partial_label_masks": "tasks/protocols/test_published_draws.py",
    "spml_coco_observed_seed1200": "tasks/official/test_spml_tasks.py",
    "spml_observe_toy": "tasks/protocols/test_published_draws.py",
    "spml_train_val_split": "tasks/protocols/test_published_draws.py",
}
"""Golden files of other parts than losses, and the tests that read them."""


def cases(arrays: dict[str, Any], tag: str) -> Iterator[tuple[str, str]]:
    """Names of the inputs and prefixes of the outputs of one setting."""
    for key in sorted({key.split("__")[0] for key in arrays if key.endswith("__logits")}):
        yield key, f"{key}__{tag}__" if tag else f"{key}__"


def check(
    loss: Callable[[Tensor, Tensor], Tensor],
    arrays: dict[str, Any],
    tag: str,
    read: Labels,
    close: Callable[..., None],
    dtype: torch.dtype = torch.float64,
) -> None:
    """Value and gradient of `loss` at every input of a file, for one setting of it."""
    found = 0
    suffix = "_f32" if dtype == torch.float32 else ""
    for key, prefix in cases(arrays, tag):
        logits = tensor(arrays[f"{key}__logits"], dtype).requires_grad_()
        value = loss(logits, read(observed(arrays, key)))
        (grad,) = torch.autograd.grad(value, logits)
        close(value, arrays[f"{prefix}loss{suffix}"], dtype)
        # The unit is a reduction's 1 / (B C) for means, and no larger than one element's gradient for sums.
        close(grad, arrays[f"{prefix}grad{suffix}"], dtype, unit=1 / grad.numel())
        found += 1
    assert found
