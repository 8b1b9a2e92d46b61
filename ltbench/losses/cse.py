"""LMPT's class-specific embedding loss (CSE), and the distances it is computed from."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.losses.base import (
    Counts,
    Over,
    Reduction,
    autocast_off,
    check_classes,
    check_counts,
    check_number,
    check_option,
    check_values,
    compute_dtype,
    known_scores,
)

CSEVariant: TypeAlias = Literal["paper", "code"]


def cosine_distance(captions: Tensor, classes: Tensor) -> Tensor:
    """``1 - cos`` of each encoded caption and each class text feature.

    Args:
        captions: floating-point features [B, D].
        classes: floating-point features [C, D].

    Returns:
        [B, C] in [0, 2], float32 (float64 if an input is), under autocast too. A zero vector has distance 1.

    Raises:
        TypeError, ValueError: no floating-point tensors, other numbers of axes, or widths D that differ.
    """
    _check_features(captions, classes, ndim=2)
    dtype = compute_dtype(captions) if captions.dtype == torch.float64 else compute_dtype(classes)
    with autocast_off(captions):
        return 1 - normalize(captions.to(dtype), dim=-1) @ normalize(classes.to(dtype), dim=-1).T


def token_cosine_distance(captions: Tensor, prompts: Tensor, *, skip: int) -> Tensor:
    """``1 - cos`` position by position, as LMPT's code compares token embeddings.

    Caption position l is compared with prompt position ``l + skip``: the code drops the first `skip` positions of the
    prompt and the last `skip` of the caption. No [B, C, L, D] tensor is formed.

    Args:
        captions: token embeddings [B, L, D].
        prompts: token embeddings of the class prompts [C, L, D].
        skip: positions to drop, 0 <= skip < L (the code's m_ctx).

    Returns:
        [B, C, L - skip], precision as :func:`cosine_distance`.
    """
    _check_features(captions, prompts, ndim=3)
    length = captions.shape[1]
    if not 0 <= skip < length:
        raise ValueError(f"skip: expected 0 <= skip < {length} (the number of positions), got {skip}")
    dtype = compute_dtype(captions) if captions.dtype == torch.float64 else compute_dtype(prompts)
    with autocast_off(captions):
        left = normalize(captions[:, : length - skip].to(dtype), dim=-1)
        right = normalize(prompts[:, skip:].to(dtype), dim=-1)
        return 1 - torch.einsum("bld,cld->bcl", left, right)


class ClassSpecificEmbeddingLoss(nn.Module):
    """Pulls a class's text feature to the captions of its images and pushes it a margin away from the others.

    Margin ``mu_c = eta n_c^(-1/4)``, weight ``w_c = (1/n_c)^gamma / sum_j (1/n_j)^gamma``.

    "paper", of distances D [B, C] = 1 - cos(caption k, class c), see :func:`cosine_distance`:
    ``l = w_c D`` for present and ``max(0, w_c (mu_c - D))`` for absent labels. "mean" is the sum over classes and the
    mean over images (the paper divides by the images and implies the sum); "sum" adds everything; "none" gives [B, C].

    "code", of distances x [B, C, L] of token embeddings, see :func:`token_cosine_distance`:
    ``l = w_c max(0, mu_c - y sum_l x_l)``: with respect to the paper the sign is inverted (absent classes are pulled,
    present ones pushed). "mean" divides by the number of known labels.

    Source: LMPT, Eq. 3 to 7; the code's csel.py with its dimension error repaired, given raw counts (as shipped it
    raises for any counts).
    Golden keys: paper_lmpt_cse ``eta1.0_gamma1.0``, ``eta0.2_gamma2.0``, and ``eq3_mu1`` without counts ("paper");
    lmpt_cse_code ``dimfix_raw_counts_*`` and, without counts, ``no_counts_*`` ("code").

    Args:
        class_counts: positive training images per class [C], each >= 1. None: mu_c = eta and w_c = 1 for all classes.
        eta: margin of a class with one image; 1.0 in the paper, 0.2 in the code.
        gamma: exponent of the weights; 1.0 in the paper, 2 in the code.
        variant: "paper" or "code".
        reduction: "mean", "sum" or "none".
    """

    class_counts: Tensor | None

    def __init__(
        self,
        class_counts: Counts | None,
        *,
        eta: float = 1.0,
        gamma: float = 1.0,
        variant: CSEVariant = "paper",
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        self.register_buffer("class_counts", None if class_counts is None else check_counts(class_counts))
        self.eta = check_number("eta", eta)
        self.gamma = check_number("gamma", gamma)
        self.variant: CSEVariant = check_option("variant", variant, ("paper", "code"))
        self.reduction: Reduction = check_option("reduction", reduction, ("mean", "sum", "none"))
        self.over: Over = "known" if self.variant == "code" else "rows"

    def margins(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``mu_c`` [C], or one number [1] without counts."""
        if self.class_counts is None:
            return torch.tensor([self.eta], dtype=dtype)
        return self.eta * self.class_counts.to(dtype) ** -0.25

    def weights(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """``w_c`` [C], or [1] without counts."""
        if self.class_counts is None:
            return torch.ones(1, dtype=dtype)
        # A softmax of -gamma ln n: the same ratio, and no underflow for large gamma.
        return torch.softmax(-self.gamma * torch.log(self.class_counts.to(dtype)), dim=0)

    def forward(self, distances: Tensor, labels: Tensor) -> Tensor:
        """Loss of distances [B, C] ("code": [B, C, L]) against labels [B, C] in {-1, 0, +1}.

        Returns:
            A scalar, or [B, C] with reduction "none"; float32, or float64 for float64 distances.

        Raises:
            TypeError, ValueError: as :func:`~ltbench.losses.base.check_values`; counts of another length than C.
        """
        check_values("distances", distances, labels, ndim=2 if self.variant == "paper" else 3)
        if self.class_counts is not None:
            check_classes(self.class_counts, distances.shape[1])
        with autocast_off(distances):
            if self.variant == "code":
                distances = distances.to(compute_dtype(distances)).sum(dim=2)
            values, signs = known_scores(distances, labels)
            margins = self.margins(values.dtype).to(values.device)
            weights = self.weights(values.dtype).to(values.device)
            if self.variant == "code":
                hinge = torch.relu(margins - signs * values)
            else:
                hinge = torch.where(signs > 0, values, torch.relu(margins - values))
            elements = torch.where(signs == 0, 0.0, weights * hinge)
            if self.reduction == "none":
                return elements
            total = elements.sum()
            if self.reduction == "sum":
                return total
            number = (signs != 0).sum() if self.variant == "code" else torch.tensor(len(signs), device=signs.device)
            return total / number.clamp(min=1)


def _check_features(captions: Tensor, classes: Tensor, *, ndim: int) -> None:
    shapes = ("[B, D]", "[C, D]") if ndim == 2 else ("[B, L, D]", "[C, L, D]")
    other = "classes" if ndim == 2 else "prompts"
    for name, value, shown in (("captions", captions, shapes[0]), (other, classes, shapes[1])):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{name}: expected a floating-point tensor of shape {shown}, got {kind}")
        if value.ndim != ndim:
            raise ValueError(f"{name}: expected shape {shown}, got {list(value.shape)}")
    if captions.shape[1:] != classes.shape[1:]:
        raise ValueError(
            f"captions: expected the axes of {other} {list(classes.shape)} after the first, got {list(captions.shape)}"
        )
