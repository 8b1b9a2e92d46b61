"""DualCoOp++: evidence, positive and negative prompts for each class, compared with the regions of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, model_validator

from ltbench.losses import PartialAsymmetricLoss
from ltbench.method import (
    Augment,
    Context,
    Method,
    Needs,
    ParamGroup,
    Places,
    RandomResizedCrop,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    dealt,
)
from ltbench.nn import PromptLearner
from ltbench_dualcoop_plus.module import SIDES, EvidenceModule, Winner

CLIP_SCALE = 100.0
"""Factor of cosines in CLIP's released weights, for which the constants of the code were chosen."""


class DualCoOpPlus(Method):
    """Learns three contexts a class and how sharply places are picked, from observed labels.

    Both towers stay frozen. The evidence prompt of a class picks the places of the image at which its positive and its
    negative prompt are compared; positive cosines of a place are cut down where another class fits the place better.

    Source: Hu et al., DualCoOp++: Fast and Effective Adaptation to Multi-Label Recognition with Limited Annotations,
    TPAMI 2024 (arXiv 2308.01890), and public code of the same group (kjmillerCURIS/dualcoopstarstar, commit df94f38).
    """

    class Config(TrainingConfig):
        """Options. Sources in brackets: "code", its "script" and "configuration" are those of that repository."""

        context_tokens: int = Field(16, ge=1, description="vectors N a context [code's scripts: 16 and 21]")
        init: str | None = Field(
            None, description="words of N tokens that contexts start from; null: N(0, 0.02^2) [code]"
        )
        class_specific: bool = Field(
            False, description="contexts of its own for each class [script for partial labels: yes]"
        )
        sharpness_ratio: float = Field(
            0.2,
            gt=0,
            description="softmax over places at first, as a share of the encoder's factor of cosines [code: 20 of 100]",
        )
        winner: Winner = Field(
            "relative",
            description="what a positive cosine is multiplied by: softmax over classes over its largest, that softmax, "
            "1 plus it, or nothing [script: relative; code: all four]",
        )
        winner_ratio: float = Field(
            2.0, gt=0, description="sharpness of that softmax, as a multiple of the encoder's factor [code: 200 of 100]"
        )
        scale: float = Field(20.0, gt=0, description="factor of aggregated cosines [code: exp 3]")
        mean_token: bool = Field(
            False, description="the mean token of the attention pool is a place, too, where there is one [code: no]"
        )
        gamma_pos: float = Field(1.0, ge=0, description="exponent of present labels [code]")
        gamma_neg: float = Field(2.0, ge=0, description="exponent of absent labels [code]")
        clip: float = Field(0.05, ge=0, lt=1, description="shift of absent labels [code]")
        loss_weight: float = Field(0.02, gt=0, description="factor of the summed loss [code]")
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [configuration]")
        lr: float = Field(5e-3, gt=0, description="learning rate [configuration]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [configuration]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay of all that is learned [configuration]")
        epochs: int = Field(50, ge=1, description="passes over the training rows [configuration]")
        warmup_epochs: int = Field(1, ge=0, description="epochs at warmup_lr before the cosine starts [configuration]")
        warmup_lr: float = Field(1e-5, gt=0, description="learning rate of these epochs [configuration]")
        batch_size: int = Field(64, ge=1, description="rows a step [configuration: 64; NUS-WIDE 192]")
        images: Literal["squeezed", "backbone"] = Field(
            "squeezed", description="whole images squeezed to a square, or the encoder's preprocessing [configuration]"
        )
        image_size: int | None = Field(
            None, ge=32, description="side in pixels; null: the encoder's own [configuration: 448]"
        )
        # Wider than the base's choice: random crops, fresh each time.
        augment: Literal["live", "flip", "none"] = Field(  # type: ignore[assignment]
            "live", description="mirrored crops of half the area or more; mirrored; none [configuration: live]"
        )

        @model_validator(mode="after")
        def _sized(self) -> DualCoOpPlus.Config:
            if self.image_size is not None and self.images != "squeezed":
                raise ValueError("image_size goes with images=squeezed")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Rate, scale, and how sharply places are picked and classes compete."""
        return {
            "lr": Uniform(1e-3, 3e-2, log=True),
            "scale": Uniform(4.0, 40.0, log=True),
            "sharpness_ratio": Uniform(0.1, 2.0, log=True),
            "winner_ratio": Uniform(0.1, 4.0, log=True),
        }

    def needs(self) -> Needs:
        """Regions and a text tower. The loss skips unknown labels."""
        config = self.config
        return Needs(
            input="region",
            text=True,
            classes="fixed" if config.class_specific else "open",
            calibrated=True,
            images=config.images,
            image_size=config.image_size,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over the contexts and the sharpness."""
        config, backbone = self.config, context.backbone
        tower = backbone.text
        assert tower is not None
        seeds = torch.Generator().manual_seed(context.seed)
        prompts = {
            name: PromptLearner(
                tower,
                context.class_names,
                context_tokens=config.context_tokens,
                init=config.init,
                class_specific=config.class_specific,
                seed=int(torch.randint(2**31, (), generator=seeds)),
            )
            for name in SIDES
        }
        module = EvidenceModule(
            Places(backbone, config.mean_token),
            prompts,
            PartialAsymmetricLoss(
                gamma_neg=config.gamma_neg,
                gamma_pos=config.gamma_pos,
                clip=config.clip,
                variant="code",
                eps=1e-8,
                reduction="sum",
            ),
            # CLIP stores a logarithm in single precision, whose exponential is 100 to six digits.
            sharpness=round(config.sharpness_ratio * tower.logit_scale, 4),
            strength=round(config.winner_ratio * tower.logit_scale, 4),
            rule=config.winner,
            scale=config.scale,
            loss_weight=config.loss_weight,
        )
        schedule = Schedule("cosine", per="epoch", hold_epochs=config.warmup_epochs, hold=config.warmup_lr / config.lr)
        learned = [module.log_sharpness, *(prompt.ctx for prompt in prompts.values())]
        group = ParamGroup(learned, config.lr, config.weight_decay, schedule, "prompts")
        return [dealt(config.stage("train", module, [group], augment=self._views(context)), module.criterion)]

    def _views(self, context: Context) -> Augment:
        if self.config.augment in ("flip", "none"):
            return Augment(self.config.augment)
        crop = RandomResizedCrop(context.backbone.card.image_size or 224, area=(0.5, 1.0))
        return Augment("live", transform=crop, name=crop.name)
