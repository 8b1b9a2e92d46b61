"""Fine-tuning of an image tower with a head of one's own: module, options and stage.

For methods that learn visual features. A tower that is trained cannot be cached, so such methods need ``image``; where
they leave it as it is, the same head learns from cached ``global`` features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method.batch import Batch
from ltbench.method.dealing import dealt
from ltbench.method.method import Context
from ltbench.method.stages import Augment, GradientStage, ParamGroup, Sampler, Schedule
from ltbench.method.training import TrainingConfig
from ltbench.nn import ClassAwareSampler
from ltbench.plugin.errors import UserError

Tower = Literal["trained", "frozen"]
"""What becomes of an image tower: it learns, or its features come from the cache."""

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class FineTuned(nn.Module):
    """Image tower, head on its global feature, and a loss.

    In training mode batch normalisation of the tower normalises by the statistics of pre-training and leaves them
    alone (``batch_norm="eval"``), or normalises by the batch and moves them (``"train"``); its scales and shifts are
    trained either way. Frozen parts are never in training mode.

    Where the whole tower is frozen, batches carry its features in place of images, and it is no part of this module.

    Args:
        backbone: whose image tower is trained; encodes, and stays the one owner of the arithmetic.
        head: logits [n, C] of global features [n, dim]; a neck is its first part.
        criterion: loss of logits [B, C] and labels [B, C].
        batch_norm: see above.
        freeze: names of parts of the tower that stay as they were.
        tower: ``frozen`` learns the head alone, on features; `batch_norm` and `freeze` then say nothing.

    Raises:
        UserError: the tower is to be trained, and the backbone has none, or `freeze` names no part of it.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        criterion: nn.Module,
        batch_norm: Literal["eval", "train"] = "eval",
        freeze: Sequence[str] = (),
        tower: Tower = "trained",
    ) -> None:
        super().__init__()
        self.is_frozen = tower == "frozen"
        visual = nn.Identity() if self.is_frozen else backbone.visual
        if visual is None:
            raise UserError(f"backbone {backbone.card.name} has no image tower to train", "ltbench list backbones")
        self.tower = visual
        self.head = head
        self.criterion = criterion
        self.batch_norm = batch_norm
        self._backbone = backbone
        parts = dict(self.tower.named_modules())
        parts.pop("")
        named = () if self.is_frozen else tuple(freeze)
        unknown = [name for name in named if name not in parts]
        if unknown:
            tops = ", ".join(name for name, _ in self.tower.named_children())
            raise UserError(
                f"freeze: backbone {backbone.card.name} has no part {unknown[0]!r}",
                f"-o freeze=[…] with some of {tops}",
            )
        # A tuple of the names: as modules of this one they would be in its state twice.
        self._frozen = named

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

    def features(self, batch: Batch) -> Tensor:
        """Global features [n, dim] of images [n, 3, H, W], with gradients; as they come where the tower is frozen."""
        if self.is_frozen:
            return batch.features.float()
        images = batch.features.contiguous(memory_format=torch.channels_last)
        return self._backbone.encode_global(images)

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]."""
        logits: Tensor = self.head(self.features(batch))
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}


class FineTuneConfig(TrainingConfig):
    """Options of fine-tuning. Sources in brackets; "ours" where no release fixes one.

    DB and DR stand for the released configurations of Distribution-Balanced Loss (Wu et al., ECCV 2020) and DR loss.
    """

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
    augment: Literal["none", "flip"] = Field("flip", description="mirror half of the images [part of DB's and DR's]")

    def course(self) -> Schedule:
        """Course of the learning rates."""
        return Schedule(
            self.schedule,
            milestones=self.milestones,
            gamma=0.1,
            warmup_steps=self.warmup_steps,
            warmup_start=1 / 3,
        )

    def groups(self, module: FineTuned) -> list[ParamGroup]:
        """Parameters of the tower that are not frozen, if any, and those of the head."""
        head = ParamGroup(list(module.head.parameters()), self.head_lr, self.weight_decay, self.course(), "head")
        return [*self.tower_group(module.trained(), self.lr), head]

    def tower_group(self, parameters: Sequence[nn.Parameter], lr: float) -> list[ParamGroup]:
        """The group of what a tower learns; none where it learns nothing."""
        return [ParamGroup(parameters, lr, self.weight_decay, self.course(), "tower")] if parameters else []

    def rows(self, context: Context) -> ClassAwareSampler | None:
        """The sampler asked for; None shuffles.

        Raises:
            UserError: rows are to be drawn class by class, and no class has an observed positive.
        """
        if self.sampler == "shuffle":
            return None
        observed = np.asarray(context.observed.numpy(), dtype=np.int8)
        if not bool((observed == 1).any()):
            raise UserError(
                "the class-aware sampler has nothing to draw: no class has an observed positive", "-o sampler=shuffle"
            )
        return ClassAwareSampler(observed, self.sampler_reduce, self.sampler_draws)

    def fine_tuning(
        self,
        name: str,
        module: FineTuned,
        context: Context,
        *,
        groups: Sequence[ParamGroup] | None = None,
        sampler: Sampler | None = None,
        augment: Augment | None = None,
        epochs: int | None = None,
    ) -> GradientStage:
        """The stage of these options.

        Args:
            module: tower, head and loss; it is given the memory layout that convolutions are fastest in.
            groups, sampler, augment, epochs: in place of what the options ask for.

        Raises:
            UserError: see :meth:`rows`.
        """
        # A quarter less time a step on CPUs; values differ in the last digits only.
        module.tower.to(memory_format=torch.channels_last)
        stage = self.stage(
            name,
            module,
            self.groups(module) if groups is None else groups,
            sampler=self.rows(context) if sampler is None else sampler,
            augment=augment,
            epochs=epochs,
            drop_last=self.drop_last,
            clip_norm=self.clip_norm,
        )
        # A module with a loss of its own says for itself whether its rows may be dealt.
        return dealt(stage, module.criterion) if type(module).loss is FineTuned.loss else stage
