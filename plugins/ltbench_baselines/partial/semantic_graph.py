"""Class features that talk to each other: what SSGRL, KGGR, SST and SARB share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import BCELoss
from ltbench.method import (
    Batch,
    Choice,
    Context,
    FineTuneConfig,
    Method,
    Needs,
    ParamGroup,
    SearchSpace,
    Stage,
    Stats,
    Uniform,
    WordVectorConfig,
    dealt,
)
from ltbench.nn import ClassWiseLinear, GatedGraph, SemanticDecoupling, conditional_cooccurrence
from ltbench_baselines.common.places import chosen_rows
from ltbench_baselines.partial.region_sources import CachedRegions, TrainedRegions


class SemanticGraph(nn.Module):
    """Places → a feature for each class → a graph over the classes → scores.

    Args:
        dim: size of a place R.
        words: vectors of the class names [C, W].
        adjacency: links [C, C].
        config: sizes.
        scores: from features [n, C, config.output] to scores; None is linear in each class.
    """

    words: Tensor
    adjacency: Tensor

    def __init__(
        self, dim: int, words: Tensor, adjacency: Tensor, config: SemanticGraphConfig, scores: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("adjacency", adjacency)
        self.dim = config.channels or dim
        self.entry = nn.Linear(dim, self.dim, bias=False) if config.channels else None
        self.norm = nn.BatchNorm1d(self.dim) if config.channels else None
        self.decoupling = SemanticDecoupling(self.dim, words.shape[1], config.hidden)
        self.graph = GatedGraph(self.dim, config.steps, config.reset or "own")
        self.output = nn.Linear(2 * self.dim, config.output)
        self.classifiers = ClassWiseLinear(len(words), config.output) if scores is None else scores

    def features(self, regions: Tensor) -> Tensor:
        """Class features [n, C, D] of places [n, L, R]."""
        if self.entry is not None and self.norm is not None:
            regions = self.norm(self.entry(regions).transpose(1, 2)).transpose(1, 2)
        features: Tensor = self.decoupling(regions, self.words)
        return features

    def scores(self, features: Tensor) -> Tensor:
        """Logits [n, C] of class features [n, C, D]."""
        joined = torch.cat((self.graph(features, self.adjacency), features), dim=2)
        logits: Tensor = self.classifiers(torch.tanh(self.output(joined)))
        return logits


class SemanticGraphConfig(WordVectorConfig, FineTuneConfig):
    """Options that all four share. Sources in brackets: release of SSGRL; HCP, that of SST and SARB; or "ours"."""

    tower: Literal["trained", "frozen"] = Field(
        "trained", description="learn the image tower but for what freeze names, or read cached regions [ours: frozen]"
    )
    image_size: int | None = Field(
        None, ge=32, description="side of the input in pixels; null: the encoder's own [HCP: 448]"
    )
    channels: int | None = Field(None, ge=1, description="size places are reduced to; null: as they are [SSGRL: null]")
    hidden: int = Field(1024, ge=1, description="size in which places and words are compared [SSGRL]")
    output: int = Field(2048, ge=1, description="size of a class feature before its classifier [SSGRL]")
    steps: int = Field(3, ge=1, description="steps of the gated graph [SSGRL, HCP]")
    reset: Literal["own", "shared"] | None = Field(
        None, description="matrix of the reset gate: its own, or the update gate's; null: own [SSGRL's code: shared]"
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [SSGRL, HCP]")  # type: ignore[assignment]
    lr: float = Field(1e-5, gt=0, description="learning rate of the tower [SSGRL, HCP]")
    head_lr: float = Field(1e-5, gt=0, description="learning rate of all else [SSGRL, HCP]")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay [HCP]")
    epochs: int = Field(20, ge=1, description="passes over the rows [HCP]")
    batch_size: int = Field(8, ge=1, description="rows a step [HCP; SSGRL: 4]")
    schedule: Literal["cosine", "multistep", "constant"] = Field(
        "multistep", description="course of the learning rates [HCP]"
    )
    milestones: tuple[int, ...] = Field((10,), description="epochs of decay by 0.1; multistep only [HCP]")
    batch_norm: Literal["eval", "train"] = Field(
        "train", description="batch statistics in trained parts of the tower, or those of pre-training [HCP]"
    )


class SemanticGraphModule(nn.Module):
    """Places, graph and loss.

    Args:
        source: places [n, L, R] of a batch.
        graph: scores classes by them.
    """

    def __init__(self, source: TrainedRegions | CachedRegions, graph: SemanticGraph) -> None:
        super().__init__()
        self.source = source
        self.graph = graph
        self.criterion = BCELoss()

    def features(self, batch: Batch) -> Tensor:
        """Class features [n, C, D]."""
        return self.graph.features(self.source(batch))

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]."""
        return self.graph.scores(self.features(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms over the rows that have a known label.

        The others are left out before anything sees them: batch normalisation would let them move its statistics.
        """
        known = (batch.observed != 0).any(dim=1)
        if not bool(known.any()):
            learned = [parameter for parameter in self.parameters() if parameter.requires_grad]
            return {"loss_cls": torch.stack([0.0 * parameter.sum() for parameter in learned]).sum()}
        batch = batch if bool(known.all()) else chosen_rows(batch, known)
        return dict(self.terms(self.features(batch), batch.observed))

    def terms(self, features: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Named terms of the loss of class features [n, C, D]; the labels [n, C] have a known one in each row."""
        return {"loss_cls": self.criterion(self.graph.scores(features), labels)}


def links(stats: Stats) -> Tensor:
    """How often j is observed where i is, float32 [C, C], 1 on the diagonal.

    A class without an observed positive, which has NaN in SST's and SARB's release, is linked with itself alone.
    """
    given = conditional_cooccurrence(stats.cooccurrence, stats.positives)
    return torch.from_numpy((given + np.eye(len(given))).astype(np.float32))


class SemanticGraphMethod(Method):
    """Places by a trained or frozen tower, and a module that subclasses build around them.

    Attributes:
        PROPER: the loss of the logits is cross-entropy with observed labels and nothing else.
    """

    PROPER: ClassVar[bool] = True
    config: SemanticGraphConfig

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rate and decay of all but the tower, and augmentation."""
        return {
            "head_lr": Uniform(3e-4, 1e-2, log=True),
            "weight_decay": Uniform(1e-5, 1e-2, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images or regions, and a text tower where names go through it. Unknown labels: see the card."""
        config = self.config
        return Needs(
            input="image" if config.tower == "trained" else "region",
            text=config.text(),
            extras=config.extras(),
            classes="fixed",
            unknown=None if self.PROPER else "own",
            images="backbone" if config.image_size is None else "squeezed",
            image_size=config.image_size,
            calibrated=self.PROPER and config.sampler == "shuffle",
        )

    @abstractmethod
    def module(self, source: TrainedRegions | CachedRegions, context: Context) -> SemanticGraphModule:
        """What is trained."""

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage.

        Raises:
            UserError: the file of word vectors lacks a word, or the tower has no map of places.
        """
        config = self.config
        source: TrainedRegions | CachedRegions
        if config.tower == "trained":
            source = TrainedRegions(context.backbone, config)
            source.tower.to(memory_format=torch.channels_last)
        else:
            dim = context.backbone.card.region_dim
            assert dim is not None, "the needs of the method ask for regions"
            source = CachedRegions(dim)
        module = self.module(source, context)
        tower = source.trained() if isinstance(source, TrainedRegions) else []
        theirs = {id(parameter) for parameter in source.parameters()}
        rest = [parameter for parameter in module.parameters() if id(parameter) not in theirs]
        course, decay = config.course(), config.weight_decay
        groups = [ParamGroup(tower, config.lr, decay, course, "tower")] if tower else []
        groups.append(ParamGroup(rest, config.head_lr, decay, course, "graph"))
        rows = config.rows(context)
        stage = config.stage(
            "train", module, groups, sampler=rows, drop_last=config.drop_last, clip_norm=config.clip_norm
        )
        # Subclasses add terms that compare rows, or mix them.
        return [dealt(stage, module.criterion) if type(module) is SemanticGraphModule else stage]

    def graph(self, dim: int, context: Context, scores: nn.Module | None = None) -> SemanticGraph:
        """The graph for places of size `dim`."""
        config = self.config
        if config.reset is None and context.variant == "code":
            config = config.model_copy(update={"reset": "shared"})
        return SemanticGraph(dim, config.vectors(context), links(context.stats), config, scores)
