"""Directions in the space of word vectors along which an image's labels rank: Fast0Tag, SDL, LabelEM, Deep0Tag."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import (
    MarginRankingLoss,
    MultiLabelLoss,
    RankNetLoss,
    Reduction,
    SemanticDiversityLoss,
    largest_scores,
)
from ltbench.method import Batch, Choice, SearchSpace
from ltbench_baselines.common.places import places, unit_scale
from ltbench_baselines.unseen.visual_semantic import Head, VisualSemanticConfig, VisualSemanticMethod


class RankWeightedHinge(MultiLabelLoss):
    """``l = 1/|P| sum_P (b_r / r) sum_A max(0, 1 + s_a - s_p)`` of an image, r the number of terms above 0 for p.

    ``b_r = 1 + 1/2 + ... + 1/r``, which makes mistakes at the top of the ranking count most. With one label an image
    this is the objective of LabelEM (ALE); each present class of an image in turn, and their mean, is our choice.

    "none" gives [B], "mean" divides by B. Memory grows with B C^2.

    Source: Akata et al., Label-Embedding for Image Classification, TPAMI 2016, as Xian et al., Zero-Shot Learning -
    The Good, the Bad and the Ugly, CVPR 2017 (arXiv 1703.04394) print it; without code.
    """

    over = "rows"

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        present, absent = labels > 0, labels < 0
        pairs = present.unsqueeze(2) & absent.unsqueeze(1)
        hinges = torch.where(pairs, (1 + logits.unsqueeze(1) - logits.unsqueeze(2)).clamp(min=0), 0.0)
        ranks = (hinges > 0).sum(dim=2)
        harmonic = (1 / torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)).cumsum(dim=0)
        weights = harmonic[(ranks - 1).clamp(min=0)] / ranks.clamp(min=1)
        losses = (weights * hinges.sum(dim=2)).sum(dim=1) / present.sum(dim=1).clamp(min=1)
        if self.reduction == "none":
            return losses
        total = losses.sum()
        return total if self.reduction == "sum" else total / max(len(losses), 1)


def mapping(dim: int, hidden: Sequence[int], out: int, dropout: float) -> nn.Sequential:
    """Linear layers with ReLU and dropout between; a matrix where nothing is hidden."""
    sizes = (dim, *hidden)
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], out))


class Directions(Head):
    """``s_c = max_m <f_m(x), v_c>``: M directions of an image, each label by the one that suits it.

    Args:
        net: global feature [n, D] to [n, W M], the M numbers of a dimension side by side.
        number: M.
        criterion: see :class:`Head`.
    """

    def __init__(self, net: nn.Module, number: int, criterion: MultiLabelLoss) -> None:
        super().__init__(criterion)
        self.net = net
        self.number = number

    def matrices(self, batch: Batch) -> Tensor:
        """Directions [n, W, M]."""
        flat: Tensor = self.net(unit_scale(batch.features))
        return flat.reshape(flat.shape[0], -1, self.number)

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C]."""
        return largest_scores(self.matrices(batch), words)


class DiverseDirections(Directions):
    """:class:`Directions` that :class:`ltbench.losses.SemanticDiversityLoss` trains, which looks at them one by one."""

    def __init__(self, net: nn.Module, number: int, diversity: SemanticDiversityLoss) -> None:
        super().__init__(net, number, RankNetLoss())
        self.diversity = diversity

    @property
    def criteria(self) -> tuple[nn.Module, ...]:
        """The one loss."""
        return (self.diversity,)

    def losses(self, batch: Batch, words: Tensor) -> dict[str, Tensor]:
        """Ranking and spread in one term."""
        return {"loss_rank": self.diversity(self.matrices(batch), words, batch.observed)}


class PrincipalDirections(VisualSemanticMethod):
    """One or several directions in word space from the global feature; labels rank by their inner products.

    Source: Zhang et al., Fast Zero-Shot Image Tagging (Fast0Tag), CVPR 2016; Ben-Cohen et al., Semantic Diversity
    Learning (SDL), ICCV 2021, and its release; Akata et al., Label-Embedding for Image Classification, TPAMI 2016.
    """

    class Config(VisualSemanticConfig):
        """Options of ``fast0tag``, ``sdl`` and ``label-em``. Sources in brackets, "ours" where no paper states one."""

        loss: Literal["ranknet", "rank-weighted", "margin", "diversity"] = Field(
            "ranknet", description="ranking loss [Fast0Tag: ranknet; LabelEM: rank-weighted; SDL: diversity]"
        )
        directions: int = Field(1, ge=1, description="M: directions of an image [SDL: 2 on MS-COCO, 7 on NUS-WIDE]")
        hidden: tuple[int, ...] = Field(
            (), description="sizes of hidden layers; none: a matrix [0.61M parameters in DualCoOp's Table 2]"
        )
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout behind hidden layers [ours]")
        spread: float = Field(
            0.01, ge=0, le=1, description="w: weight of the variance of the directions; diversity only [SDL's release]"
        )
        epochs: int = Field(30, ge=1, description="passes over the training rows [ours; SDL's release: 10]")

    config: Config

    def head(self, dim: int, width: int, pooled: int) -> Head:
        """Directions, with the loss that trains them."""
        config = self.config
        net = mapping(dim, config.hidden, width * config.directions, config.dropout)
        if config.loss == "diversity":
            return DiverseDirections(net, config.directions, SemanticDiversityLoss(weight=config.spread))
        losses = {"ranknet": RankNetLoss, "rank-weighted": RankWeightedHinge, "margin": MarginRankingLoss}
        return Directions(net, config.directions, losses[config.loss]())


class PooledDirections(Head):
    """``s_c = pool_l <f(x_l), v_c>`` over the places of an image.

    Args:
        net: region features [..., R] to [..., W].
        pooling: ``max``, ``mean`` or ``lse`` (log of the mean of the exponentials) over places.
        criterion: see :class:`Head`.
    """

    def __init__(self, net: nn.Module, pooling: Literal["max", "mean", "lse"], criterion: MultiLabelLoss) -> None:
        super().__init__(criterion)
        self.net = net
        self.pooling = pooling

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C]."""
        instances: Tensor = self.net(places(batch)) @ words.T
        if self.pooling == "mean":
            return instances.mean(dim=1)
        if self.pooling == "lse":
            return torch.logsumexp(instances, dim=1) - log(instances.shape[1])
        # Not amax, which would share the gradient between equal ones.
        return instances.max(dim=1).values


class Deep0Tag(VisualSemanticMethod):
    """Multiple instance learning: each place of a frozen feature map has its direction, an image their pooled scores.

    Source: Rahman, Khan and Barnes, Deep0Tag: Deep Multiple Instance Learning for Zero-Shot Image Tagging, IEEE
    Transactions on Multimedia 2019. Without code; what was not found there is ours, see the card.
    """

    INPUT: ClassVar[Literal["global", "region"]] = "region"

    class Config(VisualSemanticConfig):
        """Options of ``deep0tag``."""

        pooling: Literal["max", "mean", "lse"] = Field("max", description="evidence of an image from its places [ours]")
        hidden: tuple[int, ...] = Field((), description="sizes of hidden layers; none: a matrix [ours]")
        dropout: float = Field(0.0, ge=0, lt=1, description="dropout behind hidden layers [ours]")
        epochs: int = Field(30, ge=1, description="passes over the training rows [ours]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """As the others, and the pooling."""
        return {**super().search_space(), "pooling": Choice(("max", "mean", "lse"))}

    def head(self, dim: int, width: int, pooled: int) -> Head:
        """Pooled scores of the places."""
        config = self.config
        return PooledDirections(mapping(dim, config.hidden, width, config.dropout), config.pooling, RankNetLoss())
