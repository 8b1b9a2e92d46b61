"""Toy methods: each is a real method that proves one part of the contract, small enough to check by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from torch import nn

from engine.toy_hooks import OnPrepared, PreparedHead, Rewriter, WatchfulHead
from engine.toy_modules import (
    ByName,
    Exploding,
    Head,
    Memory,
    Neighbours,
    NoisyHead,
    NormalisedHead,
    OnTop,
    Reader,
    Reducer,
    RowWeighted,
    TowerHead,
    features,
    known_bce,
    name_vector,
)
from engine.toy_samplers import ClassAwareSampler, GrowingSampler
from ltbench.method import (
    Augment,
    Context,
    FitStage,
    GradientStage,
    Method,
    MethodConfig,
    Needs,
    ParamGroup,
    Schedule,
    Stage,
)

__all__ = ["ALL", "ClassAwareSampler", "Head", "features", "known_bce", "name_vector"]


class Epochs(MethodConfig):
    epochs: int = 3
    batch_size: int = 16
    lr: float = 0.3


class Plain(Method):
    """One stage, one linear head: what the other toys differ from."""

    class Config(Epochs):
        unknown: Literal["ignore", "assume-negative", "own"] | None = None

    config: Config

    def needs(self) -> Needs:
        return Needs(unknown=self.config.unknown)

    def module(self, context: Context) -> nn.Module:
        return Head(context.backbone.card.dim, len(context.class_names))

    def stage(self, context: Context, module: nn.Module, **rest: Any) -> GradientStage:
        groups = [ParamGroup(list(module.parameters()), self.config.lr)]
        return GradientStage(
            "train", module, groups, epochs=self.config.epochs, batch_size=self.config.batch_size, **rest
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context))]


class TwoStages(Method):
    """The second stage uses the module that the first one trained."""

    Config = Epochs
    config: Epochs

    def needs(self) -> Needs:
        return Needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        dim, classes = context.backbone.card.dim, len(context.class_names)
        first = Reducer(dim, 8, classes)
        second = OnTop(first, 8, classes)
        rest: dict[str, Any] = {"epochs": self.config.epochs, "batch_size": self.config.batch_size}
        return [
            GradientStage("reduce", first, [ParamGroup(list(first.parameters()), 0.3)], **rest),
            GradientStage("classify", second, [ParamGroup(list(second.head.parameters()), 0.3)], **rest),
        ]


class PerRow(Plain):
    """One learnable number a training row, indexed by ``batch.rows``."""

    def module(self, context: Context) -> nn.Module:
        return RowWeighted(context.backbone.card.dim, len(context.class_names), context.stats.rows)


class LabelRewriting(Plain):
    """Rewrites labels into a buffer of its own and reports what it rewrote."""

    def needs(self) -> Needs:
        return Needs(unknown="own")

    def module(self, context: Context) -> nn.Module:
        return Rewriter(context.backbone.card.dim, len(context.class_names), context.observed, sure=0.8)


class ClassAware(Plain):
    """A sampler with a state, made from the observed labels."""

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context), sampler=ClassAwareSampler(context.observed, 37))]


class Growing(Plain):
    """Epochs of different lengths under a schedule that goes by the step."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = self.module(context)
        groups = [ParamGroup(list(module.parameters()), 0.3, schedule=Schedule("cosine"))]
        sampler = GrowingSampler(context.stats.rows)
        return [GradientStage("train", module, groups, epochs=self.config.epochs, batch_size=5, sampler=sampler)]


class Nearest(Method):
    """Learns without gradients."""

    class Config(MethodConfig):
        k: int = 5

    config: Config

    def needs(self) -> Needs:
        return Needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        card = context.backbone.card
        module = Neighbours(context.stats.rows, card.dim, len(context.class_names), self.config.k)
        return [FitStage("remember", module, module.fit)]


class OpenNames(Plain):
    """Answers for class names that it first hears when it predicts."""

    def needs(self) -> Needs:
        return Needs(classes="open")

    def module(self, context: Context) -> nn.Module:
        return ByName(context.backbone.card.dim, context.class_names)

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context), parallel="rows", reduction="known")]


class Remembering(Plain):
    """What it held of each row before, with decisions, an average and a limit on the norm: rows may be dealt."""

    def module(self, context: Context) -> nn.Module:
        return Memory(context.backbone.card.dim, len(context.class_names), context.stats.rows)

    def stages(self, context: Context) -> Sequence[Stage]:
        module = self.module(context)
        rest: dict[str, Any] = {"ema": 0.8, "clip_norm": 0.5, "augment": Augment("flip")}
        return [self.stage(context, module, parallel="rows", row_state=["held"], **rest)]


class Grouped(Plain):
    """Two parameter groups with schedules of their own, a moving average, a limit on the gradient norm, momentum."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = Head(context.backbone.card.dim, len(context.class_names))
        warm = Schedule("cosine", warmup_steps=3)
        steps = Schedule("multistep", milestones=(1, 2), gamma=0.5)
        groups = [
            ParamGroup([module.linear.weight], 0.5, weight_decay=1e-3, schedule=warm, name="weight"),
            ParamGroup([module.linear.bias], 0.1, schedule=steps, name="bias"),
        ]
        return [
            GradientStage(
                "train", module, groups, epochs=self.config.epochs, batch_size=self.config.batch_size,
                ema=0.9, clip_norm=0.2,
            )
        ]  # fmt: skip


class Cycling(Plain):
    """Momentum against the rate, and an average of batch statistics as well."""

    class Config(Plain.Config):
        optimizer: Literal["sgd", "adam", "adamw"] = "adam"
        ema_buffers: bool = True

    config: Config

    def stages(self, context: Context) -> Sequence[Stage]:
        module = NormalisedHead(context.backbone.card.dim, len(context.class_names))
        course = Schedule("onecycle", peak=0.4, momenta=(0.95, 0.85))
        return [
            GradientStage(
                "train", module, [ParamGroup(list(module.parameters()), 0.05, schedule=course)],
                epochs=self.config.epochs, batch_size=self.config.batch_size, optimizer=self.config.optimizer,
                ema=0.8, ema_buffers=self.config.ema_buffers,
            )
        ]  # fmt: skip


class Diverging(Plain):
    """Its loss (or only its gradient) stops being finite at a known step."""

    class Config(Plain.Config):
        at: int = 5
        how: Literal["loss", "gradient"] = "loss"

    config: Config

    def module(self, context: Context) -> nn.Module:
        return Exploding(context.backbone.card.dim, len(context.class_names), self.config.at, self.config.how)


class Captioned(Plain):
    """Learns from captions alone."""

    def needs(self) -> Needs:
        return Needs(captions=True)

    def module(self, context: Context) -> nn.Module:
        return Reader(context.backbone.card.dim, context.class_names)


class Prepared(Plain):
    """All optional hooks at once; a second stage follows, so that a resumed run skips the first one's training."""

    def stages(self, context: Context) -> Sequence[Stage]:
        first = PreparedHead(context.backbone.card.dim, len(context.class_names))
        second = OnPrepared(first)
        groups = [ParamGroup([second.scale], 0.1)]
        rest: dict[str, Any] = {"epochs": self.config.epochs, "batch_size": self.config.batch_size}
        return [
            GradientStage("prepare", first, [ParamGroup(list(first.parameters()), self.config.lr)], **rest),
            GradientStage("scale", second, groups, **rest),
        ]


class Noisy(Plain):
    """Uses all the randomness there is, and two views of each image."""

    def module(self, context: Context) -> nn.Module:
        return NoisyHead(context.backbone.card.dim, len(context.class_names))

    def stages(self, context: Context) -> Sequence[Stage]:
        return [self.stage(context, self.module(context), augment=Augment("flip"), optimizer="adam")]


class Watchful(Plain):
    """Chooses its epoch on validation rows, which it asks for."""

    def needs(self) -> Needs:
        return Needs(validation=True)

    def module(self, context: Context) -> nn.Module:
        assert context.validation is not None
        return WatchfulHead(context.backbone.card.dim, len(context.class_names), context.validation)


ALL: dict[str, type[Method]] = {
    "plain": Plain,
    "two-stages": TwoStages,
    "per-row": PerRow,
    "rewriting": LabelRewriting,
    "class-aware": ClassAware,
    "growing": Growing,
    "nearest": Nearest,
    "open-names": OpenNames,
    "grouped": Grouped,
    "cycling": Cycling,
    "captioned": Captioned,
    "prepared": Prepared,
    "noisy": Noisy,
    "watchful": Watchful,
}


"""Toys that finish; ``Diverging`` does not."""


class FineTune(Plain):
    """Trains the last layer of the image tower on live images; the rest of the tower stays frozen."""

    def needs(self) -> Needs:
        return Needs(input="image")

    def stages(self, context: Context) -> Sequence[Stage]:
        module = TowerHead(context.backbone, len(context.class_names))
        last = list(context.backbone.visual.attnpool.c_proj.parameters())
        groups = [ParamGroup(list(module.linear.parameters()), 0.1), ParamGroup(last, 0.01, name="tower")]
        return [GradientStage("tune", module, groups, epochs=2, batch_size=8, augment=Augment("live"))]


class FrozenTower(FineTune):
    """Runs images through a tower that it does not train: its batch statistics must stay as they are."""

    def stages(self, context: Context) -> Sequence[Stage]:
        (stage,) = super().stages(context)
        return [replace(stage, param_groups=stage.param_groups[:1])]
