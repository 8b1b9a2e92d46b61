"""Fine-tuning of the image tower with a linear head: the recipe behind most visual baselines."""

from __future__ import annotations

from collections.abc import Sequence
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
    SearchSpace,
    Stage,
    Uniform,
    ViewedConfig,
)
from ltbench.nn import BatchNormNeck, LinearHead
from ltbench_baselines.common.losses_by_name import PROPER, LossConfig, build_loss


class FineTune(Method):
    """Learns all weights of the image tower and a linear head from images and observed labels.

    With ``tower=frozen`` it learns the head alone, from cached features. The recipes differ in loss and sampler only.
    Optimiser, schedule, sampler, neck, views and the treatment of batch normalisation can be set as in the released
    configurations of Distribution-Balanced Loss (Wu et al., ECCV 2020) and of DR loss.
    """

    class Config(LossConfig, ViewedConfig):
        """Options of the visual recipes. Sources in brackets; "ours" where no release fixes one."""

        head_prior: Literal["even", "observed"] = Field(
            "even", description="biases start at 0, or at the log-odds of the observed labels [DB: 0]"
        )
        neck_width: int | None = Field(
            None, ge=1, description="size of a neck with batch normalisation; null: none [DB, DR: 256; ours]"
        )
        dropout: float = Field(0.5, ge=0, lt=1, description="share of the neck left out in training [DB, DR]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and augmentation; the loss's constants stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen. The losses skip unknown labels, so the task's policy stands.

        Only proper losses on rows drawn evenly give probabilities; class-aware draws move the share of positives.
        """
        config = self.config
        return Needs(
            input=config.input,
            classes="fixed",
            images=config.images,
            calibrated=config.loss in PROPER and config.sampler == "shuffle",
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower and head, with a neck between them where one is asked for."""
        config, dim = self.config, context.backbone.card.dim
        prior = torch.tensor(context.stats.prior, dtype=torch.float32) if config.head_prior == "observed" else 0.5
        # In the order of DR, so that one seed starts both trainers alike.
        neck = BatchNormNeck(dim, config.neck_width, config.dropout) if config.neck_width else None
        head = LinearHead(config.neck_width or dim, len(context.class_names), prior=prior)
        module = FineTuned(
            context.backbone,
            head if neck is None else nn.Sequential(neck, head),
            build_loss(config, context.stats, context.variant),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
            tower=config.tower,
        )
        return [config.fine_tuning("fine-tune", module, context)]
