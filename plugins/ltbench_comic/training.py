"""What COMIC and the baselines beside it have in common: the options of training, step schedules and views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ltbench.method import Augment, GradientStage, ParamGroup, Schedule, TrainingConfig


class FrozenConfig(TrainingConfig):
    """Options of training layers on the features of a frozen tower. "release": COMIC's; "paper": a section of COMIC."""

    feature_dim: int = Field(1024, ge=1, description="size of a model's features [release]")
    scale: float = Field(16.0, gt=0, description="scale rho of cosines [release]")
    eta: float = Field(1 / 32, ge=0, description="added to the norm of a class's weights [release]")
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [release, paper 4.1]")
    lr: float = Field(1e-3, gt=0, description="learning rate of features and attention [release]")
    classifier_lr: float = Field(1e-4, gt=0, description="learning rate of the classifiers [release]")
    weight_decay: float = Field(1e-4, ge=0, description="weight decay [release]")
    decay: float = Field(0.1, gt=0, le=1, description="factor of the rates at each step of the schedules [release]")
    balanced_step: int = Field(12, ge=1, description="epochs between decays: balanced features [release]")
    classifier_step: int = Field(18, ge=1, description="the same: balanced classifier [release]")
    epochs: int = Field(40, ge=1, description="passes over the training rows [release, paper 4.1]")
    batch_size: int = Field(32, ge=1, description="rows a step [release, paper 4.1]")
    drop_last: bool = Field(False, description="drop an incomplete last batch [release: true; ours]")
    augment: Literal["none", "flip", "views", "live"] = Field(  # type: ignore[assignment]
        "flip",
        description="none; mirrored images; random crops, k fixed ones or fresh each time [release: fresh; ours]",
    )
    views_k: int = Field(8, ge=1, description="number of fixed views; augment=views only [ours]")

    def step_group(self, name: str, params: Sequence[torch.nn.Parameter], lr: float, step: int) -> ParamGroup:
        """A group whose rate is multiplied by ``decay`` every `step` epochs."""
        # The release steps its schedules before an epoch, so the first decay falls on the epoch numbered `step` from 1.
        milestones = tuple(range(step - 1, self.epochs, step))
        course = Schedule("multistep", milestones=milestones, gamma=self.decay)
        return ParamGroup(params, lr, self.weight_decay, course, name)

    def views(self) -> Augment:
        """What ``augment`` asks for; crops are torchvision's RandomResizedCrop, mirrored half of the time."""
        return Augment("views", k=self.views_k) if self.augment == "views" else Augment(self.augment)

    def frozen_stage(self, name: str, module: nn.Module, groups: Sequence[ParamGroup]) -> GradientStage:
        """The gradient stage of these options, in single precision."""
        stage = self.stage(name, module, groups, augment=self.views(), drop_last=self.drop_last)
        # Layers on cached features are small, and half precision would cost cosines their digits.
        return replace(stage, amp=False)
