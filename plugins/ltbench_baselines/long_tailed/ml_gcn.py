"""ML-GCN: the classifier of each label comes out of a graph convolution over the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor

from ltbench.method import (
    Choice,
    Context,
    FineTuned,
    LabelGraphConfig,
    Method,
    Needs,
    SearchSpace,
    Stage,
    Uniform,
    ViewedConfig,
)
from ltbench.nn import GraphClassifiers
from ltbench_baselines.common.losses_by_name import PROPER, LossConfig, build_loss


class GraphHead(GraphClassifiers):
    """``logits = x G(words, A)^T``: global features times the class vectors."""

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C] of global features [n, dim]."""
        return features @ self.classifiers().T


class MLGCN(Method):
    """Fine-tunes the image tower together with two graph convolutions that make the class vectors.

    Source: Chen et al., Multi-Label Image Recognition with Graph Convolutional Networks, CVPR 2019, and its release.
    """

    class Config(LossConfig, LabelGraphConfig, ViewedConfig):
        """Options of ML-GCN. Sources in brackets: paper section, "release", or "ours"."""

        optimizer: Literal["sgd", "adamw"] = Field("sgd", description="optimiser [4.2]")
        lr: float = Field(1e-2, gt=0, description="learning rate of the tower [4.2; release: a tenth of the graph's]")
        head_lr: float = Field(1e-1, gt=0, description="learning rate of the graph convolutions [release]")
        epochs: int = Field(20, ge=1, description="passes over the rows [release; 4.2: 100]")
        milestones: tuple[int, ...] = Field(
            (40, 80), description="epochs of decay by 0.1; multistep only [4.2, of 100; release: 30 of 20]"
        )
        clip_norm: float | None = Field(10.0, gt=0, description="limit of the gradient norm [release]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and augmentation; the graph's constants stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-3, 5e-3, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen, and a text tower where class names go through it.

        Unknown labels are skipped; see the card.
        """
        config = self.config
        return Needs(
            input=config.input,
            text=config.text(),
            without_text="words=one-hot",
            extras=config.extras(),
            classes="fixed",
            images=config.images,
            calibrated=config.loss in PROPER and config.sampler == "shuffle",
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower and graph convolutions.

        Raises:
            UserError: the file of word vectors lacks a word.
        """
        config, stats = self.config, context.stats
        head = GraphHead(
            config.vectors(context),
            config.links(context),
            config.hidden,
            context.backbone.card.dim,
            config.slope,
        )
        module = FineTuned(
            context.backbone,
            head,
            build_loss(config, stats, context.variant),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
            tower=config.tower,
        )
        return [config.fine_tuning("fine-tune", module, context)]
