"""What BBN and LTML share: an image tower with two ends, and rows that come in two streams."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import (
    Batch,
    Context,
    FineTuned,
    GradientStage,
    ParamGroup,
    Sampler,
    SearchSpace,
    Uniform,
    ViewedConfig,
)
from ltbench.nn import ShuffleSampler, StreamSampler, TowerBranches, split_streams
from ltbench.plugin.errors import UserError

RESNET_STAGE = "layer4"
BLOCKS = ("transformer.resblocks", "blocks")


class TwoStreamConfig(ViewedConfig):
    """Options of two branches. Sources in brackets; "ours" where no release fixes one."""

    branch: tuple[str, ...] | None = Field(
        None, description="parts of the tower that each branch has for itself; null: the published choice [ours]"
    )
    epoch_rows: int | None = Field(
        None, ge=1, description="rows of each stream an epoch; null: the number of training rows [ours]"
    )
    batch_size: int = Field(32, ge=2, description="rows a step, half of them of each stream [ours]")
    epochs: int = Field(8, ge=1, description="passes over epoch_rows rows of each stream [ours]")

    @model_validator(mode="after")
    def halves(self) -> TwoStreamConfig:
        """A batch holds as many rows of one stream as of the other."""
        if self.batch_size % 2:
            raise ValueError(f"batch_size: two streams share a batch, so it must be even, not {self.batch_size}")
        return self

    @model_validator(mode="after")
    def _branched(self) -> TwoStreamConfig:
        if self.tower == "frozen" and self.branch is not None:
            raise ValueError("branch: a branch learns no parts of a tower with tower=frozen")
        return self

    def streams(self, rebalanced: Sampler, context: Context) -> StreamSampler:
        """Rows drawn evenly, in turns with rows of another sampler."""
        rows = context.stats.rows
        return StreamSampler([ShuffleSampler(rows), rebalanced], self.epoch_rows or rows)

    def two_branches(
        self, module: TwoBranches, context: Context, rebalanced: Sampler, *more: ParamGroup
    ) -> GradientStage:
        """The stage: tower with its second end, head, and whatever else is learned."""
        tower = module.trained()
        if module.branches is not None:
            # As the tower: what convolutions are fastest in.
            module.branches.to(memory_format=torch.channels_last)
            tower += module.branches.parameters()
        groups = [
            *self.tower_group(tower, self.lr),
            ParamGroup(list(module.head.parameters()), self.head_lr, self.weight_decay, self.course(), "head"),
            *more,
        ]
        return self.fine_tuning("train", module, context, groups=groups, sampler=self.streams(rebalanced, context))


class TwoBranches(FineTuned):
    """A tower whose named parts exist twice; branch 0 is the tower as it came, branch 1 has copies.

    Where the tower is frozen it ends once, and what lies behind its features makes the branches.

    Args:
        config: names these parts, in the order in which rows meet them; None there is the published choice.
        whole_stage: what that is: a ResNet's whole last stage in place of its last block.
        others: see :class:`ltbench.method.FineTuned`.

    Raises:
        UserError: the tower has no such part, or it is frozen.
    """

    def __init__(
        self, backbone: Backbone, head: nn.Module, criterion: nn.Module, config: TwoStreamConfig, whole_stage: bool
    ) -> None:
        super().__init__(
            backbone, head, criterion, batch_norm=config.batch_norm, freeze=config.freeze, tower=config.tower
        )
        self.branches: TowerBranches | None = None
        if self.is_frozen:
            return
        branch = last_parts(backbone.visual, whole_stage) if config.branch is None else config.branch
        frozen = [part for part in branch for name in config.freeze if f"{part}.".startswith(f"{name}.")]
        if frozen:
            raise UserError(f"branch: part {frozen[0]!r} is frozen, so its copies would be equal", "-o branch=[…]")
        try:
            self.branches = TowerBranches(self.tower, branch)
        except AttributeError as error:
            raise UserError(f"branch: backbone {backbone.card.name}: {error}", "-o branch=[…]") from error

    def train(self, mode: bool = True) -> TwoBranches:
        """Training mode as for the tower; copies are in the mode of the parts they were copied from."""
        super().train(mode)
        if self.branches is not None:
            self.branches.follow()
        return self

    def both(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features [n, dim] of all rows, of either branch."""
        if self.branches is None:
            features = self.features(batch)
            return features, features
        with self.branches.every():
            features = self.features(batch)
        # No chunks: a program that torch traces does not know how many rows come.
        first, second = features.reshape(2, -1, features.shape[1])
        return first, second

    def apart(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features [n / 2, dim] of the even rows from branch 0, and of the odd rows from branch 1."""
        rows = torch.cat(split_streams(torch.arange(len(batch.rows), device=batch.rows.device), 2))
        ordered = Batch(batch.rows[rows], batch.features[rows], batch.observed[rows])
        with self.branches.each() if self.branches is not None else nullcontext():
            first, second = self.features(ordered).chunk(2)
        return first, second


def last_parts(tower: nn.Module | None, whole_stage: bool) -> tuple[str, ...]:
    """Name of a tower's last residual or transformer block, or of a ResNet's whole last stage.

    Raises:
        UserError: it has neither.
    """
    names = dict(tower.named_modules()) if tower is not None else {}
    if whole_stage and RESNET_STAGE in names:
        return (RESNET_STAGE,)
    for name in (RESNET_STAGE, *BLOCKS):
        if name in names:
            return (f"{name}.{list(dict(names[name].named_children()))[-1]}",)
    tops = ", ".join(name for name in names if name and "." not in name)
    raise UserError("the tower has no part that could be branched by default", f"-o branch=[…] with some of {tops}")


def known_labels(context: Context) -> np.ndarray:
    """Observed labels int8 [N, C] for a sampler that draws by class.

    Raises:
        UserError: no class has an observed positive.
    """
    observed = np.asarray(context.observed.numpy(), dtype=np.int8)
    if not bool((observed == 1).any()):
        raise UserError(
            "the second stream has nothing to draw: no class has an observed positive", "ltbench list tasks"
        )
    return observed


def rates() -> SearchSpace:
    """Learning rates and weight decay, which both methods leave to be tuned."""
    return {
        "lr": Uniform(1e-4, 1e-3, log=True),
        "head_lr": Uniform(3e-3, 1e-1, log=True),
        "weight_decay": Uniform(1e-4, 1e-1, log=True),
    }
