"""The options that most trained methods have, and the stage that they describe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import nn

from ltbench.method.config import MethodConfig
from ltbench.method.stages import Augment, GradientStage, ParamGroup, Sampler, Schedule


class TrainingConfig(MethodConfig):
    """Options of one gradient stage. A method declares those again whose default or source is its own."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser")
    lr: float = Field(2e-3, gt=0, description="learning rate")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay")
    epochs: int = Field(30, ge=1, description="passes over the training rows")
    batch_size: int = Field(32, ge=1, description="rows a step")
    augment: Literal["none", "flip"] = Field("none", description="training views of an image")

    def stage(
        self,
        name: str,
        module: nn.Module,
        groups: Sequence[ParamGroup],
        *,
        sampler: Sampler | None = None,
        augment: Augment | None = None,
        epochs: int | None = None,
        drop_last: bool = False,
        clip_norm: float | None = None,
        ema: float | None = None,
        ema_buffers: bool = False,
    ) -> GradientStage:
        """The gradient stage of these options.

        Args:
            module: what is trained; see :class:`ltbench.method.stages.Trainable`.
            groups: its parameters, with their rates and schedules.
            sampler: order of rows; None shuffles.
            augment, epochs: in place of the options of these names.
            drop_last, clip_norm, ema, ema_buffers: as in :class:`ltbench.method.GradientStage`.
        """
        return GradientStage(
            name,
            module,
            groups,
            epochs=self.epochs if epochs is None else epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            momentum=self.momentum,
            sampler=sampler,
            augment=Augment(self.augment) if augment is None else augment,
            drop_last=drop_last,
            clip_norm=clip_norm,
            ema=ema,
            ema_buffers=ema_buffers,
        )


def prompt_groups(
    config: TrainingConfig, context: Sequence[nn.Parameter], head: Sequence[nn.Parameter], head_lr: float | None
) -> list[ParamGroup]:
    """Groups of a prompted classifier: context vectors, and what the head learns, which decays in no case.

    Args:
        config: rate and weight decay of the context; both groups follow a cosine.
        head_lr: rate of the head; None takes that of the context.
    """
    cosine = Schedule("cosine")
    groups = [ParamGroup(list(context), config.lr, config.weight_decay, cosine, "context")]
    if head:
        groups.append(ParamGroup(list(head), head_lr or config.lr, 0.0, cosine, "head"))
    return groups
