"""Fine-tuning of the image tower with a linear head: the trainer behind all visual baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.losses import MultiLabelLoss
from ltbench.method import (
    Augment,
    Batch,
    Choice,
    Context,
    GradientStage,
    Method,
    Needs,
    ParamGroup,
    Schedule,
    SearchSpace,
    Stage,
    Stats,
    Uniform,
)
from ltbench.nn import ClassAwareSampler, LinearHead
from ltbench.plugin import UserError
from ltbench_baselines.losses_by_name import PROPER, LossConfig, build_loss

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class FineTuned(nn.Module):
    """Image tower, linear head on its global feature, and a loss.

    In training mode batch normalisation of the tower normalises by the statistics of pre-training and leaves them
    alone (``batch_norm="eval"``), or normalises by the batch and moves them (``"train"``); its scales and shifts are
    trained either way. Frozen parts are never in training mode.

    Args:
        backbone: whose image tower is trained; encodes, and stays the one owner of the arithmetic.
        head: logits of global features.
        criterion: loss of logits [B, C] and labels [B, C].
        batch_norm: see above.
        freeze: names of parts of the tower that stay as they were.

    Raises:
        UserError: the backbone has no image tower, or `freeze` names no part of it.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: LinearHead,
        criterion: MultiLabelLoss,
        batch_norm: Literal["eval", "train"] = "eval",
        freeze: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if backbone.visual is None:
            raise UserError(f"backbone {backbone.card.name} has no image tower to train", "ltbench list backbones")
        self.tower = backbone.visual
        self.head = head
        self.criterion = criterion
        self.batch_norm = batch_norm
        self._backbone = backbone
        parts = dict(self.tower.named_modules())
        parts.pop("")
        unknown = [name for name in freeze if name not in parts]
        if unknown:
            tops = ", ".join(name for name, _ in self.tower.named_children())
            raise UserError(
                f"freeze: backbone {backbone.card.name} has no part {unknown[0]!r}",
                f"-o freeze=[…] with some of {tops}",
            )
        # A tuple of the names: as modules of this one they would be in its state twice.
        self._frozen = tuple(freeze)

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the tower that are not frozen."""
        frozen = {id(p) for name in self._frozen for p in self.tower.get_submodule(name).parameters()}
        return [p for p in self.tower.parameters() if id(p) not in frozen]

    def train(self, mode: bool = True) -> FineTuned:
        """Training mode, but for frozen parts and, as asked for, batch normalisation."""
        super().train(mode)
        if mode:
            for name in self._frozen:
                self.tower.get_submodule(name).eval()
            if self.batch_norm == "eval":
                for part in self.tower.modules():
                    if isinstance(part, _BATCH_NORM):
                        part.eval()
        return self

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C] of images [n, 3, H, W]."""
        assert isinstance(batch.input, Tensor)
        images = batch.input.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(self._backbone.encode_global(images))
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}


class FineTune(Method):
    """Learns all weights of the image tower and a linear head from images and observed labels.

    The recipes differ in loss and sampler only. Optimiser, schedule, sampler and the treatment of batch normalisation
    can be set as in the released configurations of Distribution-Balanced Loss (Wu et al., ECCV 2020).
    """

    class Config(LossConfig):
        """Options of the visual recipes. Sources in brackets; "ours" where no release fixes one."""

        sampler: Literal["shuffle", "class-aware"] = Field(
            "shuffle", description="every row once, or classes by turns [DB's configurations: class-aware]"
        )
        sampler_reduce: int = Field(
            4, ge=1, description="an epoch has max n_c * C / reduce rows; class-aware only [DB's code]"
        )
        sampler_draws: int = Field(3, ge=1, description="rows a visit of a class; class-aware only [DB's code]")
        optimizer: Literal["sgd", "adamw"] = Field("adamw", description="optimiser [DB, DR: sgd; ours]")
        lr: float = Field(3e-4, gt=0, description="learning rate of the tower [ours]")
        head_lr: float = Field(1e-2, gt=0, description="learning rate of the head [DB: that of the tower; ours]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [DB's configurations]")
        weight_decay: float = Field(1e-4, ge=0, description="weight decay [DB's configurations]")
        epochs: int = Field(8, ge=1, description="passes over the sampler's rows [DB's configurations]")
        batch_size: int = Field(32, ge=1, description="rows a step [DB's configurations]")
        drop_last: bool = Field(False, description="drop an incomplete last batch [DB's code does; ours]")
        schedule: Literal["cosine", "multistep", "constant"] = Field(
            "cosine", description="course of the learning rate [DB, DR: multistep; ours]"
        )
        milestones: tuple[int, ...] = Field((5, 7), description="epochs of decay by 0.1; multistep only [DB's configs]")
        warmup_steps: int = Field(0, ge=0, description="steps of linear warm-up from lr / 3 [DB, DR: 500; ours]")
        clip_norm: float | None = Field(None, gt=0, description="limit of the gradient norm [DB, DR: 35; ours]")
        batch_norm: Literal["eval", "train"] = Field(
            "eval", description="statistics of pre-training, or of the batch; affine parts are trained [DB: eval]"
        )
        freeze: tuple[str, ...] = Field((), description="parts of the tower left alone [DB: stem and layer1]")
        head_prior: Literal["even", "observed"] = Field(
            "even", description="biases start at 0, or at the log-odds of the observed labels [DB: 0]"
        )
        augment: Literal["none", "flip"] = Field(
            "flip", description="mirror half of the images [part of DB's and DR's]"
        )

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and augmentation; the loss's constants stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images. The losses skip unknown labels, so the task's policy stands.

        Only proper losses on rows drawn evenly give probabilities; class-aware draws move the share of positives.
        """
        config = self.config
        return Needs(input="image", classes="fixed", calibrated=config.loss in PROPER and config.sampler == "shuffle")

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower and head."""
        config = self.config
        prior = observed_prior(context.stats) if config.head_prior == "observed" else 0.5
        module = FineTuned(
            context.backbone,
            LinearHead(context.backbone.card.dim, len(context.class_names), prior=prior),
            build_loss(config, context.stats, context.variant),
            batch_norm=config.batch_norm,
            freeze=config.freeze,
        )
        # A quarter less time a step on CPUs; values differ in the last digits only.
        module.tower.to(memory_format=torch.channels_last)
        schedule = Schedule(
            config.schedule,
            milestones=config.milestones,
            gamma=0.1,
            warmup_steps=config.warmup_steps,
            warmup_start=1 / 3,
        )
        groups = [
            ParamGroup(module.trained(), config.lr, config.weight_decay, schedule, "tower"),
            ParamGroup(list(module.head.parameters()), config.head_lr, config.weight_decay, schedule, "head"),
        ]
        return [
            GradientStage(
                "fine-tune",
                module,
                groups,
                epochs=config.epochs,
                batch_size=config.batch_size,
                optimizer=config.optimizer,
                momentum=config.momentum,
                sampler=self._sampler(context),
                drop_last=config.drop_last,
                augment=Augment(config.augment),
                clip_norm=config.clip_norm,
            )
        ]

    def _sampler(self, context: Context) -> ClassAwareSampler | None:
        config = self.config
        if config.sampler == "shuffle":
            return None
        observed = np.asarray(context.observed.numpy(), dtype=np.int8)
        if not bool((observed == 1).any()):
            raise UserError(
                "the class-aware sampler has nothing to draw: no class has an observed positive", "-o sampler=shuffle"
            )
        return ClassAwareSampler(observed, config.sampler_reduce, config.sampler_draws)


def observed_prior(stats: Stats) -> Tensor:
    """Share of positives among the known labels of each class, float32 [C], half a label added on either side."""
    positives, negatives = stats.positives + 0.5, stats.negatives + 0.5
    return torch.tensor(positives / (positives + negatives), dtype=torch.float32)
