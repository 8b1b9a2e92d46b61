"""The toy method that is killed while it trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.toy_hooks import SlowHead
from engine.toy_samplers import ClassAwareSampler
from engine.toys import Plain
from ltbench.method import Augment, Context, GradientStage, Needs, ParamGroup, Schedule, Stage


class Slow(Plain):
    """Two slow stages with everything that a resumed run can lose: sampler state, averages, momentum, own labels."""

    class Config(Plain.Config):
        epochs: int = 6

    config: Config

    def needs(self) -> Needs:
        return Needs(unknown="own")

    def stages(self, context: Context) -> Sequence[Stage]:
        dim, classes = context.backbone.card.dim, len(context.class_names)
        stages = []
        for name in ("first", "second"):
            hidden = context.observed * (torch.arange(len(context.observed)) % 2)[:, None].to(torch.int8)
            module = SlowHead(dim, classes, hidden, sure=0.55)
            groups = [ParamGroup(list(module.linear.parameters()), 0.05, schedule=Schedule("cosine"))]
            sampler = ClassAwareSampler(context.observed, 24)
            stages.append(
                GradientStage(
                    name, module, groups, epochs=self.config.epochs, batch_size=8, optimizer="adamw",
                    sampler=sampler, ema=0.9, augment=Augment("flip"),
                )
            )  # fmt: skip
        return stages
