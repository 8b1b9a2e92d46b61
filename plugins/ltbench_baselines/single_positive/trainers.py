"""Single positive labels: the published losses on a fine-tuned tower, a linear head, or learned prompts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
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
    Schedule,
    SearchSpace,
    Stage,
    Stats,
    TrainingConfig,
    Uniform,
    dealt,
    prompt_groups,
)
from ltbench.nn import CosineHead, LinearHead, PromptClassifier, PromptLearner, Score, answer
from ltbench_baselines.common.objectives import Objective, ObjectiveModule
from ltbench_baselines.common.probe import ProbeModule
from ltbench_baselines.common.prompts import CoOpModule
from ltbench_baselines.common.squares import SquaredConfig
from ltbench_baselines.single_positive.objectives import CALIBRATED, SpmlLossConfig, build_objective


class OpenSinglePositive(ObjectiveModule):
    """The same with prompts, which answer for other classes too.

    Args:
        scores, objective: as in the base; what `scores` answers is logits.
        score: what the images of a class are ranked by.
    """

    def __init__(self, scores: CoOpModule, objective: Objective, score: Score) -> None:
        super().__init__(scores, objective)
        self.score = score

    def logits(self, batch: Batch) -> Tensor:
        """The answer float32 [n, C]: logits, or log p of their softmax over classes."""
        return answer(self.learned(batch), self.score)

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names."""
        assert isinstance(self.scores, CoOpModule)
        self.scores.set_classes(names)


class SpmlConfig(SpmlLossConfig):
    """What the three trainers have in common."""

    start: Literal["even", "assumed"] = Field(
        "even",
        description="logits start at 0, or at the log-odds of observed positives with all other labels absent [ours]",
    )

    def assumed(self, stats: Stats) -> Stats:
        """Counts that the first logits follow: unknown labels count as absent; ``even``: as many as the present."""
        if self.start == "even":
            return replace(stats, negatives=stats.positives)
        return replace(stats, negatives=np.asarray(stats.rows - stats.positives, dtype=np.int64))


class SpmlMethod(Method):
    """One of the losses in :mod:`ltbench_baselines.single_positive.objectives` on scores of a kind."""

    config: SpmlConfig

    @abstractmethod
    def stage_of(self, context: Context, objective: Objective) -> GradientStage:
        """The stage, its groups without those of the objective."""

    @property
    @abstractmethod
    def training(self) -> TrainingConfig:
        """The configuration, for the options of training that it also has."""

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage; what the objective learns has a group of its own and does not decay."""
        config, training = self.config, self.training
        objective = build_objective(config, context.observed, training.epochs, context.variant)
        stage = dealt(self.stage_of(context, objective), objective.criterion)
        labels = list(objective.parameters())
        if not labels:
            return [stage]
        course = stage.param_groups[0].schedule
        group = ParamGroup(labels, config.label_lr or 10 * training.lr, 0.0, course, "labels")
        return [replace(stage, param_groups=[*stage.param_groups, group])]


class OnTower(SpmlMethod):
    """Learns all weights of the image tower and a linear head, which is how the losses were published."""

    class Config(SpmlConfig, SquaredConfig):
        """Options of the recipes on a tower. Sources in brackets; "ours" where no release fixes one."""

        optimizer: Literal["sgd", "adam", "adamw"] = Field(  # type: ignore[assignment]
            "adamw", description="optimiser [all releases: adam; ours]"
        )
        schedule: Literal["cosine", "multistep", "constant", "onecycle"] = Field(  # type: ignore[assignment]
            "cosine", description="course of the learning rate [Cole, LL, EM: constant; SPLC: onecycle; ours]"
        )
        schedule_epochs: int | None = Field(
            None, ge=1, description="epochs that onecycle and cosine are laid out for; null: all [SPLC: 80, 31 trained]"
        )
        ema: float | None = Field(
            None, ge=0, lt=1, description="decay of a moving average of the weights, which predicts [SPLC: 0.9997]"
        )

        @model_validator(mode="after")
        def _long_enough(self) -> OnTower.Config:
            if self.schedule_epochs is None:
                return self
            if self.schedule not in ("onecycle", "cosine"):
                raise ValueError(f"schedule_epochs: {self.schedule} is not laid out for a number of epochs")
            if self.schedule_epochs < self.epochs:
                raise ValueError(f"schedule_epochs: shorter than the {self.epochs} epochs of training")
            return self

        def course(self) -> Schedule:
            """Course of the learning rates; ``onecycle`` rises over the first fifth [SPLC's code]."""
            course = Schedule("onecycle", peak=0.2) if self.schedule == "onecycle" else super().course()
            return replace(course, horizon=self.schedule_epochs)

    config: Config

    @property
    def training(self) -> TrainingConfig:
        """The configuration."""
        return self.config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and augmentation; the losses' constants stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images; unknown labels as they are."""
        config = self.config
        calibrated = config.loss in CALIBRATED and config.sampler == "shuffle"
        return Needs(input="image", classes="fixed", unknown="own", calibrated=calibrated, images=config.images)

    def stage_of(self, context: Context, objective: Objective) -> GradientStage:
        """Tower and head."""
        config = self.config
        prior = torch.tensor(config.assumed(context.stats).prior, dtype=torch.float32)
        scores = FineTuned(
            context.backbone,
            LinearHead(context.backbone.card.dim, len(context.class_names), prior=prior),
            nn.Identity(),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
        )
        stage = config.fine_tuning("fine-tune", scores, context)
        return replace(stage, module=ObjectiveModule(scores, objective), ema=config.ema)


class OnLinear(SpmlMethod):
    """Learns one linear classifier a class, weights [C, D] and biases [C], on frozen features."""

    class Config(SpmlConfig, TrainingConfig):
        """Options of the recipes on a linear head. The defaults of training are ours."""

        features: Literal["l2", "scaled"] = Field(
            "scaled", description="divide each feature by its own norm, or all by the root mean square training norm"
        )
        start: Literal["even", "assumed"] = Field(
            "assumed",
            description="biases start at 0, or at the log-odds of observed positives with all other labels absent",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="optimiser")
        lr: float = Field(1e-2, gt=0, description="learning rate")

    config: Config

    @property
    def training(self) -> TrainingConfig:
        """The configuration."""
        return self.config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rate, decay and the treatment of features; the losses' constants stay the published ones."""
        return {
            "features": Choice(("l2", "scaled")),
            "augment": Choice(("none", "flip")),
            "epochs": Choice((30, 60)),
            "weight_decay": Uniform(1e-5, 1e-1, log=True),
            "lr": Uniform(1e-3, 3e-2, log=True),
        }

    def needs(self) -> Needs:
        """Global features; unknown labels as they are."""
        return Needs(input="global", classes="fixed", unknown="own", calibrated=self.config.loss in CALIBRATED)

    def stage_of(self, context: Context, objective: Objective) -> GradientStage:
        """Weights and biases."""
        config = self.config
        probe = ProbeModule(context.backbone.card.dim, config.assumed(context.stats), config.features)
        groups = probe.groups(config.lr, config.weight_decay, Schedule("cosine"))
        return config.stage("train", ObjectiveModule(probe, objective), groups)


class OnPrompts(SpmlMethod):
    """Learns one context of M vectors in front of all class names, and a bias, with both towers of CLIP frozen.

    Source: the single prompt is that of Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022; the
    losses on it are rows of HSPNet's Table 1 (marked * there), whose code is not published.
    """

    class Config(SpmlConfig, TrainingConfig):
        """Options of the recipes on prompts. Sources in brackets; "ours" where no release fixes one."""

        init: str | None = Field("a photo of a", description="words it starts from; null: N(0, 0.02^2) [CoOp 3.1]")
        context_tokens: int = Field(4, ge=1, description="context vectors M [CoOp 4.1: 4 or 16]")
        learn_scale: bool = Field(False, description="learn the scale of the cosine [ours]")
        head_lr: float | None = Field(None, gt=0, description="learning rate of bias and log-scale; null: as lr [ours]")
        start: Literal["even", "assumed"] = Field(
            "assumed",
            description="mean logit at 0, or at the log-odds of observed positives with all other labels absent [ours]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [CoOp: sgd; ours]")
        weight_decay: float = Field(0.0, ge=0, description="weight decay of the context [ours]")
        score: Score = Field(
            "logits",
            description="what images are ranked by: logits, or log p of the softmax over classes [CLIP, CoOp: softmax]",
        )

        def unstated(self) -> frozenset[str]:
            """The ranking by logits, as before there was a choice."""
            return frozenset({"score"} if self.score == "logits" else ())

    config: Config

    @property
    def training(self) -> TrainingConfig:
        """The configuration."""
        return self.config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rate, augmentation, and whether the scale of the cosine is learned."""
        return {
            "learn_scale": Choice((False, True)),
            "augment": Choice(("none", "flip")),
            "lr": Uniform(3e-4, 1e-2, log=True),
        }

    def needs(self) -> Needs:
        """Global features and a text tower; unknown labels as they are. Learned context serves for other classes."""
        calibrated = self.config.loss in CALIBRATED and self.config.score == "logits"
        return Needs(input="global", text=True, classes="open", unknown="own", calibrated=calibrated)

    def stage_of(self, context: Context, objective: Objective) -> GradientStage:
        """Context and head."""
        config = self.config
        tower = context.backbone.text
        assert tower is not None, "the needs of the method ask for a text tower"
        prompts = PromptLearner(
            tower, context.class_names, context_tokens=config.context_tokens, init=config.init, seed=context.seed
        )
        head = CosineHead(tower.logit_scale, learn_scale=config.learn_scale, learn_bias=True)
        centre = config.assumed(context.stats).log_odds
        scores = CoOpModule(PromptClassifier(prompts, head), nn.Identity(), centre)
        groups = prompt_groups(config, [prompts.ctx], list(head.parameters()), config.head_lr)
        return config.stage("train", OpenSinglePositive(scores, objective, config.score), groups)
