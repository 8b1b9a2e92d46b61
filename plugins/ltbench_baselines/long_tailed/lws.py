"""Learnable weight scaling: a fine-tuned tower and head stay as they are, and each class learns one factor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.method import (
    Batch,
    Choice,
    Context,
    FineTuned,
    GradientStage,
    Method,
    Needs,
    ParamGroup,
    Scan,
    Schedule,
    SearchSpace,
    Stage,
    Uniform,
    ViewedConfig,
    dealt,
)
from ltbench.nn import ClassAwareSampler, ClassScales, LinearHead
from ltbench.plugin.errors import UserError
from ltbench_baselines.common.losses_by_name import LossConfig, build_loss


class Rescaled(nn.Module):
    """Second stage: class factors on the logits of a trained first stage.

    Tower and head do not move, so the logits of the training rows are computed once and kept by row, which is why this
    stage sees every image without augmentation.

    Args:
        first: the first stage's module; its head is a ``LinearHead``. It is never trained here.
        rows: number of training rows.
        whole: see :class:`ltbench.nn.ClassScales`.
    """

    kept: Tensor

    def __init__(self, first: FineTuned, rows: int, whole: bool) -> None:
        super().__init__()
        assert isinstance(first.head, LinearHead)
        self.first = first
        self.scales = ClassScales(first.head.linear.out_features, whole)
        self.register_buffer("kept", torch.zeros(rows, first.head.linear.out_features))

    def train(self, mode: bool = True) -> Rescaled:
        """Training mode, but for the first stage's module."""
        super().train(mode)
        self.first.eval()
        return self

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Compute what the first stage says of the training rows; a resumed run has it in its state."""
        if epoch == 0:
            for batch in scan():
                self.kept[batch.rows] = self.first.logits(batch).float()

    def _scaled(self, logits: Tensor) -> Tensor:
        assert isinstance(self.first.head, LinearHead)
        scaled: Tensor = self.scales(logits, self.first.head.linear.bias)
        return scaled

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]."""
        with torch.no_grad():
            logits = self.first.logits(batch).float()
        return self._scaled(logits)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The first stage's loss of the scaled logits."""
        return {"loss_cls": self.first.criterion(self._scaled(self.kept[batch.rows]), batch.observed)}


class LWS(Method):
    """Fine-tunes tower and linear head on rows drawn evenly, then learns one factor a class on class-aware rows.

    Source: Kang et al., ICLR 2020; one sigmoid a class in place of their softmax.
    """

    class Config(LossConfig, ViewedConfig):
        """Options of both stages; ``scale_*`` are the second's. LWS: release of Kang et al., ImageNet-LT."""

        sampler_reduce: int = Field(
            4, ge=1, description="an epoch of class-aware rows has max n_c * C / reduce [DB's code; LWS: 1]"
        )
        sampler_draws: int = Field(4, ge=1, description="rows a visit of a class; class-aware rows [LWS]")
        scale_lr: float = Field(0.2, gt=0, description="learning rate of the factors, by SGD to 0 on a cosine [LWS]")
        scale_momentum: float = Field(0.9, ge=0, lt=1, description="momentum of the factors [LWS]")
        scale_weight_decay: float = Field(5e-4, ge=0, description="weight decay of the factors [LWS]")
        scale_epochs: int = Field(5, ge=1, description="passes over the class-aware rows [LWS]")
        scale_batch_size: int = Field(64, ge=1, description="rows a step of the second stage [LWS: 512; ours]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """What the first stage learns with; factors do not change the order of images, so mAP cannot tune them."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen.

        Class-aware rows of the second stage move the share of positives, so logits are no probabilities.
        """
        return Needs(input=self.config.input, classes="fixed", images=self.config.images, calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """Tower and head by ``sampler`` (rows drawn evenly unless asked otherwise), then the factors.

        Raises:
            UserError: no class has an observed positive.
        """
        config = self.config
        first = FineTuned(
            context.backbone,
            LinearHead(context.backbone.card.dim, len(context.class_names)),
            build_loss(config, context.stats, context.variant),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
            tower=config.tower,
        )
        second = Rescaled(first, context.stats.rows, whole=context.variant == "code")
        observed = np.asarray(context.observed.numpy(), dtype=np.int8)
        if not bool((observed == 1).any()):
            raise UserError(
                "lws draws rows class by class, and no class has an observed positive", "ltbench list tasks"
            )
        factors = ParamGroup(
            list(second.scales.parameters()), config.scale_lr, config.scale_weight_decay, Schedule("cosine"), "factors"
        )
        return [
            config.fine_tuning("fine-tune", first, context),
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
                ),
                first.criterion,
            ),
        ]
