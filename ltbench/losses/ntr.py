"""Negative-tolerant regularisation (NTR): the logit transform of the distribution-balanced loss."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from ltbench.losses.base import Counts, check_classes, check_counts, check_number, check_option

NTRVariant: TypeAlias = Literal["paper", "code"]


class NegativeTolerantRegularization(nn.Module):
    """Class-specific bias for all logits and a scale for the negative ones.

    ``z = s - v_c`` with ``v_c = kappa ln(N / n_c - 1)`` (variant "paper") or ``(kappa / lambda) ln(N / n_c - 1)``
    (variant "code"). Positives keep z with weight 1; negatives use ``lambda z`` with weight ``1 / lambda``.

    Source: Wu et al., Distribution-Balanced Loss, ECCV 2020; LMPT, Eq. 9 and 10 (where lambda is called zeta). The
    released DB code divides kappa by lambda, which its author calls a mistake (issue 8); LMPT's unused loss table does
    not.
    Golden keys: ``voc__init_bias`` and ``coco__init_bias`` of db_intermediates ("code").

    Args:
        class_counts: positive training images per class [C], each >= 1 and < `num_images`.
        num_images: N, training images.
        kappa: scale of the bias.
        neg_scale: lambda, scale of the negative logits; the releases use 5 (VOC-LT) and 2 (COCO-LT).
        variant: which bias.
        weight_negatives: whether the weight of negatives is ``1 / lambda``. Only LMPT's "NTR-Focal" leaves it at 1.
    """

    class_counts: Tensor

    def __init__(
        self,
        class_counts: Counts,
        num_images: int,
        *,
        kappa: float = 0.05,
        neg_scale: float = 5.0,
        variant: NTRVariant = "paper",
        weight_negatives: bool = True,
    ) -> None:
        super().__init__()
        counts = check_counts(class_counts, num_images)
        if int(counts.max()) == num_images:
            full = torch.nonzero(counts == num_images).flatten().tolist()
            raise ValueError(
                f"class_counts: NTR needs counts below num_images ({num_images}); classes {full} are in every image"
            )
        self.register_buffer("class_counts", counts)
        self.num_images = int(num_images)
        self.kappa = check_number("kappa", kappa)
        self.neg_scale = check_number("neg_scale", neg_scale, strict=True)
        self.variant: NTRVariant = check_option("variant", variant, ("paper", "code"))
        self.weight_negatives = bool(weight_negatives)

    def bias(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``-v_c`` [C], what is added to the logits."""
        scale = self.kappa / self.neg_scale if self.variant == "code" else self.kappa
        return -scale * torch.log(self.num_images / self.class_counts.to(dtype) - 1)

    def forward(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Transformed logits and their weights, both [B, C], for logits and labels [B, C] of one floating type."""
        check_classes(self.class_counts, logits.shape[1])
        shifted = logits + self.bias(logits.dtype)
        absent = labels < 0
        weights = torch.ones_like(shifted)
        if self.weight_negatives:
            weights = weights.masked_fill(absent, 1 / self.neg_scale)
        return torch.where(absent, self.neg_scale * shifted, shifted), weights
