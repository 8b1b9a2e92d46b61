"""Asymmetric losses for partial labels: DualCoOp's on positive and negative prompts, and the selective one (P-ASL)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ltbench.losses.asl import AsymmetricLoss
from ltbench.losses.base import Reduction, autocast_off, check_number, check_option, check_values, compute_dtype
from ltbench.losses.unknown import OwnUnknownLoss, Variant

Prompts: TypeAlias = Literal["dual", "positive", "negative"]


class PartialAsymmetricLoss(AsymmetricLoss):
    """Asymmetric loss of the known labels, on a two-way softmax between a negative and a positive prompt.

    ``p = softmax(s_neg, s_pos)[1] = sigmoid(s_pos - s_neg)``; present: ``-(1 - p)^gamma_pos log p``; absent:
    ``-p_m^gamma_neg log(1 - p_m)`` with ``p_m = max(p - clip, 0)``. The powers are constants to the gradient.

    `prompts` says what the logits are: "dual", [B, 2, C] with the negative prompt first; "positive", [B, C] with
    ``p = sigmoid(s)``; "negative", [B, C] with ``p = 1 - sigmoid(s)``. The last two are the single-prompt losses of the
    release, which has no model for them and takes its unknown labels for numbers; here they contribute nothing.

    "mean" divides by the number of known labels; the release's reduction is "sum", which its training then multiplies
    by a weight (0.03 and 0.01 in its examples). "none" gives [B, C]. Variants as in
    :class:`~ltbench.losses.asl.AsymmetricLoss`.

    Source: Sun et al., DualCoOp, NeurIPS 2022, and its release.
    Golden keys (variant "code", reduction "sum"): dualcoop_asl_g2_1 (defaults), dualcoop_asl_g4_1, dualcoop_asl_g0_0;
    dualcoop_single_prompt_asl_pos, dualcoop_single_prompt_asl_neg.

    Args:
        gamma_neg: exponent of absent labels, >= 0.
        gamma_pos: exponent of present labels, >= 0.
        clip: the shift, in [0, 1).
        prompts: see above.
        detach_weights: whether the powers are constants to the gradient.
        variant: "paper", or "code" with the arguments of the logarithms bounded by `eps`.
        eps: the bound of variant "code".
    """

    def __init__(
        self,
        *,
        gamma_neg: float = 2.0,
        gamma_pos: float = 1.0,
        clip: float = 0.05,
        prompts: Prompts = "dual",
        detach_weights: bool = True,
        variant: Variant = "paper",
        eps: float = 1e-6,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(
            gamma_neg=gamma_neg,
            gamma_pos=gamma_pos,
            clip=clip,
            detach_weights=detach_weights,
            variant=variant,
            eps=eps,
            reduction=reduction,
        )
        self.prompts: Prompts = check_option("prompts", prompts, ("dual", "positive", "negative"))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [B, 2, C] ("dual") or [B, C] against labels [B, C] in {-1, 0, +1}.

        Returns:
            See :meth:`MultiLabelLoss.forward <ltbench.losses.base.MultiLabelLoss.forward>`.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`; another shape than the prompts have.
        """
        if self.prompts == "dual":
            return super().forward(two_way_scores(logits), labels)
        if self.prompts == "negative":
            check_values("logits", logits, labels)
            return super().forward(-logits, labels)
        return super().forward(logits, labels)


def two_way_scores(logits: Tensor) -> Tensor:
    """``s_pos - s_neg``, the log-odds [B, C] of a two-way softmax over logits [B, 2, C], the negative prompt first.

    Computed in float32 (float64 for float64 logits), under autocast too.

    Raises:
        TypeError: no floating-point tensor.
        ValueError: another shape.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise TypeError("logits: expected a floating-point tensor of shape [B, 2, C]")
    if logits.ndim != 3 or logits.shape[1] != 2:
        raise ValueError(f"logits: expected shape [B, 2, C] (negative and positive prompt), got {list(logits.shape)}")
    with autocast_off(logits):
        negative, positive = logits.to(compute_dtype(logits)).unbind(dim=1)
        return positive - negative


class SelectiveAsymmetricLoss(OwnUnknownLoss):
    """P-ASL with selection: unknown labels are read as absent, except those that are probably present.

    Known labels have the asymmetric loss with `gamma_pos` and `gamma_neg`, unknown ones that of an absent label with
    `gamma_unknown`. Left out (loss and gradient 0) are unknown labels of classes whose `prior` exceeds
    `prior_threshold`, and the likeliest unknown ones: variant "paper" the `top_k` of each image, variant "code" the
    `top_k` B of the whole batch. With ``top_k=0`` and no prior, every unknown label is absent with an exponent of its
    own. (Leaving out all of them is :class:`~ltbench.losses.asl.AsymmetricLoss`.)

    "mean" divides by B * C, the release's reduction is "sum"; "none" gives [B, C].

    Source: Ben-Baruch et al., Multi-label Classification with Partial Annotations using Class-aware Selective Loss,
    CVPR 2022, and its release (PartialSelectiveLoss, whose defaults these are; its prior is the mean probability of a
    class under a model trained without unknown labels). That the paper selects in each image is from its description;
    the formula was not at hand.
    Golden keys: none; checked against the formula.

    Args:
        gamma_pos: exponent of present labels, >= 0.
        gamma_neg: exponent of known absent labels, >= 0.
        gamma_unknown: exponent of unknown labels, >= 0.
        clip: probability shift of absent and unknown labels, in [0, 1).
        top_k: unknown labels left out, of an image, or of a batch for each of its images.
        prior: estimated share of images that show each class [C]; None for no selection by it.
        prior_threshold: in [0, 1].
        detach_weights: whether the powers are constants to the gradient.
        variant: "paper", or "code" with the arguments of the logarithms bounded by 1e-8.
    """

    frequent: Tensor | None

    def __init__(
        self,
        *,
        gamma_pos: float = 0.0,
        gamma_neg: float = 1.0,
        gamma_unknown: float = 2.0,
        clip: float = 0.0,
        top_k: int = 5,
        prior: Tensor | None = None,
        prior_threshold: float = 0.05,
        detach_weights: bool = True,
        variant: Variant = "paper",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.variant: Variant = check_option("variant", variant, ("paper", "code"))
        # The release takes the likeliest labels of the whole batch.
        self.over = "rows" if self.variant == "paper" else "batch"
        self.known = AsymmetricLoss(
            gamma_neg=gamma_neg,
            gamma_pos=gamma_pos,
            clip=clip,
            detach_weights=detach_weights,
            variant=variant,
            reduction="none",
        )
        self.assumed = AsymmetricLoss(
            gamma_neg=check_number("gamma_unknown", gamma_unknown),
            clip=clip,
            detach_weights=detach_weights,
            variant=variant,
            reduction="none",
        )
        self.top_k = int(check_number("top_k", top_k))
        threshold = check_number("prior_threshold", prior_threshold)
        if prior is not None and (prior.ndim != 1 or not bool(((prior >= 0) & (prior <= 1)).all())):
            raise ValueError(f"prior: expected probabilities of shape [C], got {prior.dtype} of {list(prior.shape)}")
        # What is compared once stays right in half precision.
        self.register_buffer("frequent", None if prior is None else prior > threshold)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [B, C] against labels [B, C] in {-1, 0, +1}, 0 unknown.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`; a prior of another length than C.
        """
        if self.frequent is not None and logits.ndim == 2 and self.frequent.numel() != logits.shape[1]:
            raise ValueError(f"prior: expected shape [{logits.shape[1]}] for this input, got [{self.frequent.numel()}]")
        return super().forward(logits, labels)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        read = (labels == 0) & ~self._likely(logits.detach(), labels)
        if self.frequent is not None:
            read &= ~self.frequent
        known = self.known.compute(logits, labels)
        assumed = self.assumed.compute(logits, -torch.ones_like(labels))
        return self.reduce(torch.where(read, assumed, known))

    def _likely(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The likeliest unknown labels, bool [B, C]; also True at some known ones where too few are unknown."""
        ranked = torch.where(labels == 0, logits, -torch.inf)
        chosen = torch.zeros_like(labels, dtype=torch.bool)
        if self.variant == "paper":
            k = min(self.top_k, labels.shape[1])
            return chosen.scatter_(1, ranked.topk(k, dim=1).indices, True)
        k = min(self.top_k * labels.shape[0], labels.numel())
        return chosen.view(-1).scatter_(0, ranked.flatten().topk(k).indices, True).view_as(labels)
