"""SST: unknown labels from what occurs together in an image, and from images that look alike."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import (
    AsymmetricLoss,
    ClassContrastiveLoss,
    co_occurrence_labels,
    inter_pseudo_labels,
    intra_pseudo_labels,
)
from ltbench.method import Context, Scan, SearchSpace, Uniform
from ltbench.nn import ClassWiseLinear
from ltbench_baselines.partial.region_sources import CachedRegions, TrainedRegions
from ltbench_baselines.partial.semantic_graph import (
    SemanticGraph,
    SemanticGraphConfig,
    SemanticGraphMethod,
    SemanticGraphModule,
)


class TransferConfig(SemanticGraphConfig):
    """Options that SST and SARB share. Sources in brackets: "HCP" is their common release, or "ours"."""

    channels: int | None = Field(1024, ge=1, description="size places are reduced to; null: as they are [HCP]")
    hidden: int = Field(512, ge=1, description="size in which places and words are compared [HCP]")
    output: int = Field(1024, ge=1, description="size of a class feature before its classifier [HCP]")
    contrast: float = Field(0.05, ge=0, description="weight of contrast between images' class features [HCP]")
    warmup: int = Field(5, ge=0, description="epochs before unknown labels are made up for [HCP]")
    drop_last: bool = Field(True, description="drop an incomplete last batch [HCP]")


class TransferModule(SemanticGraphModule):
    """Graph with a contrastive loss that rises over the first epoch.

    Args:
        config: weights and epochs.
        rows: number of training rows.
    """

    def __init__(
        self, source: TrainedRegions | CachedRegions, graph: SemanticGraph, config: TransferConfig, rows: int
    ) -> None:
        super().__init__(source, graph)
        self.contrastive = ClassContrastiveLoss()
        self.weight = config.contrast
        self.warmup = config.warmup
        self.steps = max(1, ceil(rows / config.batch_size))
        # Of the running epoch, and therefore no state: an interrupted run goes on with a whole epoch.
        self.epoch, self.step = 0, 0

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Count steps anew."""
        self.epoch, self.step = epoch, 0

    def risen(self) -> float:
        """Share of the auxiliary losses at the next step: from 0 to 1 over the first epoch, then 1."""
        share = 1.0 if self.epoch > 0 else min(1.0, self.step / self.steps)
        self.step += 1
        return share


class CoOccurrence(nn.Module):
    """Logits of two classes occurring together: ``u_p . (V relu(A [g_i, g_j]) + b) + d_p`` with ``g = G f``.

    A splits into a part for either class, and V and u_p are multiplied out: no pair of an image passes a matrix.

    Args:
        classes: C.
        dim: size of a class feature.
        hidden: size of g.
        output: size of the pair's feature.
    """

    def __init__(self, classes: int, dim: int, hidden: int, output: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(dim, hidden)
        self.join = nn.Linear(2 * hidden, output)
        self.pair = nn.Linear(output, output)
        self.classifiers = ClassWiseLinear(classes * (classes - 1) // 2, output)
        self.classes = classes

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C (C - 1) / 2] of class features [n, C, D]; pairs i < j row by row."""
        i, j = torch.triu_indices(self.classes, self.classes, offset=1, device=features.device)
        reduced = self.reduce(features)
        first, second = self.join.weight.chunk(2, dim=1)
        hidden = torch.relu((reduced @ first.T)[:, i] + (reduced @ second.T)[:, j] + self.join.bias)
        own = self.classifiers.weight
        logits: Tensor = (hidden * (own @ self.pair.weight)).sum(dim=2) + own @ self.pair.bias + self.classifiers.bias
        return logits


class SSTModule(TransferModule):
    """Adds pairs of classes, a memory of features of known positives, and pseudo labels from both.

    Attributes:
        memory: float32 [C, E, D], the latest features of observed positives of each class, newest first; 0 where there
            were fewer.
    """

    memory: Tensor

    def __init__(
        self, source: TrainedRegions | CachedRegions, graph: SemanticGraph, config: SST.Config, rows: int
    ) -> None:
        super().__init__(source, graph, config, rows)
        classes = len(graph.words)
        self.pairs = CoOccurrence(classes, graph.dim, config.hidden, config.output)
        self.pair_loss = AsymmetricLoss(gamma_neg=2, gamma_pos=1, clip=0.05, variant="code")
        self.register_buffer("memory", torch.zeros(classes, config.examples, graph.dim))
        self.config = config

    def margin(self) -> float:
        """Score from which an unknown label becomes a positive in this epoch."""
        config = self.config
        return max(config.margin_floor, config.margin - config.margin_step * max(0, self.epoch - self.warmup))

    @torch.no_grad()
    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Put features of observed positives in front of the memory."""
        for label in range(len(self.memory)):
            new = features[labels[:, label] > 0, label].to(self.memory.dtype)
            if len(new):
                self.memory[label] = torch.cat((new, self.memory[label]))[: self.memory.shape[1]]

    def terms(self, features: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Classification, pairs and contrast; after the warm-up also classification by either kind of pseudo labels."""
        config, share = self.config, self.risen()
        logits = self.graph.scores(features)
        found: dict[str, Tensor] = {"loss_cls": self.criterion(logits, labels)}
        if len(self.memory) > 1:
            pairs = self.pairs(features)
            found["loss_pairs"] = share * config.pairs * self.pair_loss(pairs, co_occurrence_labels(labels))
        found["loss_contrast"] = share * self.weight * self.contrastive(features, labels)
        self.remember(features, labels)
        if self.epoch >= self.warmup:
            margin = self.margin()
            if len(self.memory) > 1:
                within = intra_pseudo_labels(pairs, labels, margin=margin)
                found["loss_within"] = config.within * self.criterion(logits, within)
            across = inter_pseudo_labels(features, labels, self.memory, margin=margin)
            found["loss_across"] = config.across * self.criterion(logits, across)
        return found


class SST(SemanticGraphMethod):
    """Makes up for unknown labels by co-occurrence within an image and by likeness to images known to show a class.

    Source: Chen et al., Structured Semantic Transfer for Multi-Label Recognition with Partial Labels, AAAI 2022, and
    its release.
    """

    class Config(TransferConfig):
        """Options of ``sst``. Sources in brackets: "HCP" is the release, or "ours"."""

        pairs: float = Field(10.0, ge=0, description="weight of the loss of pairs of classes [HCP]")
        within: float = Field(1.0, ge=0, description="weight of pseudo labels from co-occurrence [HCP]")
        across: float = Field(1.0, ge=0, description="weight of pseudo labels from other images [HCP]")
        margin: float = Field(0.95, ge=0, le=1, description="score from which a label is made up, at first [HCP]")
        margin_step: float = Field(0.025, ge=0, le=1, description="what the margin falls by each epoch [HCP]")
        margin_floor: float = Field(0.75, ge=0, le=1, description="smallest margin [HCP]")
        examples: int = Field(100, ge=1, description="features remembered for each class [HCP]")

    # Logits also follow labels that nobody observed.
    PROPER: ClassVar[bool] = False
    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """That of all four, and where the margin ends."""
        return {**super().search_space(), "margin_floor": Uniform(0.5, 0.95)}

    def module(self, source: TrainedRegions | CachedRegions, context: Context) -> SemanticGraphModule:
        """Graph, pairs and memory."""
        return SSTModule(source, self.graph(source.dim, context), self.config, context.stats.rows)
