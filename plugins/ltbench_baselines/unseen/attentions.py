"""Heads that attend to places of an image: one attention per label, LESA's shared attentions, BiAM's two contexts."""

from __future__ import annotations

from math import isqrt
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize, pad

from ltbench.losses import MarginRankingLoss
from ltbench.method import Batch
from ltbench.plugin import UserError
from ltbench_baselines.common.places import places, unit_scale
from ltbench_baselines.unseen.visual_semantic import Head, VisualSemanticConfig, VisualSemanticMethod


def as_map(regions: Tensor) -> Tensor:
    """Regions [n, L, R], row by row, as a square map [n, R, h, h].

    Raises:
        UserError: L is no square.
    """
    rows, count, dim = regions.shape
    side = isqrt(count)
    if side * side != count:
        raise UserError(f"{count} places are no square map, which convolutions need", "ltbench list backbones")
    return regions.transpose(1, 2).reshape(rows, dim, side, side)


class LabelAttention(Head):
    """``s_c = sum_l a_lc <x_l, W v_c>``, ``a_lc = softmax_l <x_l, A v_c>``: each label looks for itself.

    A starts at zero, so that all places count alike at first.

    Args:
        dim: size of a region feature.
        width: size of a word vector.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__(MarginRankingLoss())
        self.attention = nn.Linear(width, dim, bias=False)
        self.classifier = nn.Linear(width, dim, bias=False)
        nn.init.zeros_(self.attention.weight)

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C]."""
        regions = places(batch)
        weights = torch.softmax(regions @ self.attention(words).T, dim=1)
        scores: Tensor = (weights * (regions @ self.classifier(words).T)).sum(dim=1)
        return scores


class OneAttentionPerLabel(VisualSemanticMethod):
    """Bilinear attention of each label's word vector over the places of a frozen feature map.

    Source: a baseline of LESA (Huynh and Elhamifar, CVPR 2020) after Kim et al., Bilinear Attention Networks, NeurIPS
    2018. Its formula is not in LESA's release; this is the one of the same authors' DAZLE (CVPR 2020) and its release.
    """

    INPUT: ClassVar[Literal["global", "region"]] = "region"

    class Config(VisualSemanticConfig):
        """Options of ``one-attention-per-label``."""

        epochs: int = Field(30, ge=1, description="passes over the training rows [ours]")

    config: Config

    def head(self, dim: int, width: int, pooled: int) -> Head:
        """Attention and classifier of each label, from its word vector."""
        return LabelAttention(dim, width)


class SharedAttentions(Head):
    """``s_c = max_t <f_t, W v_c>``, f_t what attention t of T gathers; the labels choose among the attentions.

    Features go through a 2 x 2 convolution with batch normalisation and ReLU, and attention t weighs places by
    ``softmax_l (u_t . tanh(B x_l + b) + d_t)``. Beside the ranking loss: ``distribution`` (no attention shall serve all
    present labels), ``whole`` (attentions shall beat the mean of the places), ``span`` (attentions shall differ).

    Args:
        dim: size of a region feature.
        width: size of a word vector.
        number: T.
        weights: of the three terms, in this order.
    """

    def __init__(self, dim: int, width: int, number: int, weights: tuple[float, float, float]) -> None:
        super().__init__(MarginRankingLoss())
        self.convolution = nn.Conv2d(dim, dim, 2, bias=False)
        self.norm = nn.BatchNorm2d(dim, eps=1e-3)
        self.hidden = nn.Linear(dim, dim)
        self.attention = nn.Linear(dim, number)
        self.classifier = nn.Linear(width, dim, bias=False)
        self.weights = weights

    def parts(self, batch: Batch, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores by attention [n, T, C], scores of the mean place [n, C], attention logits [n, T, L]."""
        # The release pads as TensorFlow does: an even kernel gets its one row and column at the end.
        mapped = self.norm(self.convolution(pad(as_map(places(batch)), (0, 1, 0, 1)))).relu()
        regions = mapped.flatten(2).transpose(1, 2)
        looks = self.attention(self.hidden(regions).tanh()).transpose(1, 2)
        classifiers = self.classifier(words)
        gathered = torch.softmax(looks, dim=2) @ regions
        return gathered @ classifiers.T, regions.mean(dim=1) @ classifiers.T, looks

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C]."""
        return self.parts(batch, words)[0].max(dim=1).values

    def losses(self, batch: Batch, words: Tensor) -> dict[str, Tensor]:
        """The ranking loss, and the three terms with their weights."""
        by_attention, whole, looks = self.parts(batch, words)
        scores, labels = by_attention.max(dim=1).values, batch.observed
        chosen = (torch.softmax(by_attention, dim=1) * (labels > 0).unsqueeze(1)).sum(dim=2)
        directions = normalize(looks, dim=2)
        alike = directions @ directions.transpose(1, 2)
        others = alike * (1 - torch.eye(alike.shape[1], device=alike.device))
        terms = (
            chosen.square().mean(),
            (-(scores - whole) * labels).clamp(min=0).sum(),
            torch.linalg.vector_norm(others),
        )
        named = zip(("loss_distribution", "loss_whole", "loss_span"), self.weights, terms, strict=True)
        return {"loss_rank": self.criterion(scores, labels)} | {name: weight * term for name, weight, term in named}


class LESA(VisualSemanticMethod):
    """Attentions that all labels share, seen and unseen, on a frozen feature map.

    Source: Huynh and Elhamifar, A Shared Multi-Attention Framework for Multi-Label Zero-Shot Learning, CVPR 2020, and
    its release.
    """

    INPUT: ClassVar[Literal["global", "region"]] = "region"

    class Config(VisualSemanticConfig):
        """Options of ``lesa``. Sources in brackets: "release", or "ours"."""

        attentions: int = Field(10, ge=1, description="T: shared attentions [release]")
        distribution: float = Field(0.1, ge=0, description="weight of the spread of labels over attentions [release]")
        whole: float = Field(1e-3, ge=0, description="weight of beating the mean of the places [release]")
        span: float = Field(0.01, ge=0, description="weight of differing attentions [release]")
        epochs: int = Field(30, ge=1, description="passes over the training rows [ours; release: 200,000 steps]")

    config: Config

    def head(self, dim: int, width: int, pooled: int) -> Head:
        """Shared attentions."""
        config = self.config
        return SharedAttentions(dim, width, config.attentions, (config.distribution, config.whole, config.span))


class _Normed(nn.Sequential):
    """3 x 3 convolution, ReLU, batch normalisation, in the release's order and with its constants."""

    def __init__(self, before: int, after: int) -> None:
        norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.99)
        super().__init__(nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), norm)


class TwoContexts(Head):
    """``s_c = mean of the k largest <e_l, W v_c + b>``, e_l a place with the context of its region and of the scene.

    Region: self-attention over places and two pointwise layers, each with a residual. Scene: channels of the place
    gated by their agreement with the global feature.

    Args:
        dim: size of a region feature.
        width: size of a word vector.
        pooled: size of the global feature.
        channels: size of a place within.
        heads: of the self-attention, a divisor of `channels`.
        largest: k.
    """

    def __init__(self, dim: int, width: int, pooled: int, channels: int, heads: int, largest: int) -> None:
        super().__init__(MarginRankingLoss())
        self.entry = _Normed(dim, channels)
        self.attention = nn.MultiheadAttention(channels, heads, dropout=0.1, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.pointwise = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels))
        self.channel = nn.Linear(channels, channels)
        self.scene = nn.Sequential(nn.Dropout(0.2), nn.Linear(pooled, channels))
        self.refine = _Normed(channels, channels)
        self.exit = nn.Linear(2 * channels, dim)
        self.classifier = nn.Linear(width, dim)
        self.largest = largest

    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C]."""
        hidden = self.entry(as_map(places(batch))).flatten(2).transpose(1, 2)
        attended, _ = self.attention(hidden, hidden, hidden, need_weights=False)
        region = hidden + self.dropout(attended)
        region = region + self.pointwise(region)
        values = leaky_relu(self.channel(hidden), 0.2)
        gates = torch.sigmoid(values.mean(dim=1) * self.scene(unit_scale(batch.features)))
        gated = values * gates.unsqueeze(1)
        scene = gated + self.refine(as_map(gated)).flatten(2).transpose(1, 2)
        rich = leaky_relu(self.exit(torch.cat([region, scene], dim=2)), 0.2)
        by_place: Tensor = rich @ self.classifier(words).T
        return by_place.topk(min(self.largest, by_place.shape[1]), dim=1).values.mean(dim=1)


class BiAM(VisualSemanticMethod):
    """Places with the context of their region and of the scene; a label takes the few that suit it best.

    Source: Narayan et al., Discriminative Region-Based Multi-Label Zero-Shot Learning, ICCV 2021, and its release.
    """

    INPUT: ClassVar[Literal["global", "region"]] = "region"

    class Config(VisualSemanticConfig):
        """Options of ``biam``. Sources in brackets: "release", or "ours"."""

        channels: int = Field(256, ge=1, description="size of a place within, a multiple of heads [release]")
        heads: int = Field(8, ge=1, description="heads of the self-attention [release]")
        largest: int = Field(6, ge=1, description="k: places a label is the mean of [release]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay [release]")
        epochs: int = Field(40, ge=1, description="passes over the training rows [release]")

    config: Config

    def head(self, dim: int, width: int, pooled: int) -> Head:
        """Both contexts.

        Raises:
            UserError: the heads do not divide the channels.
        """
        config = self.config
        if config.channels % config.heads:
            message = f"{config.heads} heads do not divide {config.channels} channels"
            raise UserError(message, "ltbench show method biam")
        return TwoContexts(dim, width, pooled, config.channels, config.heads, config.largest)
