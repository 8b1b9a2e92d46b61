"""Multi-Focal Modifier: focusing exponents that depend on the label and on the rarity of the class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ltbench.losses.base import Counts, Reduction, check_classes, check_counts, check_number, check_option
from ltbench.losses.unknown import OwnUnknownLoss, Variant


def head_tail_factor(class_counts: Tensor, exponent: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """``(1 - ln(n_c / max n))^exponent`` [C]: 1 for the most frequent class, larger for rarer ones.

    A count below 1 is taken for 1, which keeps the factor finite.
    """
    counts = class_counts.clamp(min=1).to(torch.float64)
    return ((1 - torch.log(counts / counts.max())) ** exponent).to(dtype)


def occurrence_shares(present: Tensor, cooccurrence: Tensor) -> Tensor:
    """How much each class belongs to the present ones of its row [B, C]; rows sum to 1, or to 0 without a present one.

    Mean over the present classes i of ``K_i / sum_j K_j`` (columns of the counts K divided by their sums), divided by
    its own sum. 0 / 0 is 0, so neither a row without a present class nor a class nobody has gives NaN.

    Args:
        present: bool [B, C].
        cooccurrence: K, counts of pairs of classes [C, C], floating point.
    """
    columns = cooccurrence / cooccurrence.sum(dim=0).clamp(min=torch.finfo(cooccurrence.dtype).tiny)
    found = present.to(columns.dtype) @ columns / present.sum(dim=1, keepdim=True).clamp(min=1)
    return found / found.sum(dim=1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)


@dataclass(frozen=True)
class FocalFactors:
    """Constants of the modifier, and the elements they give.

    With the head-tail factor g_c of a class, ``gamma+ = gamma_pos + weight_pos g_c`` for present labels and
    ``gamma- = gamma_neg + weight_neg g_c`` for all others. Present: ``-(1 - p)^gamma+ log p``; others:
    ``-p^gamma- log(1 - p)``, with ``p = sigmoid(s)``.

    Variant "code" is the release: ``1 - p`` is raised by `clip` to at most 1 and then, where a class belongs to the
    present ones (a share that is not 0), multiplied by `boost` to at most 1; the p of a present label is multiplied by
    one less the share; arguments of logarithms are at least `eps`. Variant "paper" is Eq. 6 as printed, computed on
    logits, so `clip`, `boost`, `eps` and shares play no part.

    Attributes:
        gamma_pos, gamma_neg, weight_pos, weight_neg: see above [the release: 0, 3, 0, 1].
        exponent: of the head-tail factor.
        weighted: multiply each element by g_c; None: only in variant "code".
        detach: the powers are constants to the gradient; None: only in variant "code".
        clip: the shift, in [0, 1).
        boost: factor of the shifted ``1 - p``.
        eps: lower bound inside logarithms.
        variant: "paper" or "code".
    """

    gamma_pos: float = 0.0
    gamma_neg: float = 3.0
    weight_pos: float = 0.0
    weight_neg: float = 1.0
    exponent: float = 1 / 3
    weighted: bool | None = None
    detach: bool | None = None
    clip: float = 0.05
    boost: float = 1.2
    eps: float = 1e-8
    variant: Variant = "code"

    def __post_init__(self) -> None:
        for name in ("gamma_pos", "gamma_neg", "weight_pos", "weight_neg", "exponent", "clip"):
            check_number(name, getattr(self, name))
        check_number("boost", self.boost, minimum=1.0)
        check_number("eps", self.eps, strict=True)
        check_option("variant", self.variant, ("paper", "code"))
        if self.clip >= 1:
            raise ValueError(f"clip: expected a number in [0, 1), got {self.clip!r}")

    def of_classes(self, class_counts: Tensor, dtype: torch.dtype) -> Tensor:
        """Head-tail factors g [C] of positive counts [C]."""
        return head_tail_factor(class_counts, self.exponent, dtype)

    def elements(self, logits: Tensor, present: Tensor, factor: Tensor, shares: Tensor | None = None) -> Tensor:
        """Element losses [B, C] of logits [B, C].

        Args:
            present: bool [B, C].
            factor: head-tail factors g [C].
            shares: see :func:`occurrence_shares`; None for none.
        """
        gamma = torch.where(
            present, self.gamma_pos + self.weight_pos * factor, self.gamma_neg + self.weight_neg * factor
        )
        code = self.variant == "code"
        detach = code if self.detach is None else self.detach
        if code:
            right = self._right(logits, present, shares)
            logs = torch.log(right.clamp(min=self.eps))
            base = 1 - (right.detach() if detach else right)
            # 0 to a power below one has an infinite slope, which times the slope 0 of a bound would be NaN.
            power = torch.where(base > 0, torch.where(base > 0, base, 1.0) ** gamma, (gamma == 0).to(base.dtype))
        else:
            signed = torch.where(present, logits, -logits)
            logs = logsigmoid(signed)
            power = torch.exp(gamma * logsigmoid(-signed.detach() if detach else -signed))
        weighted = code if self.weighted is None else self.weighted
        return -power * logs * factor if weighted else -power * logs

    def _right(self, logits: Tensor, present: Tensor, shares: Tensor | None) -> Tensor:
        """Probability of being right as the release sees it [B, C]."""
        right = torch.sigmoid(logits)
        absent = (torch.sigmoid(-logits) + self.clip).clamp(max=1)
        if shares is not None:
            right = right * (1 - shares)
            absent = torch.where(shares != 0, (self.boost * absent).clamp(max=1), absent)
        return torch.where(present, right, absent)


class MultiFocalLoss(OwnUnknownLoss):
    """The multi-focal loss (MFM) of COMIC: see :class:`FocalFactors`. Unknown labels count as absent.

    The release and Eq. 6 sum over images and classes (reduction "sum"); "mean" divides by B * C; "none" gives [B, C].
    In variant "code" with `cooccurrence` perfect predictions have a loss above 0: shares of their present labels stay.

    Source: Zhang et al., Learning in Imperfect Environment: Multi-Label Classification with Long-Tailed Distribution
    and Partial Labels (COMIC), ICCV 2023, Eq. 5 and 6, and its release.
    Golden keys: plt/mfm, plt/mfm_multigrained ("code"), plt/paper_formulas eq5_6 ("paper").

    Args:
        class_counts: positive training images per class [C], each >= 1.
        factors: the constants; those of the release by default.
        cooccurrence: rows in which two classes are both present [C, C], the diagonal included; None for none. Variant
            "code" only.

    Raises:
        ValueError: co-occurrence in variant "paper", which has none, or of another shape than [C, C].
    """

    class_counts: Tensor
    cooccurrence: Tensor | None

    over = "rows"

    def __init__(
        self,
        class_counts: Counts,
        *,
        factors: FocalFactors | None = None,
        cooccurrence: Tensor | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("class_counts", check_counts(class_counts))
        self.factors = FocalFactors() if factors is None else factors
        if cooccurrence is not None:
            if self.factors.variant == "paper":
                raise ValueError("cooccurrence: the printed formula has none; variant 'code' does")
            classes = self.class_counts.numel()
            if tuple(cooccurrence.shape) != (classes, classes):
                raise ValueError(f"cooccurrence: expected shape {[classes, classes]}, got {list(cooccurrence.shape)}")
            # Whole numbers, so that casting a module to half precision cannot round them.
            cooccurrence = cooccurrence.detach().to(torch.int64)
        self.register_buffer("cooccurrence", cooccurrence)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_classes(self.class_counts, logits.shape[1])
        present = labels > 0
        shares = None
        if self.cooccurrence is not None:
            shares = occurrence_shares(present, self.cooccurrence.to(logits.dtype))
        factor = self.factors.of_classes(self.class_counts, logits.dtype)
        return self.reduce(self.factors.elements(logits, present, factor, shares))
