"""SARB: class features blended with those of other images and of prototypes, where a label is unknown."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import SoftPartialBCELoss, mixed_labels
from ltbench.method import Context, Scan, SearchSpace, Uniform
from ltbench_baselines.partial.region_sources import CachedRegions, TrainedRegions
from ltbench_baselines.partial.semantic_graph import (
    SemanticGraph,
    SemanticGraphMethod,
    SemanticGraphModule,
)
from ltbench_baselines.partial.semantic_transfer import TransferConfig, TransferModule


def cluster_centres(points: Tensor, clusters: int, seed: int) -> Tensor:
    """Centres [clusters, D] of points [N, D], N > 0, by k-means; the points by turns where there are no more."""
    if len(points) <= clusters:
        return points[torch.arange(clusters) % len(points)]
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Points that coincide give fewer distinct centres than asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # scikit-learn takes 32 bits.
        found = KMeans(clusters, n_init=1, random_state=seed % 2**32).fit(points.double().numpy())
    return torch.from_numpy(np.asarray(found.cluster_centers_, dtype=np.float32))


class SARBModule(TransferModule):
    """Adds two blends of the class features, each classified with labels blended alike.

    Attributes:
        prototypes: float32 [C, K, D], centres of the class features of observed positives.
        shown: bool [C], classes that have prototypes: those with an observed positive.
    """

    prototypes: Tensor
    shown: Tensor

    def __init__(
        self, source: TrainedRegions | CachedRegions, graph: SemanticGraph, config: SARB.Config, rows: int, seed: int
    ) -> None:
        super().__init__(source, graph, config, rows)
        self.soft = SoftPartialBCELoss()
        self.alpha = nn.Parameter(torch.tensor(config.share))
        self.beta = nn.Parameter(torch.tensor(config.share))
        classes = len(graph.words)
        self.register_buffer("prototypes", torch.zeros(classes, config.prototypes, graph.dim))
        self.register_buffer("shown", torch.zeros(classes, dtype=torch.bool))
        self.every = config.renew
        self._seed = seed

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Make the prototypes after the warm-up, and again every few epochs."""
        super().on_epoch_start(epoch, scan)
        if epoch < self.warmup or (epoch - self.warmup) % self.every:
            return
        kept: list[list[Tensor]] = [[] for _ in self.shown]
        for batch in scan():
            present = batch.observed > 0
            if bool(present.any()):
                features = self.features(batch).float().cpu()
                for label in present.any(dim=0).nonzero().flatten().tolist():
                    kept[label].append(features[present[:, label].cpu(), label])
        for label, parts in enumerate(kept):
            self.shown[label] = bool(parts)
            if parts:
                centres = cluster_centres(torch.cat(parts), self.prototypes.shape[1], self._seed + label)
                self.prototypes[label] = centres.to(self.prototypes)

    def with_partner(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, C, D] and labels [n, C] blended with those of the batch in reverse order."""
        weights, targets = mixed_labels(labels, labels.flip(0), self.alpha)
        weights = weights.unsqueeze(2)
        return weights * features + (1 - weights) * features.flip(0), targets

    def with_prototype(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same with a prototype in one random unknown class of each image.

        An image without an unknown class (that has prototypes) stays as it is; the release blends its first class.
        """
        draw = torch.rand(labels.shape).to(features.device) * ((labels == 0) & self.shown)
        best, column = draw.max(dim=1)
        chosen = torch.zeros_like(draw, dtype=torch.bool)
        chosen[torch.arange(len(labels), device=features.device), column] = best > 0
        number = int(torch.randint(self.prototypes.shape[1], (1,)))
        blended = self.beta * features + (1 - self.beta) * self.prototypes[:, number]
        targets = torch.where(chosen, 1 - self.beta, labels.to(features.dtype))
        return torch.where(chosen.unsqueeze(2), blended, features), targets

    def terms(self, features: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Classification and contrast; after the warm-up also classification of both blends."""
        found: dict[str, Tensor] = {
            "loss_cls": self.criterion(self.graph.scores(features), labels),
            "loss_contrast": self.risen() * self.weight * self.contrastive(features, labels),
        }
        if self.epoch >= self.warmup:
            with torch.no_grad():
                self.alpha.clamp_(0, 1)
                self.beta.clamp_(0, 1)
            mixed, targets = self.with_partner(features, labels)
            found["loss_partner"] = self.soft(self.graph.scores(mixed), targets)
            mixed, targets = self.with_prototype(features, labels)
            found["loss_prototype"] = self.soft(self.graph.scores(mixed), targets)
        return found


class SARB(SemanticGraphMethod):
    """Blends class features, where a label is unknown, with those of another image or of a prototype, and the labels.

    Source: Pu et al., Semantic-Aware Representation Blending for Multi-Label Image Recognition with Partial Labels,
    AAAI 2022, and its release.
    """

    class Config(TransferConfig):
        """Options of ``sarb``. Sources in brackets: "HCP" is the release, or "ours"."""

        share: float = Field(0.5, ge=0, le=1, description="share of an image's own feature at first; learned [HCP]")
        prototypes: int = Field(10, ge=1, description="prototypes of each class [HCP]")
        renew: int = Field(5, ge=1, description="epochs after which prototypes are made anew [HCP]")

    # Logits also follow labels that nobody observed.
    PROPER: ClassVar[bool] = False
    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """That of all four, and the weight of the contrast."""
        return {**super().search_space(), "contrast": Uniform(0.005, 0.5, log=True)}

    def module(self, source: TrainedRegions | CachedRegions, context: Context) -> SemanticGraphModule:
        """Graph, prototypes and shares."""
        graph = self.graph(source.dim, context)
        return SARBModule(source, graph, self.config, context.stats.rows, context.seed)
