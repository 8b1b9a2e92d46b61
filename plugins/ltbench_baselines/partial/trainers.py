"""Partial labels: the published losses on a fine-tuned tower or a linear head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ltbench.method import (
    Choice,
    Context,
    FineTuned,
    Method,
    Needs,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    dealt,
)
from ltbench.nn import LinearHead
from ltbench_baselines.common.objectives import ObjectiveModule
from ltbench_baselines.common.probe import ProbeModule
from ltbench_baselines.common.squares import SquaredConfig
from ltbench_baselines.partial.objectives import PartialLossConfig, build_partial_objective


class PartialOnTower(Method):
    """Learns all weights of the image tower and a linear head from the labels that are known."""

    class Config(PartialLossConfig, SquaredConfig):
        """Options of the recipes on a tower."""

        optimizer: Literal["sgd", "adam", "adamw"] = Field(  # type: ignore[assignment]
            "adamw", description="optimiser [SST's release: adam; ours]"
        )

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates and decay; the losses' constants stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
        }

    def needs(self) -> Needs:
        """Images; unknown labels as they are."""
        config = self.config
        calibrated = config.loss == "partial-bce" and config.sampler == "shuffle"
        return Needs(input="image", classes="fixed", unknown="own", calibrated=calibrated, images=config.images)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage; the head starts at the log-odds of the known labels."""
        config = self.config
        scores = FineTuned(
            context.backbone,
            LinearHead(
                context.backbone.card.dim,
                len(context.class_names),
                prior=torch.tensor(context.stats.prior, dtype=torch.float32),
            ),
            nn.Identity(),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
        )
        objective = build_partial_objective(config, context.observed, context.stats, config.epochs, context.variant)
        stage = config.fine_tuning("fine-tune", scores, context)
        return [dealt(replace(stage, module=ObjectiveModule(scores, objective)), objective.criterion)]


class PartialOnLinear(Method):
    """Learns one linear classifier a class, weights [C, D] and biases [C], on frozen features."""

    class Config(PartialLossConfig, TrainingConfig):
        """Options of the recipes on a linear head. The defaults of training are ours."""

        features: Literal["l2", "scaled"] = Field(
            "scaled", description="divide each feature by its own norm, or all by the root mean square training norm"
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="optimiser")
        lr: float = Field(1e-2, gt=0, description="learning rate")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rate, decay and the treatment of features."""
        return {
            "features": Choice(("l2", "scaled")),
            "weight_decay": Uniform(1e-5, 1e-1, log=True),
            "lr": Uniform(1e-3, 3e-2, log=True),
        }

    def needs(self) -> Needs:
        """Global features; unknown labels as they are."""
        return Needs(input="global", classes="fixed", unknown="own", calibrated=self.config.loss == "partial-bce")

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage; biases start at the log-odds of the known labels."""
        config = self.config
        probe = ProbeModule(context.backbone.card.dim, context.stats, config.features)
        objective = build_partial_objective(config, context.observed, context.stats, config.epochs, context.variant)
        groups = probe.groups(config.lr, config.weight_decay, Schedule("cosine"))
        return [dealt(config.stage("train", ObjectiveModule(probe, objective), groups), objective.criterion)]
