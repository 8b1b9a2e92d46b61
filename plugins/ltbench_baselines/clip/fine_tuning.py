"""Fine-tuning of CLIP's whole image tower: the shared trainer, with a head that may begin at zero-shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, FineTuned, GradientStage, Needs, Scan, Stage
from ltbench.nn import LinearHead, Score, Tower, answer, ensemble_features
from ltbench.plugin import UserError
from ltbench_baselines.common.fine_tune import FineTune
from ltbench_baselines.common.losses_by_name import PROPER

CENTRE_ROWS = 128
"""The mean logit that the bias of a text head starts from is over about so many training rows, evenly spaced."""


class FineTunedCLIP(FineTuned):
    """An image tower under training, its head, and what it answers.

    Args:
        backbone, head, criterion, batch_norm, freeze: see :class:`~ltbench.method.FineTuned`.
        score: what :meth:`logits` hands in. Training always sees the logits themselves.
        centre: mean logit that all biases together are moved to before the first epoch; None leaves them alone.
        rows: number of training rows.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: nn.Module,
        criterion: nn.Module,
        batch_norm: Literal["eval", "train"] = "eval",
        freeze: Sequence[str] = (),
        *,
        score: Score = "logits",
        centre: float | None = None,
        rows: int = 1,
    ) -> None:
        super().__init__(backbone, head, criterion, batch_norm, freeze)
        self.score = score
        self.centre = centre
        self.stride = max(1, rows // CENTRE_ROWS)

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Centre the logits once; one number for all classes, so that no answer of the softmax changes."""
        if epoch > 0 or self.centre is None:
            return
        total, count = 0.0, 0
        for batch in scan():
            images = batch.features[batch.rows % self.stride == 0]
            if len(images):
                logits = self.head(self._backbone.encode_global(images))
                total += float(logits.double().sum())
                count += logits.numel()
        if count:
            assert isinstance(self.head, LinearHead)
            self.head.linear.bias.add_(self.centre - total / count)

    def logits(self, batch: Batch) -> Tensor:
        """The answer [n, C] to images [n, 3, H, W]: logits, or log p of their softmax over classes."""
        return answer(self.head(self.features(batch)), self.score)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss of the logits."""
        return {"loss_cls": self.criterion(self.head(self.features(batch)), batch.observed)}


def text_head(tower: Tower, names: Sequence[str]) -> LinearHead:
    """A linear head on normalised features whose logits are those of zero-shot CLIP, biases 0.

    The weights are ``scale t_c`` with t_c the normalised text feature of "a photo of a c." and scale the tower's.
    """
    texts = ensemble_features(tower, names)
    head = LinearHead(texts.shape[1], len(names), normalise=True)
    with torch.no_grad():
        head.linear.weight.copy_(tower.logit_scale * texts)
    return head


class CLIPFineTuning(FineTune):
    """Learns all weights of CLIP's image tower and a linear head from images and observed labels.

    ``head_init=text`` starts from the class texts, so that the first answer is zero-shot's, as the first rows of
    LMPT's Table 7 are near it; ``random`` as its released script does.
    """

    class Config(FineTune.Config):
        """Options of ``full-fine-tuning``. Sources in brackets; "ours" where nothing states one."""

        head_init: Literal["random", "text"] = Field(
            "random",
            description="head: drawn, or scale times the text features of 'a photo of a …' on normalised features, one "
            "bias moved to the share of positives [released script: random; LMPT's Table 7 starts near zero-shot]",
        )
        score: Score = Field(
            "logits",
            description="what images are ranked by: logits, or log p of the softmax over classes [LMPT: softmax]",
        )
        images: Literal["backbone", "square"] = Field(
            "backbone",
            description="preprocessing of the backbone, or resized to a square with ImageNet's mean and deviation "
            "[LMPT's repository: square]",
        )

    config: Config

    def needs(self) -> Needs:
        """Images, and a text tower where the head starts from texts; the task's policy stands for unknown labels."""
        config = self.config
        proper = config.loss in PROPER and config.sampler == "shuffle"
        return Needs(
            input="image",
            text=config.head_init == "text",
            classes="fixed",
            calibrated=proper and config.score == "logits",
            images=config.images,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower and head.

        Raises:
            UserError: a head that starts from texts is asked for biases of each class's own, or for a neck before it.
        """
        config, backbone = self.config, context.backbone
        (stage,) = super().stages(context)
        assert isinstance(stage, GradientStage)
        assert isinstance(stage.module, FineTuned)
        head, centre = stage.module.head, None
        if config.head_init == "text":
            if config.head_prior == "observed":
                raise UserError("head_init=text has one bias for all classes to start from", "-o head_prior=even")
            if not isinstance(head, LinearHead):
                raise UserError(
                    "head_init=text compares features with texts, so that no neck fits before it", "no neck"
                )
            assert backbone.text is not None
            head, centre = text_head(backbone.text, context.class_names), context.stats.log_odds
        module = FineTunedCLIP(
            backbone,
            head,
            stage.module.criterion,
            config.batch_norm,
            config.freeze,
            score=config.score,
            centre=centre,
            rows=context.stats.rows,
        )
        return [replace(stage, module=module, param_groups=config.groups(module))]
