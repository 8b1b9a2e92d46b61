"""CPRFL: category prompts that are refined by the regions of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator

from ltbench.losses import AsymmetricLoss
from ltbench.method import (
    Choice,
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
from ltbench_cprfl.module import CPRFLModule, Paths, PromptedRegions


class CPRFL(Method):
    """Learns an image tower, a map from class names to prompts, and a transformer block over regions and prompts.

    Source: Yan et al., Category-Prompt Refined Feature Learning for Long-Tailed Multi-Label Image Classification, ACM
    MM 2024 (arXiv 2408.08125), by its release (jiexuanyan/CPRFL, commit 10b5b7c).
    """

    class Config(TrainingConfig):
        """Options. Sources in brackets: "release", or "ours"."""

        template: str = Field("a photo of a {}.", description="sentence around a class name [release]")
        width: int | None = Field(
            None, ge=1, description="size of a prompt; null: that of a region [release: 2048, that of a region]"
        )
        depth: int = Field(1, ge=1, description="transformer blocks [release]")
        heads: int = Field(8, ge=1, description="attention heads [release]")
        head_dim: int | None = Field(
            None, ge=1, description="size of a head; null: a quarter of the width [release: 512 of 2048]"
        )
        hidden: int | None = Field(
            None, ge=1, description="size between the linear maps of a block; null: the width [release: 2048]"
        )
        dropout: float = Field(0.1, ge=0, lt=1, description="share of a block's outputs left out in training [release]")
        paths: Paths = Field(
            "both", description="ways of the loss to the prompts: features and product, or one [release: both]"
        )
        gamma_pos: float = Field(0.0, ge=0, description="exponent of present labels [release]")
        gamma_neg: float = Field(4.0, ge=0, description="exponent of absent labels [release]")
        clip: float = Field(0.05, ge=0, lt=1, description="shift of absent labels [release]")
        tower: Literal["trained", "frozen"] = Field(
            "trained", description="train the image tower, or learn from its cached regions [release: trained]"
        )
        freeze: tuple[str, ...] = Field((), description="parts of a trained tower left alone [release: none]")
        batch_norm: Literal["eval", "train"] = Field(
            "train", description="statistics of pre-training, or of the batch [release: train]"
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="optimiser [release]")
        lr: float = Field(
            5e-5, gt=0, description="highest learning rate [release: its experiment's name; 1e-5 by default]"
        )
        tower_lr: float | None = Field(
            None, gt=0, description="that of the image tower; null: as lr [release: meant to be a tenth, see the card]"
        )
        weight_decay: float = Field(1e-4, ge=0, description="of parameters with two or more axes [release]")
        epochs: int = Field(80, ge=1, description="passes over the rows [release: COCO-LT 80, VOC-LT 30 of these 80]")
        schedule_epochs: int | None = Field(
            None, ge=1, description="epochs the one-cycle schedule is laid out for; null: all [release: 80]"
        )
        batch_size: int = Field(16, ge=1, description="rows a step [release]")
        ema: float | None = Field(
            0.998,
            gt=0,
            lt=1,
            description="what an average of all that is learned keeps over a step; null: none [release]",
        )
        augment: Literal["none", "flip"] = Field("flip", description="mirror half of the images [release: flip]")
        images: Literal["backbone", "squeezed"] = Field(
            "squeezed", description="the encoder's preprocessing, or whole images squeezed to a square [release]"
        )
        image_size: int | None = Field(
            None, ge=32, description="side in pixels, squeezed only; null: the encoder's own [release: 224]"
        )

        @model_validator(mode="after")
        def _consistent(self) -> CPRFL.Config:
            if self.image_size is not None and self.images != "squeezed":
                raise ValueError("image_size goes with images=squeezed")
            if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
                raise ValueError(f"schedule_epochs: shorter than the {self.epochs} epochs of training")
            if "{}" not in self.template:
                raise ValueError("template: no {} for the class name")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Rate, dropout, and how much absent labels that are easy count."""
        return {
            "lr": Uniform(1e-4, 1e-2, log=True),
            "dropout": Uniform(0.0, 0.4),
            "gamma_neg": Choice((2.0, 4.0)),
            "weight_decay": Uniform(1e-5, 1e-1, log=True),
        }

    def needs(self) -> Needs:
        """A text tower, and regions or, where the tower is trained, images. The loss skips unknown labels."""
        config = self.config
        return Needs(
            input="image" if config.tower == "trained" else "region",
            text=True,
            calibrated=True,
            images=config.images,
            image_size=config.image_size,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over all parts."""
        config, backbone = self.config, context.backbone
        tower = backbone.text
        assert tower is not None
        region_dim = backbone.card.region_dim or backbone.card.dim
        width = config.width or region_dim
        sentences = [config.template.replace("{}", name.replace("_", " ")) for name in context.class_names]
        head = PromptedRegions(
            tower.encode(sentences).float().cpu(),
            region_dim,
            width,
            heads=config.heads,
            head_dim=config.head_dim or max(1, width // 4),
            hidden=config.hidden or width,
            dropout=config.dropout,
            depth=config.depth,
            paths=config.paths,
        )
        criterion = AsymmetricLoss(
            gamma_neg=config.gamma_neg,
            gamma_pos=config.gamma_pos,
            clip=config.clip,
            detach_weights=True,
            variant="code",
        )
        module = CPRFLModule(backbone, head, criterion, config.batch_norm, config.freeze, config.tower)
        # A quarter less time a step on CPUs; values differ in the last digits only.
        module.tower.to(memory_format=torch.channels_last)
        course = Schedule("onecycle", peak=0.1, momenta=(0.95, 0.85), horizon=config.schedule_epochs)
        own = list(head.parameters())
        groups = [
            ParamGroup(params, lr, decay, course, name)
            for name, lr, decay, params in (
                ("vectors", config.lr, 0.0, [p for p in own if p.ndim < 2]),
                ("matrices", config.lr, config.weight_decay, [p for p in own if p.ndim >= 2]),
                ("tower vectors", config.tower_lr or config.lr, 0.0, [p for p in module.trained() if p.ndim < 2]),
                (
                    *("tower matrices", config.tower_lr or config.lr, config.weight_decay),
                    [p for p in module.trained() if p.ndim >= 2],
                ),
            )
            if params
        ]
        return [config.stage("train", module, groups, ema=config.ema, ema_buffers=True)]
