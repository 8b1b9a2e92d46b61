"""DR: an image tower, a neck and a linear head, fine-tuned on rows drawn class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ltbench.method import (
    Batch,
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
from ltbench_dr.objectives import ObjectiveConfig, WeightedSum, build_objective


class DRModule(FineTuned):
    """Tower, neck, head and objective; the terms of a sum are logged one by one."""

    criterion: WeightedSum

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss_dr``, ``loss_db-focal``, …: each part of the objective with its factor."""
        terms = self.criterion.terms(self.logits(batch), batch.observed)
        return {f"loss_{name}": term for name, term in terms.items()}


class DR(Method):
    """Learns all weights of the image tower that are not frozen, a neck and a linear head from images and labels.

    With ``tower=frozen`` it learns neck and head alone, from cached features.
    The released configuration trains an ImageNet ResNet-50; names of frozen parts are those of its tower.
    """

    class Config(ObjectiveConfig, ViewedConfig):
        """Options. Sources in brackets: DR is the paper, "release" its configuration for VOC-LT (COCO-LT)."""

        neck_width: int = Field(256, ge=1, description="size of the neck [release]")
        dropout: float = Field(0.5, ge=0, lt=1, description="share of the neck left out in training [release]")
        sampler: Literal["shuffle", "class-aware"] = Field(
            "class-aware", description="every row once, or classes by turns [DR 4.1, release: class-aware]"
        )
        optimizer: Literal["sgd", "adamw"] = Field("sgd", description="optimiser [DR 4.1, release]")
        lr: float = Field(3e-4, gt=0, description="learning rate of the tower [DR 4.1, release: 3e-4 (1e-4)]")
        head_lr: float = Field(3e-4, gt=0, description="learning rate of neck and head [release: that of the tower]")
        epochs: int = Field(30, ge=1, description="passes over the sampler's rows [release: 30 (35)]")
        drop_last: bool = Field(True, description="drop an incomplete last batch [release]")
        schedule: Literal["cosine", "multistep", "constant"] = Field(
            "multistep", description="course of the learning rate [release: multistep]"
        )
        milestones: tuple[int, ...] = Field((5,), description="epochs of decay by 0.1; multistep only [release]")
        warmup_steps: int = Field(500, ge=0, description="steps of linear warm-up from lr / 3 [DR 4.1, release]")
        clip_norm: float | None = Field(35.0, gt=0, description="limit of the gradient norm [release]")
        freeze: tuple[str, ...] = Field(
            ("conv1", "bn1", "layer1"), description="parts of the tower left alone [release: stem and layer1]"
        )
        augment: Literal["live", "views", "flip", "none"] = Field(
            "live",
            description="distorted crops, fresh or k fixed ones an image; mirrored images; none [release: live]",
        )

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and augmentation; the objective's constants stay the published ones."""
        return {
            "lr": Uniform(5e-5, 5e-4, log=True),
            "head_lr": Uniform(1e-3, 3e-2, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("live", "flip")),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen. The losses skip unknown labels, so the task's policy stands.

        Only bce on rows drawn evenly gives probabilities: rankings put no logit at the odds, and class-aware draws move
        the share of positives.
        """
        config = self.config
        return Needs(
            input=config.input,
            classes="fixed",
            images=config.images,
            calibrated=config.objective == "bce" and config.sampler == "shuffle",
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower, neck and head."""
        config, backbone = self.config, context.backbone
        module = DRModule(
            backbone,
            nn.Sequential(
                BatchNormNeck(backbone.card.dim, config.neck_width, config.dropout),
                LinearHead(config.neck_width, len(context.class_names)),
            ),
            build_objective(config, context.stats, context.variant),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
            tower=config.tower,
        )
        return [config.fine_tuning("fine-tune", module, context)]
