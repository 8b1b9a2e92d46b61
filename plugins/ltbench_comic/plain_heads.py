"""Baselines beside COMIC that differ in the classifier: factors of classes (LWS), and a graph of labels (ML-GCN)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import (
    Batch,
    Context,
    GradientStage,
    LabelGraphConfig,
    Needs,
    ParamGroup,
    Schedule,
    Stage,
    dealt,
)
from ltbench.nn import ClassAwareSampler, ClassScales, GraphClassifiers
from ltbench.plugin import UserError
from ltbench_comic.module import FeatureLayer
from ltbench_comic.plain import Plain, PlainConfig, PlainModule
from ltbench_comic.plain_losses import OWN_UNKNOWN, build_plain_loss


class ScaledModule(nn.Module):
    """Second stage: one factor a class on the logits of a trained first stage, which stays as it is.

    Args:
        first: what the first stage trained.
        classes: number of classes C.
        criterion: loss of logits [B, C] and labels [B, C].
    """

    def __init__(self, first: PlainModule, classes: int, criterion: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.scales = ClassScales(classes)
        self.criterion = criterion

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        with torch.no_grad():
            found = self.first.logits(batch)
        scaled: Tensor = self.scales(found)
        return scaled

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the scaled logits."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}


class PlainLWS(Plain):
    """Learns as ``plt-bce`` does, then one factor a class on class-aware rows.

    Source: Kang et al., ICLR 2020 (LWS); a factor for a whole logit is also what COMIC's repository has.
    """

    class Config(PlainConfig):
        """Options of both stages; ``scale_*`` are the second's. LWS: release of Kang et al., ImageNet-LT."""

        scale_lr: float = Field(0.2, gt=0, description="learning rate of the factors, by SGD to 0 on a cosine [LWS]")
        scale_momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the factors [LWS]")
        scale_weight_decay: float = Field(5e-4, ge=0, description="weight decay of the factors [LWS]")
        scale_epochs: int = Field(5, ge=1, description="passes over the class-aware rows [LWS]")
        scale_batch_size: int = Field(64, ge=1, description="rows a step of the second stage [LWS: 512; ours]")
        sampler_reduce: int = Field(
            4, ge=1, description="an epoch of class-aware rows has max n_c * C / reduce [LWS: 1; ours]"
        )
        sampler_draws: int = Field(4, ge=1, description="rows a visit of a class; class-aware rows [LWS]")

    config: Config

    def needs(self) -> Needs:
        """As the loss needs; class-aware rows move the share of positives, so logits are no probabilities."""
        own = "own" if self.config.loss in OWN_UNKNOWN else None
        return Needs(input="global", classes="fixed", unknown=own, calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """Feature layer and classifier, then the factors. The second stage's loss is a mean, as its rate is LWS's.

        Raises:
            UserError: no class has an observed positive.
        """
        config = self.config
        (first,) = super().stages(context)
        assert isinstance(first.module, PlainModule)
        observed = np.asarray(context.observed.numpy(), dtype=np.int8)
        if not bool((observed == 1).any()):
            raise UserError(
                "plt-lws draws rows class by class, and no class has an observed positive", "ltbench list tasks"
            )
        mean = build_plain_loss(config.model_copy(update={"reduction": "mean"}), context.stats, context.variant)
        second = ScaledModule(first.module, len(context.class_names), mean)
        factors = ParamGroup(
            list(second.scales.parameters()), config.scale_lr, config.scale_weight_decay, Schedule("cosine"), "factors"
        )
        return [
            first,
            dealt(
                GradientStage(
                    "scale",
                    second,
                    [factors],
                    epochs=config.scale_epochs,
                    batch_size=config.scale_batch_size,
                    optimizer="sgd",
                    momentum=config.scale_momentum,
                    sampler=ClassAwareSampler(observed, config.sampler_reduce, config.sampler_draws),
                    augment=config.views(),
                    amp=False,
                ),
                mean,
            ),
        ]


class GraphCosine(GraphClassifiers):
    """COMIC's classifier with class vectors that a graph convolution makes of the class names.

    ``z = scale f / |f| . v / (|v| + eta)`` with ``v = G(words, A)``.

    Args:
        words, adjacency, hidden, dim, slope: as in :class:`ltbench.nn.GraphClassifiers`.
        scale, eta: as in :class:`ltbench.nn.MultiHeadCosine`.
    """

    def __init__(
        self, words: Tensor, adjacency: Tensor, hidden: int, dim: int, slope: float, scale: float, eta: float
    ) -> None:
        super().__init__(words, adjacency, hidden, dim, slope)
        self.scale, self.eta = scale, eta

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C] of features [n, dim]."""
        vectors = self.classifiers()
        vectors = vectors / (vectors.norm(dim=1, keepdim=True) + self.eta)
        return torch.as_tensor(self.scale * normalize(features, dim=1) @ vectors.T)


class PlainGraph(Plain):
    """Learns a feature layer and two graph convolutions that make the class vectors.

    Source: Chen et al., Multi-Label Image Recognition with Graph Convolutional Networks, CVPR 2019, and its release.
    """

    class Config(LabelGraphConfig, PlainConfig):
        """Options of ``plt-ml-gcn``."""

    config: Config

    def needs(self) -> Needs:
        """Global features, and a text tower where class names go through it."""
        config = self.config
        return Needs(
            input="global",
            text=config.text(),
            without_text="words=one-hot",
            extras=config.extras(),
            classes="fixed",
            unknown="own" if config.loss in OWN_UNKNOWN else None,
            calibrated=config.loss == "bce",
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage.

        Raises:
            UserError: the file of word vectors lacks a word.
        """
        config, stats = self.config, context.stats
        classifier = GraphCosine(
            config.vectors(context),
            config.links(context),
            config.hidden,
            config.feature_dim,
            config.slope,
            config.scale,
            config.eta,
        )
        module = PlainModule(
            FeatureLayer(context.backbone.card.dim, config.feature_dim),
            classifier,
            build_plain_loss(config, stats, context.variant),
        )
        return [dealt(config.frozen_stage("train", module, config.groups(module)), module.criterion)]
