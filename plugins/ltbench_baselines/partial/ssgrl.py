"""SSGRL, and KGGR, whose classifiers pass through a graph as well."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.method import Context
from ltbench.nn import ClassWiseLinear, GatedGraph
from ltbench_baselines.partial.region_sources import CachedRegions, TrainedRegions
from ltbench_baselines.partial.semantic_graph import (
    SemanticGraphConfig,
    SemanticGraphMethod,
    SemanticGraphModule,
    links,
)


class RoutedScores(ClassWiseLinear):
    """Scores of classifiers that pass through a graph of their own: ``v_c = O [w_c', w_c]``, ``s_c = v_c . x_c + b_c``.

    Args:
        classes: C.
        dim: size of a class feature.
        steps: of the graph.
        adjacency: links [C, C].
    """

    adjacency: Tensor

    def __init__(self, classes: int, dim: int, steps: int, adjacency: Tensor) -> None:
        super().__init__(classes, dim)
        self.register_buffer("adjacency", adjacency)
        self.routing = GatedGraph(dim, steps)
        self.combine = nn.Linear(2 * dim, dim, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [n, C] of class features [n, C, D]."""
        routed = self.routing(self.weight, self.adjacency)
        classifiers = self.combine(torch.cat((routed, self.weight), dim=1))
        scores: Tensor = (features * classifiers).sum(dim=2) + self.bias
        return scores


class SSGRL(SemanticGraphMethod):
    """A feature for each class, by attention that its name guides, in a gated graph of how classes occur together.

    Source: Chen et al., Learning Semantic-Specific Graph Representation for Multi-Label Image Recognition, ICCV 2019,
    and its release.
    """

    class Config(SemanticGraphConfig):
        """Options of ``ssgrl``."""

    config: Config

    def module(self, source: TrainedRegions | CachedRegions, context: Context) -> SemanticGraphModule:
        """Places and graph."""
        return SemanticGraphModule(source, self.graph(source.dim, context))


class KGGR(SemanticGraphMethod):
    """SSGRL whose classifiers pass through a gated graph over the same links.

    Source: Chen et al., Knowledge-Guided Multi-Label Few-Shot Learning for General Image Recognition, TPAMI 2022; no
    code was released.
    """

    class Config(SemanticGraphConfig):
        """Options of ``kggr``."""

        routing_steps: int = Field(3, ge=1, description="steps of the graph over classifiers [ours: as the other]")

    config: Config

    def module(self, source: TrainedRegions | CachedRegions, context: Context) -> SemanticGraphModule:
        """Places, graph, and classifiers with a graph of their own."""
        config = self.config
        classes, adjacency = len(context.class_names), links(context.stats)
        routed = RoutedScores(classes, config.output, config.routing_steps, adjacency)
        return SemanticGraphModule(source, self.graph(source.dim, context, routed))
