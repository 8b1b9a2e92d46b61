"""HSPNet and the parts it is compared with: one method, whose recipes leave parts out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from ltbench.losses import SPLCLoss
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
    TrainingConfig,
    Uniform,
)
from ltbench.nn import CosineHead
from ltbench_hspnet.build import FORMS, build_labels
from ltbench_hspnet.labels import LabelHead, PromptForm
from ltbench_hspnet.module import BatchNormUse, FrozenModule, HSPNetModule, Objective


@dataclass(frozen=True)
class LongSchedule(Schedule):
    """A schedule over another number of epochs than are trained: the release's ends after 60 of 80.

    Attributes:
        horizon: epochs the schedule is laid out for; None for those trained.
    """

    horizon: int | None = None

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """See :meth:`ltbench.method.Schedule.factor`."""
        return super().factor(step, steps_per_epoch, epochs if self.horizon is None else self.horizon)

    def momentum(self, step: int, steps_per_epoch: int, epochs: int) -> float | None:
        """See :meth:`ltbench.method.Schedule.momentum`."""
        return super().momentum(step, steps_per_epoch, epochs if self.horizon is None else self.horizon)


class HSPNet(Method):
    """Learns an image tower, a network that makes prompts from groups of classes, and graphs over groups and classes.

    Source: Wang et al., Hierarchical Prompt Learning Using CLIP for Multi-label Classification with Single Positive
    Labels, ACM MM 2023, and its release. Where the two differ, an option of None takes the variant's.
    """

    class Config(TrainingConfig):
        """Options. Sources in brackets: sections and tables of the paper, "release", or "ours"."""

        groups: Literal["auto", "task", "cluster", "random"] = Field(
            "auto",
            description="groups of classes: the task's (auto: clusters where it has none), clusters of text features,"
            " or the task's with classes dealt out at random [3.1; Table 4; Table 3, w/o LGP]",
        )
        clusters: int | None = Field(
            None, ge=1, description="number of clusters; null: as many as the task has groups, else sqrt(C) [ours]"
        )
        group_names: Literal["task", "numbers"] = Field(
            "task", description="names of groups in their prompts; numbers: group1, group2, … [Table 3, w/o GRP]"
        )
        prompts: PromptForm = Field(
            "group", description="context from the group, one for all classes, both in a row, or their sum [Table 5]"
        )
        context_tokens: int = Field(4, ge=1, description="context vectors N [release]")
        init: str | None = Field(
            "a photo of a",
            description="start of the context of all classes; null: N(0, 0.02^2); group: with meta_start only [ours]",
        )
        meta_hidden: int | None = Field(
            None, ge=1, description="hidden size of the meta network; null: N times the token's size [release]"
        )
        meta_start: Literal["random", "context"] = Field(
            "random",
            description="what the meta network gives at first: whatever its random weights give, or the context that "
            "init names (nothing, where the prompts add it) [release; ours]",
        )
        label_graph: bool = Field(True, description="refine the features of classes [3.2]")
        group_graph: bool = Field(True, description="refine the features of groups [3.2]")
        share_graph: bool | None = Field(
            None, description="one graph convolution for both; null: no (paper), yes (code) [3.2; release]"
        )
        graph_layers: int = Field(3, ge=1, description="graph convolutions L [release]")
        graph_hidden: int | None = Field(
            None, ge=1, description="size of a node between them; null: twice the text feature's [release]"
        )
        keep_share: float = Field(
            0.75, gt=0, le=1, description="K as a share of the nodes, the node itself counted [release]"
        )
        neighbour_share: float = Field(0.2, ge=0, le=1, description="weight r of all neighbours of a node [release]")
        residual: Literal["sum", "gate"] | None = Field(
            None, description="x + G(x), or g G(x) + (1 - g) x; null: sum (paper), gate (code) [3.2; release]"
        )
        gate: float = Field(0.9, description="g at the start; residual=gate only [release]")
        scale: float | None = Field(
            None, gt=0, description="factor of the cosine; null: the encoder's own (paper), 10 (code) [Eq. 10; release]"
        )
        learn_scale: bool | None = Field(
            None, description="learn the factor; null: yes (paper), no (code) [Eq. 10; release]"
        )
        tau: float = Field(0.6, ge=0, le=1, description="probability from which an unknown label is present [3.3]")
        change_epoch: int = Field(1, ge=0, description="first epoch in which labels are rewritten [release]")
        margin: float = Field(1.0, ge=0, description="margin of present labels, in logits [3.3]")
        gamma: float = Field(2.0, ge=0, description="focusing exponent [3.3]")
        unknown: Literal["assume", "ignore"] = Field(
            "assume", description="unknown labels: absent until rewritten, or left out [3.3; ours]"
        )
        train_encoder: bool = Field(True, description="train the image tower as well [3.3]")
        freeze: tuple[str, ...] = Field((), description="parts of the image tower left alone [release: none]")
        batch_norm: BatchNormUse = Field(
            "from-second",
            description="statistics of pre-training, of the batch, or of the batch from the second epoch on [release]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [4.1]")
        lr: float = Field(1e-4, gt=0, description="highest learning rate [4.1]")
        graph_lr: float | None = Field(
            None, gt=0, description="that of the graphs; null: as lr (paper), 5 lr (code) [4.1; release, COCO]"
        )
        weight_decay: float = Field(1e-4, ge=0, description="of parameters with two or more axes [release]")
        epochs: int = Field(30, ge=1, description="passes over the rows [A.2; release: 60]")
        schedule_epochs: int | None = Field(
            None, ge=1, description="epochs the one-cycle schedule is laid out for; null: all [release: 80]"
        )
        warm_share: float = Field(0.2, ge=0, lt=1, description="share of the schedule with a rising rate [release]")
        cycle_momentum: bool = Field(
            True, description="first beta of Adam from 0.95 to 0.85 and back, against the rate; else 0.9 [release]"
        )
        batch_size: int = Field(128, ge=1, description="rows a step [4.1]")
        ema_epoch: float | None = Field(
            0.82, gt=0, lt=1, description="what an average of parameters keeps over an epoch; null: none [release]"
        )
        ema_buffers: bool = Field(True, description="average batch statistics as well as parameters [release]")
        ema_steps: int | None = Field(
            None, ge=1, description="steps of an epoch for it; null: as many as there are [release: a table]"
        )
        # Wider than the base's choice: what the paper states, and the variant's.
        augment: Literal["live", "flip", "none"] | None = Field(  # type: ignore[assignment]
            None, description="random crops, mirrored images, or none; null: live (paper), none (code) [4.1; release]"
        )
        images: Literal["backbone", "squeezed"] = Field(
            "backbone", description="the encoder's preprocessing, or whole images squeezed to a square [release]"
        )
        image_size: int | None = Field(
            None, ge=32, description="side in pixels, squeezed only; null: the encoder's own [A.2: 448, partial labels]"
        )
        chunk: int = Field(1024, ge=1, description="prompts that are encoded at a time; changes memory only [ours]")

        @model_validator(mode="after")
        def _consistent(self) -> HSPNet.Config:
            if self.prompts == "single" and self.group_graph:
                raise ValueError("group_graph: prompts=single uses no groups, so it needs group_graph=false")
            if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
                raise ValueError(f"schedule_epochs: shorter than the {self.epochs} epochs of training")
            if self.image_size is not None and self.images != "squeezed":
                raise ValueError("image_size goes with images=squeezed")
            return self

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
            classes="fixed",
            unknown="own" if config.unknown == "assume" else "ignore",
            calibrated=False,
            images=config.images,
            image_size=config.image_size,
        )

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
            SPLCLoss(
                tau=config.tau,
                change_epoch=config.change_epoch,
                margin=config.margin,
                gamma=config.gamma,
                reduction="none",
            ),
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

    def _stage(self, module: nn.Module, head: LabelHead, tower: list[nn.Parameter], context: Context) -> GradientStage:
        config, form = self.config, FORMS[context.variant]
        graph = list(head.labels.graphs.parameters())
        known = {id(parameter) for parameter in graph}
        rest = [p for p in head.parameters() if p.requires_grad and id(p) not in known]
        momenta = (0.95, 0.85) if config.cycle_momentum else None
        course = LongSchedule("onecycle", peak=config.warm_share, momenta=momenta, horizon=config.schedule_epochs)
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
        return config.stage(
            "train",
            module,
            groups,
            augment=Augment(config.augment or form.augment),
            ema=None if config.ema_epoch is None else config.ema_epoch ** (1.0 / steps),
            ema_buffers=config.ema_buffers,
        )
