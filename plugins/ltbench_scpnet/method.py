"""SCPNet: a graph of similar classes over learned prompts, and self-training that the same graph corrects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field, model_validator

from ltbench.losses import SPLCLoss
from ltbench.method import (
    Augment,
    Context,
    Method,
    Needs,
    ParamGroup,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
)
from ltbench.nn import CosineHead, GraphStack, PromptLearner, ResidualGraph, similarity_adjacency
from ltbench_scpnet.augment import Strong
from ltbench_scpnet.module import BatchNormUse, SCPNetModule
from ltbench_scpnet.prior import ClassHead, kept, similarities, transition
from ltbench_scpnet.teaching import Teaching


class SCPNet(Method):
    """Learns an image tower, one context for all classes and a graph over them, with labels that are mostly unknown.

    Classes are linked by how alike the text tower finds their names. The graph mixes the text features of the classes;
    what it says of a class also corrects the pseudo-labels by which a weak view of an image teaches a strong one.

    Source: Ding et al., Exploring Structured Semantic Prior for Multi Label Recognition with Incomplete Labels, CVPR
    2023, by its release (jameslahm/SCPNet, commit d56341a).
    """

    class Config(TrainingConfig):
        """Options. Sources in brackets: "release", its configurations by data set; "ours" else."""

        context_tokens: int = Field(4, ge=1, description="context vectors of all classes [release]")
        init: str | None = Field("a photo of a", description="words they start from; null: N(0, 0.02^2) [release]")
        keep_share: float = Field(
            0.775,
            gt=0,
            le=1,
            description="links of a class as a share of the classes, itself counted [release: COCO 62 of 80, NUS 50 of "
            "81, all of VOC and CUB]",
        )
        neighbour_share: float = Field(0.2, ge=0, le=1, description="weight r of all links to others [release]")
        temperature: float = Field(
            0.2, gt=0, description="T of the softmax that corrects pseudo-labels [release: COCO, NUS 0.2; VOC, CUB 0.3]"
        )
        graph_layers: int = Field(3, ge=1, description="graph convolutions [release]")
        graph_hidden: int | None = Field(
            None, ge=1, description="size of a node between them; null: twice the text feature's [release]"
        )
        scale: float | None = Field(
            10.0, gt=0, description="factor of the cosine; null: the encoder's own [release: 10; NUS its own]"
        )
        tau: float = Field(0.6, ge=0, le=1, description="probability from which an unknown label is present [release]")
        change_epoch: int = Field(1, ge=0, description="first epoch in which that happens [release]")
        margin: float = Field(1.0, ge=0, description="margin of present labels, in logits [release]")
        gamma: float = Field(2.0, ge=0, description="focusing exponent [release]")
        top_k: int = Field(
            2, ge=1, description="classes of an image that may be pseudo-labels [release: COCO 2, VOC 5, NUS 6, CUB 31]"
        )
        cutoff: float = Field(0.95, gt=0, le=1, description="highest threshold of a pseudo-label [release]")
        taught_weight: float = Field(0.125, ge=0, description="factor of what the weak view teaches [release]")
        corrected_weight: float = Field(
            1.0, ge=0, description="factor of the corrected target in it [release: COCO, NUS 1; VOC 2; CUB 3]"
        )
        tower: Literal["trained", "frozen"] = Field(
            "trained", description="train the image tower, or learn from its cached features [release: trained]"
        )
        freeze: tuple[str, ...] = Field((), description="parts of a trained tower left alone [release: none]")
        batch_norm: BatchNormUse = Field(
            "from-second",
            description="statistics of pre-training, of the batch, or of the batch from the second epoch on [release]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [release]")
        lr: float = Field(
            3e-5,
            gt=0,
            description="highest learning rate of tower and context [release: COCO, NUS 3e-5; VOC 4e-5; CUB 3e-4]",
        )
        graph_lr: float = Field(
            1e-5, gt=0, description="that of the graph [release: COCO 1e-5; NUS 1e-4; VOC, CUB 2e-4]"
        )
        weight_decay: float = Field(1e-4, ge=0, description="of parameters with two or more axes [release]")
        epochs: int = Field(60, ge=1, description="passes over the rows [release: COCO, NUS 60; VOC 120; CUB 100]")
        schedule_epochs: int | None = Field(
            None, ge=1, description="epochs the one-cycle schedule is laid out for; null: all [release: COCO 80]"
        )
        batch_size: int = Field(128, ge=1, description="rows a step [release; CUB 96]")
        ema_epoch: float | None = Field(
            0.82,
            gt=0,
            lt=1,
            description="what an average of all that is learned keeps over an epoch; null: none [release]",
        )
        # Wider than the base's choice: random crops, fresh or as k views.
        augment: Literal["live", "views", "flip", "none"] = Field(  # type: ignore[assignment]
            "live",
            description="weak views: mirrored crops, fresh or of k fixed ones; mirrored images; none [release: live]",
        )
        strong: Literal["as-weak", "operations"] = Field(
            "operations",
            description="strong views: random operations and a patch before the crop, or as the weak ones [release]",
        )
        views_k: int = Field(4, ge=1, description="number of fixed views of each kind; augment=views only [ours]")

        @model_validator(mode="after")
        def _consistent(self) -> SCPNet.Config:
            if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
                raise ValueError(f"schedule_epochs: shorter than the {self.epochs} epochs of training")
            if self.strong == "operations" and self.augment in ("flip", "none"):
                raise ValueError(f"strong=operations are random crops: augment={self.augment} needs strong=as-weak")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, and how much the weak view teaches."""
        return {
            "lr": Uniform(3e-5, 3e-3, log=True),
            "graph_lr": Uniform(3e-5, 3e-3, log=True),
            "taught_weight": Uniform(0.01, 0.5, log=True),
            "corrected_weight": Uniform(0.3, 3.0, log=True),
        }

    def needs(self) -> Needs:
        """A text tower; images where the image tower is trained. Losses with a focus give no probabilities."""
        return Needs(
            input="image" if self.config.tower == "trained" else "global",
            text=True,
            unknown="own",
            calibrated=False,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config, backbone, names = self.config, context.backbone, context.class_names
        tower = backbone.text
        assert tower is not None
        alike = similarities(tower, names)
        keep = max(1, int(config.keep_share * len(names)))
        mask = kept(alike, keep)
        links = similarity_adjacency(alike.numpy(), keep=keep, neighbour_share=config.neighbour_share)
        dim = backbone.card.dim
        between = [config.graph_hidden or 2 * dim] * (config.graph_layers - 1)
        adjacency = torch.from_numpy(links)
        head = ClassHead(
            PromptLearner(tower, names, config.context_tokens, config.init, seed=context.seed),
            ResidualGraph(GraphStack((dim, *between, dim))),
            adjacency.float(),
            CosineHead(config.scale or tower.logit_scale),
        )
        module = SCPNetModule(
            backbone,
            head,
            SPLCLoss(
                tau=config.tau,
                change_epoch=config.change_epoch,
                margin=config.margin,
                gamma=config.gamma,
                reduction="sum",
            ),
            Teaching(
                context.stats.rows,
                transition(adjacency, mask, config.temperature),
                config.top_k,
                config.cutoff,
                config.corrected_weight,
            ),
            config.taught_weight,
            config.batch_norm,
            config.freeze,
            config.tower,
        )
        # A quarter less time a step on CPUs; values differ in the last digits only.
        module.tower.to(memory_format=torch.channels_last)
        return [self._stage(module, head, context)]

    def _stage(self, module: SCPNetModule, head: ClassHead, context: Context) -> Stage:
        config = self.config
        course = Schedule("onecycle", peak=0.2, momenta=(0.95, 0.85), horizon=config.schedule_epochs)
        rest = [*module.trained(), head.prompts.ctx]
        groups = [
            ParamGroup(params, lr, decay, course, name)
            for name, lr, decay, params in (
                ("vectors", config.lr, 0.0, [p for p in rest if p.ndim < 2]),
                ("matrices", config.lr, config.weight_decay, [p for p in rest if p.ndim >= 2]),
                ("graph", config.graph_lr, config.weight_decay, list(head.graph.parameters())),
            )
            if params
        ]
        steps = math.ceil(context.stats.rows / config.batch_size)
        weak, strong = self._views(context)
        stage = config.stage(
            "train",
            module,
            groups,
            augment=weak,
            ema=None if config.ema_epoch is None else config.ema_epoch ** (1.0 / steps),
            ema_buffers=True,
        )
        return replace(stage, further=(weak, strong))

    def _views(self, context: Context) -> tuple[Augment, Augment]:
        """Weak and strong views."""
        config = self.config
        if config.augment in ("flip", "none"):
            return Augment(config.augment), Augment(config.augment)
        weak = Augment(config.augment, k=config.views_k)
        if config.strong == "as-weak":
            return weak, weak
        transform = Strong(context.backbone.card.image_size or 224)
        return weak, Augment(config.augment, k=config.views_k, transform=transform, name=transform.name)
