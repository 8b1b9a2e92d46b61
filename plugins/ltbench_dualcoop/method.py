"""DualCoOp: a positive and a negative prompt for each class, compared with the regions of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from ltbench.backbones.base import Backbone
from ltbench.losses import PartialAsymmetricLoss
from ltbench.method import (
    Augment,
    Choice,
    Context,
    Method,
    Needs,
    ParamGroup,
    Places,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    dealt,
)
from ltbench.nn import PromptLearner, RegionAggregation
from ltbench_dualcoop.augment import CutoutRandAugment
from ltbench_dualcoop.module import DualCoOpModule
from ltbench_dualcoop.sides import FreeSides, PromptSides, start_from_words

CLIP_SCALE = 100.0
"""Factor of cosines in CLIP's released weights, for which the release's constants were chosen."""

SHARPNESS = {"code": 20.0, "paper": 1.0}
"""Of the softmax over places: the release's constant at CLIP's scale, and Eq. 5, which prints none."""


class DualCoOp(Method):
    """Learns two contexts of N vectors, for the presence and the absence of a class, from observed labels.

    Both towers stay frozen. Every place of the image is compared with both prompts of a class; each class averages over
    the places by how much they look like its positive prompt. Shared contexts answer for classes first named at test.

    Source: Sun et al., DualCoOp: Fast Adaptation to Multi-Label Recognition with Limited Annotations, NeurIPS 2022, and
    its release (sunxm2357/DualCoOp, commit 49e71d7).
    """

    class Config(TrainingConfig):
        """Options. Sources in brackets: sections are the paper's; "release" its code, "README" its commands."""

        prompts: Literal["dual", "positive", "negative"] = Field(
            "dual", description="which prompts there are [Table 5]"
        )
        labels: Literal["text", "discrete"] = Field(
            "text", description="prompts, or a free vector a class and side in their place [Table 4; its form is ours]"
        )
        context_tokens: int = Field(16, ge=1, description="vectors N a context [4.1: 16; README, zero-shot: 64]")
        init: Literal["random", "words"] = Field(
            "random",
            description='start of contexts: N(0, 0.02^2), or "a photo of a", random in front of it [release; ours]',
        )
        positive_init: str | None = Field(None, description="words of N tokens; null: as init says [release]")
        negative_init: str | None = Field(None, description="words of N tokens; null: as init says [release]")
        class_specific: bool = Field(
            False, description="contexts of its own for each class [3.2: for partial labels; release: an option]"
        )
        aggregation: Literal["softmax", "average", "max", "attention"] = Field(
            "softmax", description="over places: Eq. 5, Fig. 3's others, or CLIP's own pooling [Eq. 5, Fig. 3, Table 6]"
        )
        attention_map: Literal["positions", "map"] = Field(
            "positions",
            description="where the map is larger than CLIP's own: resize the pool's positions, or the map; "
            "aggregation=attention only [release; Table 6: map]",
        )
        sharpness: float | None = Field(
            None, gt=0, description="of the softmax over places; null: as sharpness_ratio says, or 1 (paper) [Eq. 5]"
        )
        sharpness_ratio: float | None = Field(
            None,
            gt=0,
            description="as a share of the encoder's factor of cosines; null: 0.2 (code) [release: 20 of CLIP's 100]",
        )
        scale: float = Field(100.0, gt=0, description="factor of aggregated cosines [release: 5 times 20; 1 / tau]")
        mean_token: bool = Field(
            True, description="the mean token of the attention pool is a place, too, where there is one [release]"
        )
        gamma_pos: float = Field(1.0, ge=0, description="exponent of present labels [4.1]")
        gamma_neg: float = Field(2.0, ge=0, description="exponent of absent labels [4.1]")
        clip: float = Field(0.05, ge=0, lt=1, description="shift c of absent labels [4.1]")
        loss_weight: float = Field(
            0.03, gt=0, description="factor of the summed loss [README: 0.03 at 50 % of labels, 0.01 zero-shot]"
        )
        classes_per_step: int | None = Field(
            None,
            ge=1,
            description="classes a step where there are more, drawn anew; null: all [release: 100, zero-shot only]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [4.1]")
        lr: float = Field(2e-3, gt=0, description="learning rate [4.1; README: 1e-3 for VOC2007 and NUS-WIDE]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [release]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay of the contexts [release]")
        epochs: int = Field(50, ge=1, description="passes over the training rows [4.1]")
        warmup_epochs: int = Field(1, ge=0, description="epochs at warmup_lr before the cosine starts [release]")
        warmup_lr: float = Field(1e-5, gt=0, description="learning rate of these epochs [release]")
        batch_size: int = Field(32, ge=1, description="rows a step [4.1, 4.2: 32; VOC2007 8, NUS-WIDE 192]")
        images: Literal["squeezed", "backbone"] = Field(
            "squeezed", description="whole images squeezed to a square, or the encoder's preprocessing [release]"
        )
        image_size: int | None = Field(
            None, ge=32, description="side in pixels; null: the encoder's own [4.1: 448; 4.2: 224]"
        )
        # Wider than the base's choice: the release's own augmentation, fresh each time or as k views.
        augment: Literal["live", "views", "flip", "none"] = Field(  # type: ignore[assignment]
            "live",
            description="cutout and random operations, fresh or k fixed views an image; mirrored; none [release: live]",
        )
        views_k: int = Field(8, ge=1, description="number of fixed views; augment=views only [ours]")
        cutout: float = Field(0.5, ge=0, le=1, description="side of the painted patch, of the image's [release]")

        @model_validator(mode="after")
        def _sized(self) -> DualCoOp.Config:
            if self.image_size is not None and self.images != "squeezed":
                raise ValueError("image_size goes with images=squeezed")
            if self.sharpness is not None and self.sharpness_ratio is not None:
                raise ValueError("sharpness_ratio: sharpness is given as well, and one of the two decides")
            if self.attention_map == "map" and (self.aggregation != "attention" or self.images != "squeezed"):
                raise ValueError("attention_map=map goes with aggregation=attention and images=squeezed")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Rate, scale, sharpness, start and augmentation; what the paper fixes stays fixed."""
        return {
            "lr": Uniform(1e-3, 3e-2, log=True),
            "scale": Uniform(4.0, 40.0, log=True),
            # From all places alike to the best place alone, as seen by the encoder.
            "sharpness_ratio": Uniform(0.1, 2.0, log=True),
            "init": Choice(("random", "words")),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Regions (a global feature with ``attention``) and a text tower. The loss skips unknown labels."""
        config = self.config
        return Needs(
            input="global" if config.aggregation == "attention" else "region",
            text=config.labels == "text",
            classes="fixed" if config.class_specific or config.labels == "discrete" else "open",
            calibrated=True,
            images="squeezed-fitted" if config.attention_map == "map" else config.images,
            image_size=config.image_size,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over the contexts."""
        config, backbone = self.config, context.backbone
        sides = self._sides(context)
        module = DualCoOpModule(
            Places(backbone, config.mean_token),
            sides,
            RegionAggregation(
                "average" if config.aggregation == "attention" else config.aggregation,
                sharpness(config, backbone, context.variant),
            ),
            PartialAsymmetricLoss(
                gamma_neg=config.gamma_neg,
                gamma_pos=config.gamma_pos,
                clip=config.clip,
                prompts=config.prompts,
                variant=context.variant,
                reduction="sum",
            ),
            config.scale,
            config.loss_weight,
            config.classes_per_step,
            context.stats.log_odds,
        )
        groups = [self._group(sides.contexts(), config.weight_decay, "context")]
        if not module.dual:
            groups.append(self._group([module.bias], 0.0, "bias"))  # type: ignore[list-item]
        return [dealt(config.stage("train", module, groups, augment=augmentation(config, backbone)), module.criterion)]

    def _group(self, params: Sequence[nn.Parameter], weight_decay: float, name: str) -> ParamGroup:
        config = self.config
        schedule = Schedule("cosine", per="epoch", hold_epochs=config.warmup_epochs, hold=config.warmup_lr / config.lr)
        return ParamGroup(list(params), config.lr, weight_decay, schedule, name)

    def _sides(self, context: Context) -> PromptSides | FreeSides:
        config = self.config
        names = ("negative", "positive") if config.prompts == "dual" else (config.prompts,)
        if config.labels == "discrete":
            return FreeSides(
                context.class_names,
                len(names),
                context.backbone.card.region_dim or context.backbone.card.dim,
                context.seed,
            )
        tower = context.backbone.text
        assert tower is not None
        seeds = torch.Generator().manual_seed(context.seed)
        starts = {"positive": config.positive_init, "negative": config.negative_init}
        learners = {
            name: PromptLearner(
                tower,
                context.class_names,
                context_tokens=config.context_tokens,
                init=starts[name],
                class_specific=config.class_specific,
                seed=int(torch.randint(2**31, (), generator=seeds)),
            )
            for name in names
        }
        if config.init == "words":
            for name, learner in learners.items():
                if starts[name] is None:
                    start_from_words(learner, "a photo of a")
        return PromptSides(learners)


def sharpness(config: DualCoOp.Config, backbone: Backbone, variant: Literal["paper", "code"]) -> float:
    """Factor of the cosines in the softmax over places.

    The release's 20 is a fifth of CLIP's own factor of cosines. An encoder with another one spreads its cosines
    otherwise, so that the share is kept, not the number; one without a text tower has no factor, and keeps the number.
    """
    if config.sharpness is not None:
        return config.sharpness
    own = CLIP_SCALE if backbone.text is None else backbone.text.logit_scale
    if config.sharpness_ratio is None:
        if variant == "paper":
            return SHARPNESS["paper"]
        ratio = SHARPNESS["code"] / CLIP_SCALE
    else:
        ratio = config.sharpness_ratio
    # CLIP stores a logarithm in single precision, whose exponential is 100 to six digits.
    return round(ratio * own, 4)


def augmentation(config: DualCoOp.Config, backbone: Backbone) -> Augment:
    """What the option ``augment`` asks for."""
    if config.augment in ("flip", "none"):
        return Augment(config.augment)
    size = backbone.card.image_size if config.images == "squeezed" else None
    transform = CutoutRandAugment(size, config.cutout)
    return Augment(config.augment, k=config.views_k, transform=transform, name=transform.name)
