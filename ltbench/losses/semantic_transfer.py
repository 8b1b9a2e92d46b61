"""Partial labels: what SST and SARB add to the classification loss.

Co-occurrence of classes within an image, pseudo labels from it and from similar images, contrast between the class
features of images, and labels of blended features. Labels are [B, C] in {-1, 0, +1}, 0 unknown. Pairs of classes
i < j are numbered row by row, (0, 1), (0, 2), …, (1, 2), …, C (C - 1) / 2 of them.

Sources: Chen et al., Structured Semantic Transfer for Multi-Label Recognition with Partial Labels (SST), AAAI 2022; Pu
et al., Semantic-Aware Representation Blending (SARB), AAAI 2022; their common release.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from ltbench.losses.base import Reduction, autocast_off, check_option, check_values, compute_dtype

PairUnknown: TypeAlias = Literal["assume-negative", "ignore"]


def co_occurrence_labels(labels: Tensor, *, unknown: PairUnknown = "assume-negative") -> Tensor:
    """Labels of all pairs of classes, int8 [B, C (C - 1) / 2]: +1 where both are present, else -1 or 0.

    The release calls every other pair absent ("assume-negative"). "ignore" does so only where one of the two is known
    to be absent, and leaves the rest unknown. SST's co-occurrence loss is
    :class:`~ltbench.losses.asl.AsymmetricLoss` with ``gamma_neg=2, gamma_pos=1, variant="code"`` on such labels.

    Golden key: hcp_sst_intra.

    Raises:
        ValueError: labels outside {-1, 0, +1} or not [B, C].
    """
    _check_labels(labels)
    check_option("unknown", unknown, ("assume-negative", "ignore"))
    i, j = torch.triu_indices(labels.shape[1], labels.shape[1], offset=1, device=labels.device)
    first, second = labels[:, i], labels[:, j]
    both = (first > 0) & (second > 0)
    absent = ~both if unknown == "assume-negative" else (first < 0) | (second < 0)
    return both.to(torch.int8) - absent.to(torch.int8)


def intra_pseudo_labels(pair_logits: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Labels [B, C] with unknown ones set to +1 where the classes known to be present suggest it.

    The score of a class is the mean probability of its co-occurrence with the image's present classes (0 without any);
    from `margin` on the label is +1, below it stays 0.

    Args:
        pair_logits: floating-point [B, C (C - 1) / 2].
        labels: [B, C] in {-1, 0, +1}.
        margin: 0.95 in the release, falling to 0.75.

    Golden key: hcp_sst_intra (pseudo_margin0.55).

    Raises:
        TypeError, ValueError: labels outside {-1, 0, +1}; another number of pairs.
    """
    _check_labels(labels)
    batch, classes = labels.shape
    if pair_logits.shape != (batch, classes * (classes - 1) // 2):
        raise ValueError(
            f"pair_logits: expected shape [{batch}, {classes * (classes - 1) // 2}], got {list(pair_logits.shape)}"
        )
    dtype = compute_dtype(pair_logits)
    with torch.no_grad(), autocast_off(pair_logits):
        present = (labels > 0).to(dtype)
        i, j = torch.triu_indices(classes, classes, offset=1, device=labels.device)
        together = torch.eye(classes, dtype=dtype, device=labels.device).repeat(batch, 1, 1)
        together[:, i, j] = together[:, j, i] = torch.sigmoid(pair_logits.to(dtype))
        scores = (together * present.unsqueeze(1)).sum(dim=2) / present.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.where((labels == 0) & (scores >= margin), 1, labels)


def inter_pseudo_labels(features: Tensor, labels: Tensor, positives: Tensor, *, margin: float) -> Tensor:
    """Labels [B, C] with unknown ones set to +1 where the class feature resembles those of known positives.

    The score is the mean cosine between the image's feature of the class and the E stored ones; from `margin` on the
    label is +1, below it stays 0.

    Args:
        features: floating-point [B, C, D].
        labels: [B, C] in {-1, 0, +1}.
        positives: floating-point [C, E, D]: features of images known to show the class (the release keeps 100).
        margin: 0.95 in the release, falling to 0.75.

    Golden key: hcp_contrastive (inter_pseudo_m0.2).

    Raises:
        TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`; positives of other C or D.
    """
    check_values("features", features, labels, ndim=3)
    if positives.ndim != 3 or positives.shape[0] != features.shape[1] or positives.shape[2] != features.shape[2]:
        raise ValueError(
            f"positives: expected shape [{features.shape[1]}, E, {features.shape[2]}], got {list(positives.shape)}"
        )
    with torch.no_grad(), autocast_off(features):
        dtype = compute_dtype(features)
        # The mean of cosines with E vectors is the product with the mean of their directions.
        directions = normalize(positives.to(dtype), dim=2, eps=1e-9).mean(dim=1)
        scores = (normalize(features.to(dtype), dim=2, eps=1e-9) * directions).sum(dim=2)
        return torch.where((labels == 0) & (scores >= margin), 1, labels)


def mixed_labels(labels: Tensor, partner: Tensor, coefficient: Tensor | float) -> tuple[Tensor, Tensor]:
    """SARB's blending of an image with a partner: weights [B, C] of its own features, and labels [B, C] of the blend.

    Only classes unknown here and present in the partner are blended: weight `coefficient`, label ``1 - coefficient``.
    All others keep weight 1 and their label. The partner is the batch in reverse order in the release; the soft labels
    go to :class:`~ltbench.losses.partial_bce.SoftPartialBCELoss`.

    Args:
        labels, partner: [B, C] in {-1, 0, +1}.
        coefficient: in [0, 1]; a scalar tensor (a learned one, the gradient flows) or a number.

    Golden key: hcp_sarb_mixup_label.

    Returns:
        Weights and labels, of the coefficient's dtype (float32 for a number).

    Raises:
        ValueError: labels outside {-1, 0, +1}, of different shapes, or a coefficient outside [0, 1].
    """
    _check_labels(labels)
    _check_labels(partner)
    if partner.shape != labels.shape:
        raise ValueError(f"partner: expected shape {list(labels.shape)}, got {list(partner.shape)}")
    share = torch.as_tensor(coefficient, device=labels.device)
    share = share if share.is_floating_point() else share.to(torch.float32)
    if share.numel() != 1 or not 0 <= share.item() <= 1:
        raise ValueError(f"coefficient: expected one number in [0, 1], got {coefficient!r}")
    blended = (labels == 0) & (partner > 0)
    return torch.where(blended, share, 1.0), torch.where(blended, 1 - share, labels.to(share.dtype))


class ClassContrastiveLoss(nn.Module):
    """Contrast between the features that two images have for the same class.

    ``1 - cos`` where both images show the class, ``1 + cos`` where exactly one does, and (oddly, but so the release)
    where neither does; pairs of images with an unknown label contribute nothing. With P pairs of the first kind, each
    of the other two kinds is thinned to 2 P drawn at random and the P largest, which may coincide; with P = 0 none is.

    "mean" divides by the number of terms kept (0 if there is none), "none" gives them, first kind, second kind, third.

    Source: release of SST and SARB (ContrastiveLoss; weight 0.05).
    Golden key: hcp_contrastive (generator seeded with 7).

    Args:
        reduction: "mean", "sum" or "none".
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = check_option("reduction", reduction, ("mean", "sum", "none"))

    def forward(self, features: Tensor, labels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Loss of class features [B, C, D] against labels [B, C] in {-1, 0, +1}.

        Args:
            generator: of the CPU, for the draws; the global one by default.

        Returns:
            A scalar, or with reduction "none" a vector; float32, or float64 for float64 features.

        Raises:
            TypeError, ValueError: see :func:`~ltbench.losses.base.check_values`.
        """
        check_values("features", features, labels, ndim=3)
        with autocast_off(features):
            values = features.to(compute_dtype(features))
            i, j = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device)
            first, second = labels[i], labels[j]

            def cosines(kind: Tensor) -> Tensor:
                pair, c = kind.nonzero(as_tuple=True)
                return cosine_similarity(values[i[pair], c], values[j[pair], c], dim=1, eps=1e-9)

            alike = 1 - cosines((first > 0) & (second > 0))
            # The draws follow the release's order: pairs of absences before mixed ones.
            absent = self._thinned(1 + cosines((first < 0) & (second < 0)), len(alike), generator)
            mixed = self._thinned(1 + cosines((first * second) < 0), len(alike), generator)
            terms = torch.cat((alike, mixed, absent))
        if self.reduction == "none":
            return terms
        return terms.sum() if self.reduction == "sum" else terms.sum() / max(terms.numel(), 1)

    @staticmethod
    def _thinned(terms: Tensor, pairs: int, generator: torch.Generator | None) -> Tensor:
        if pairs == 0 or terms.numel() == 0:
            return terms
        drawn = torch.randperm(terms.numel(), generator=generator)[: 2 * pairs].to(terms.device)
        return torch.cat((terms[drawn], terms.sort(descending=True).values[:pairs]))


def _check_labels(labels: Tensor) -> None:
    if labels.ndim != 2 or not bool(((labels == 0) | (labels == 1) | (labels == -1)).all()):
        raise ValueError("labels: expected values in {-1, 0, +1} of shape [B, C]")
