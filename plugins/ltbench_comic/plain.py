"""Baselines beside COMIC: one model of its form on the same features, trained alike, with another loss or head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.method import (
    Batch,
    Choice,
    Context,
    Method,
    Needs,
    ParamGroup,
    Scan,
    SearchSpace,
    Stage,
    Uniform,
    dealt,
)
from ltbench.nn import MultiHeadCosine
from ltbench_comic.module import FeatureLayer
from ltbench_comic.plain_losses import OWN_UNKNOWN, PlainLossConfig, build_plain_loss
from ltbench_comic.training import FrozenConfig


class PlainModule(nn.Module):
    """Feature layer, classifier and loss.

    Args:
        linear: features [n, width] of the tower's [n, dim].
        classifier: logits [n, C] of features.
        criterion: loss of logits [B, C] and labels [B, C].
    """

    def __init__(self, linear: FeatureLayer, classifier: nn.Module, criterion: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.classifier = classifier
        self.criterion = criterion

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        found: Tensor = self.classifier(self.linear(batch.features))
        return found

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}


class PlainConfig(PlainLossConfig, FrozenConfig):
    """Options of the baselines: those that COMIC's models have, and a loss."""

    def groups(self, module: PlainModule) -> list[ParamGroup]:
        """The two groups of COMIC's balanced model."""
        features, classifier = list(module.linear.parameters()), list(module.classifier.parameters())
        return [
            self.step_group("features", features, self.lr, self.balanced_step),
            self.step_group("classifier", classifier, self.classifier_lr, self.classifier_step),
        ]

    def cosine(self, context: Context) -> MultiHeadCosine:
        """COMIC's classifier, of one head as all of its configurations have."""
        return MultiHeadCosine(self.feature_dim, len(context.class_names), 1, self.scale, self.eta)


class Plain(Method):
    """Learns a feature layer and a class weight vector on features of a frozen image tower, by one loss.

    Source: the comparisons in Table 1 of COMIC (Zhang et al., ICCV 2023), on the trainer of COMIC itself.
    """

    class Config(PlainConfig):
        """Options of the recipes that differ in the loss."""

    config: PlainConfig

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates and weight decay, as COMIC's; the losses' constants stay the published ones."""
        return {
            "lr": Uniform(5e-4, 1e-2, log=True),
            "classifier_lr": Uniform(1e-4, 1e-2, log=True),
            "weight_decay": Uniform(1e-6, 1e-3, log=True),
        }

    def needs(self) -> Needs:
        """Global features; unknown labels as the task has them, but for the losses that read them."""
        loss = self.config.loss
        own = "own" if loss in OWN_UNKNOWN else None
        return Needs(input="global", classes="fixed", unknown=own, calibrated=loss == "bce")

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        module = PlainModule(
            FeatureLayer(context.backbone.card.dim, config.feature_dim),
            config.cosine(context),
            build_plain_loss(config, context.stats, context.variant),
        )
        return [dealt(config.frozen_stage("train", module, config.groups(module)), module.criterion)]


class PseudoLabelled(PlainModule):
    """Unknown labels that the model itself holds to be present count as present, all other unknown ones as absent.

    ``found`` [N, C] says which, anew at the start of each epoch from the `start`-th on.

    Args:
        observed: int8 [N, C], labels of all training rows.
        tau: probability to exceed.
        start: epochs before the first pseudo-labels.
    """

    found: Tensor

    def __init__(
        self,
        linear: FeatureLayer,
        classifier: nn.Module,
        criterion: nn.Module,
        observed: Tensor,
        *,
        tau: float,
        start: int,
    ) -> None:
        super().__init__(linear, classifier, criterion)
        self.tau, self.start = tau, start
        self.register_buffer("found", torch.zeros(observed.shape, dtype=torch.bool))

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Look at all training rows."""
        if epoch < self.start:
            return
        for batch in scan():
            self.found[batch.rows] = (batch.observed == 0) & (self.logits(batch).sigmoid() > self.tau)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss, of labels that are all known."""
        present = (batch.observed > 0) | self.found[batch.rows]
        labels = torch.where(present, 1, -1).to(batch.observed.dtype)
        return {"loss_cls": self.criterion(self.logits(batch), labels)}

    def decisions(self) -> list[tuple[int, int]]:
        """Labels (row, class) that count as present in this epoch without having been given."""
        return [(row, column) for row, column in self.found.nonzero().tolist()]


class PlainPseudoLabels(Plain):
    """The same on observed labels and on those that the model itself holds to be present.

    Source: the idea of Lee, Pseudo-Label, ICML workshop 2013, for several labels; the rule is ours, since the release
    of COMIC has no code for its row.
    """

    class Config(PlainConfig):
        """Options of ``plt-pseudo-labels``."""

        tau: float = Field(0.7, ge=0, le=1, description="probability to exceed [ours: that of COMIC's corrector]")
        pseudo_start: int = Field(10, ge=0, description="epochs before the first pseudo-labels [ours]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates and the threshold."""
        found = dict(super().search_space()) | {"tau": Choice((0.6, 0.7, 0.8))}
        del found["weight_decay"]
        return found

    def needs(self) -> Needs:
        """Global features; unknown labels as they are."""
        return Needs(input="global", classes="fixed", unknown="own", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        module = PseudoLabelled(
            FeatureLayer(context.backbone.card.dim, config.feature_dim),
            config.cosine(context),
            build_plain_loss(config, context.stats, context.variant),
            context.observed,
            tau=config.tau,
            start=config.pseudo_start,
        )
        # Pseudo-labels make every label known.
        stage = dealt(config.frozen_stage("train", module, config.groups(module)), module.criterion)
        return [replace(stage, reduction="rows") if stage.reduction == "known" else stage]
