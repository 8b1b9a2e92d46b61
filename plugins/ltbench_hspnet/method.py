"""HSPNet and the parts it is compared with: one method, whose recipes leave parts out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from ltbench.losses import LargeLoss, SPLCLoss
from ltbench.method import (
    Augment,
    Choice,
    Context,
    GradientStage,
    Method,
    Needs,
    ParamGroup,
    Schedule,
    SearchSpace,
    Stage,
    Uniform,
    has_batch_norm,
    looks_at_others,
)
from ltbench.nn import CosineHead
from ltbench_hspnet.build import FORMS, build_labels
from ltbench_hspnet.config import HSPNetConfig
from ltbench_hspnet.labels import LabelHead
from ltbench_hspnet.module import FrozenModule, HSPNetModule, Objective


class HSPNet(Method):
    """Learns an image tower, a network that makes prompts from groups of classes, and graphs over groups and classes.

    Source: Wang et al., Hierarchical Prompt Learning Using CLIP for Multi-label Classification with Single Positive
    Labels, ACM MM 2023, and its release. Where the two differ, an option of None takes the variant's.
    """

    class Config(HSPNetConfig):
        """Options of ``hspnet`` and of the recipes that leave parts out."""

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay, augmentation and the start of the prompts; graphs and loss stay the published ones."""
        return {
            "lr": Uniform(3e-5, 5e-4, log=True),
            "graph_lr": Uniform(2e-4, 5e-3, log=True),
            "meta_start": Choice(("random", "context")),
            "weight_decay": Uniform(1e-6, 1e-3, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """A text tower, and images if the image tower is trained.

        The objective reads unknown labels itself, or leaves them out; a focal loss gives no probabilities.
        """
        config = self.config
        return Needs(
            input="image" if config.train_encoder else "global",
            text=True,
            groups=self._groups(),
            classes="fixed",
            unknown="own" if config.unknown == "assume" else "ignore",
            calibrated=False,
            images=config.images,
            image_size=config.image_size,
        )

    def _groups(self) -> bool | Literal["if-given"]:
        """Whether the task's groups are looked at; the number of clusters may be theirs, too."""
        config = self.config
        if config.prompts == "single" or (config.groups == "cluster" and config.clusters is not None):
            return False
        return True if config.groups in ("task", "random") else "if-given"

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage.

        Raises:
            UserError: groups were asked for that the task does not define, or more clusters than classes; a part of
                the image tower that does not exist.
        """
        config, backbone, form = self.config, context.backbone, FORMS[context.variant]
        assert backbone.text is not None
        labels = build_labels(config, context)
        cosine = CosineHead(
            config.scale or form.scale or backbone.text.logit_scale,
            learn_scale=form.learn_scale if config.learn_scale is None else config.learn_scale,
        )
        head = LabelHead(labels, cosine)
        objective = Objective(
            self._criterion(context.variant),
            config.unknown,
            context.stats.rows,
            len(context.class_names),
        )
        if not config.train_encoder:
            return [self._stage(FrozenModule(head, objective), head, [], context)]
        module = HSPNetModule(backbone, head, objective, config.batch_norm, config.freeze)
        # A quarter less time a step on CPUs; values differ in the last digits only.
        module.tower.to(memory_format=torch.channels_last)
        return [self._stage(module, head, module.trained(), context)]

    def _criterion(self, variant: Literal["paper", "code"]) -> SPLCLoss | LargeLoss:
        config = self.config
        if config.loss == "splc":
            return SPLCLoss(
                tau=config.tau,
                change_epoch=config.change_epoch,
                margin=config.margin,
                gamma=config.gamma,
                reduction="none",
            )
        scheme: Literal["R", "Ct"] = "R" if config.loss == "ll-r" else "Ct"
        return LargeLoss(scheme, delta=config.ll_delta, variant=variant, reduction="none")

    def _stage(self, module: nn.Module, head: LabelHead, tower: list[nn.Parameter], context: Context) -> GradientStage:
        config, form = self.config, FORMS[context.variant]
        graph = list(head.labels.graphs.parameters())
        known = {id(parameter) for parameter in graph}
        rest = [p for p in head.parameters() if p.requires_grad and id(p) not in known]
        momenta = (0.95, 0.85) if config.cycle_momentum else None
        course = Schedule("onecycle", peak=config.warm_share, momenta=momenta, horizon=config.schedule_epochs)
        graph_lr = config.graph_lr or config.lr * form.graph_factor
        groups = [
            ParamGroup(params, lr, decay, course, name)
            for name, lr, decay, params in (
                ("vectors", config.lr, 0.0, [p for p in tower + rest if p.ndim < 2]),
                ("matrices", config.lr, config.weight_decay, [p for p in tower + rest if p.ndim >= 2]),
                ("gate", graph_lr, 0.0, [p for p in graph if p.ndim < 2]),
                ("graph", graph_lr, config.weight_decay, [p for p in graph if p.ndim >= 2]),
            )
            if params
        ]
        steps = config.ema_steps or math.ceil(context.stats.rows / config.batch_size)
        stage = config.stage(
            "train",
            module,
            groups,
            augment=Augment(config.augment or form.augment),
            ema=None if config.ema_epoch is None else config.ema_epoch ** (1.0 / steps),
            ema_buffers=config.ema_buffers,
        )
        # LargeLoss compares the entries of a batch, and statistics of a batch are its own.
        normalises = isinstance(module, HSPNetModule) and config.batch_norm != "eval" and has_batch_norm(module.tower)
        if config.loss != "splc" or normalises or looks_at_others(module):
            return stage
        return replace(stage, parallel="rows", reduction="sum", row_state=("criterion.rewritten",))
