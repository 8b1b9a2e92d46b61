"""LMPT: prompts learned from images, labels and captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ltbench.method import (
    Choice,
    Context,
    Method,
    Needs,
    PromptedConfig,
    SearchSpace,
    Stage,
    Uniform,
    dealt,
    prompt_groups,
)
from ltbench.nn import PromptClassifier, PromptLearner, Score, Tower
from ltbench.plugin.errors import UserError
from ltbench_lmpt.module import CaptionLoss, EncodedCaptions, LMPTModule, TokenCaptions
from ltbench_lmpt.objectives import CALIBRATED, LossName, SwitchableEmbeddingLoss, WeightSum, classification_loss
from ltbench_lmpt.tower import DriftingTower


class LMPT(Method):
    """Learns M context vectors from images, observed labels and one caption a training image.

    ``L = lambda L_cls + (1 - lambda) L_cse`` (Eq. 11, whose parenthesis is misprinted). The variant chooses the
    formulas, presets choose the settings; both towers stay frozen.

    Variant ``paper``: L_cls is the distribution-balanced loss of Eq. 8 to 10 with focal modulation of each element,
    summed over classes and averaged over images. L_cse (Eq. 3 to 7) takes ``1 - cos`` of the encoded caption and the
    class's text feature, pulls the classes of an image to its caption and pushes the others beyond a margin that is
    larger for rarer classes; summed over classes, averaged over images.

    Variant ``code``: the released code repaired in the least way that runs. L_cls has one focal factor a batch; L_cse
    compares token embeddings position by position, pushes the classes of an image away from its caption and pulls the
    others; both are means.

    Source: Xia et al., LMPT: Prompt Tuning with Class-Specific Embedding Loss for Long-Tailed Multi-Label Visual
    Recognition, 2023, sections 3.3 to 3.5, 4.2 and 6 to 8. Where the paper is silent the authors' repository is
    followed; the card lists where the two differ.
    """

    class Config(PromptedConfig):
        """Options of ``lmpt``. Sources in brackets; "ours" where neither paper nor repository has such an option."""

        init: str | None = Field("a photo of a", description="words the context starts from; null: N(0, 0.02^2) [4.3]")
        context_tokens: int = Field(4, ge=1, description="context vectors M [4.3, Table 4]")
        class_specific: bool = Field(False, description="a context of its own for each class [repository]")
        position: Literal["end", "middle", "front"] = Field("end", description="where the class name stands [Eq. 1]")
        cse_tokens: int | None = Field(
            None,
            ge=0,
            description="m, context vectors next to the name that L_cse uses; null: all M [Table 6; variant paper]",
        )
        cse_skip: int | None = Field(
            None,
            ge=0,
            description="m, leading prompt positions that L_cse leaves out; null: 4 [repository; variant code]",
        )
        loss: LossName = Field("db-focal", description="classification loss [Eq. 8 to 10; Table 2]")
        reduction: Literal["per-image", "mean"] | None = Field(
            None,
            description="sum over classes and mean over images, or mean over known labels; "
            "null: per-image [3.5, variant paper], mean [variant code]",
        )
        lambda_cls: float = Field(0.5, ge=0, le=1, description="lambda, weight of L_cls [4.2]")
        focal_gamma: float = Field(2.0, ge=0, description="exponent of the focal modulation [DB loss]")
        alpha: float = Field(0.1, ge=0, description="offset of the rebalanced weight [DB loss]")
        beta: float = Field(10.0, ge=0, description="slope of the rebalanced weight [DB loss]")
        theta: float = Field(0.3, ge=0, description="centre of the rebalanced weight [DB loss: 0.3 VOC, 0.2 COCO]")
        kappa: float = Field(0.05, ge=0, description="scale of the class-specific bias [DB loss]")
        neg_scale: float = Field(5.0, gt=0, description="zeta, scale of negative logits [DB loss: 5 VOC, 2 COCO]")
        normalise: Literal["all", "present"] | None = Field(
            None,
            description="classes over which 1/n is normalised; "
            "null: all [Eq. 8, variant paper], those present in the image [DB loss, variant code]",
        )
        use_cse: bool = Field(True, description="use the class-specific embedding loss; needs captions [Table 3]")
        eta: float | None = Field(
            None, ge=0, description="margin of a class with one image; null: 1 [4.2, variant paper], 0.2 [variant code]"
        )
        cse_gamma: float | None = Field(
            None, ge=0, description="exponent of the class weights of Eq. 5; null: 1 [4.2], 2 [variant code]"
        )
        class_aware_margin: bool = Field(True, description="margin eta n^(-1/4), else eta for all [Eq. 4, Table 3]")
        reweighting: bool = Field(True, description="weights of Eq. 5, else 1 for all [Table 3]")
        weight_sum: WeightSum = Field(
            "one",
            description="weights of Eq. 5 sum to one [Eq. 5], or to the number of classes, which makes L_cse C "
            "times as large [ours]",
        )
        logit_bias: bool = Field(False, description="learn a bias that starts at the share of positives [ours]")
        score: Score = Field(
            "softmax",
            description="what images are ranked by: log p of the softmax over classes [Eq. 2, repository], or logits",
        )
        batch_norm: Literal["frozen", "drift"] = Field(
            "frozen",
            description="statistics of the image tower: those of pre-training [3.2], or moved by training batches, "
            "which needs images instead of cached features [repository, RN50]",
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [4.2]")
        lr: float = Field(5e-4, gt=0, description="learning rate of the context [4.2: 5e-4 VOC-LT, 1e-4 COCO-LT]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [repository]")
        weight_decay: float = Field(1e-4, ge=0, description="weight decay of the context [repository]")
        epochs: int = Field(30, ge=1, description="passes over the training rows [4.2]")
        batch_size: int = Field(64, ge=1, description="rows a step [repository]")
        augment: Literal["none", "flip"] = Field("none", description="training views of an image [repository: flip]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Adam with a learned bias, as small encoders ask for; the search starts from the paper's own setting."""
        return {
            "optimizer": Choice(("adam",)),
            "logit_bias": Choice((True,)),
            "loss": Choice(("db",)),
            "augment": Choice(("none", "flip")),
            "epochs": Choice((30, 60)),
            "learn_scale": Choice((False, True)),
            "neg_scale": Choice((1.0, 2.0, 5.0)),
            "normalise": Choice(("all", "present")),
            "lambda_cls": Choice((0.5, 0.8)),
            "lr": Uniform(3e-4, 1e-2, log=True),
        }

    def needs(self) -> Needs:
        """A text tower, captions for L_cse, and images where batch normalisation drifts.

        No unknown policy of its own: every loss here skips unknown labels, so that ``ignore`` is sound on partial
        labels, and the tasks that observe positives only assume the rest negative by themselves.
        """
        config = self.config
        return Needs(
            input="image" if config.batch_norm == "drift" else "global",
            text=True,
            captions=config.use_cse,
            classes="fixed" if config.class_specific else "open",
            calibrated=config.loss in CALIBRATED and config.score == "logits",
            images=config.images,
            without_captions="use_cse=false",
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage.

        Raises:
            UserError: options that contradict each other, the variant, or the encoder.
        """
        config = self.config
        tower = context.backbone.text
        assert tower is not None
        prompts = PromptLearner(
            tower,
            context.class_names,
            context_tokens=config.context_tokens,
            init=config.init,
            class_specific=config.class_specific,
            position=config.position,
            seed=context.seed,
        )
        head = config.head(tower.logit_scale)
        module = LMPTModule(
            PromptClassifier(prompts, head),
            self._criterion(context),
            self._embedding(context, tower) if config.use_cse else None,
            config.lambda_cls,
            config.centre(context.stats),
            DriftingTower(context.backbone) if config.batch_norm == "drift" else None,
            config.score,
        )
        groups = prompt_groups(config, [prompts.ctx], list(head.parameters()), config.head_lr)
        criteria = [module.criterion, *([] if module.embedding is None else [module.embedding.loss])]
        return [dealt(config.stage("train", module, groups), *criteria, complete=context.stats.told is None)]

    def _criterion(self, context: Context) -> nn.Module:
        config = self.config
        return classification_loss(
            config.loss,
            context.stats,
            variant=context.variant,
            reduction=config.reduction,
            focal_gamma=config.focal_gamma,
            alpha=config.alpha,
            beta=config.beta,
            theta=config.theta,
            kappa=config.kappa,
            neg_scale=config.neg_scale,
            normalise=config.normalise,
        )

    def _embedding(self, context: Context, tower: Tower) -> CaptionLoss:
        config = self.config
        loss = SwitchableEmbeddingLoss(
            torch.from_numpy(context.stats.usable_positives),
            class_aware_margin=config.class_aware_margin,
            reweighting=config.reweighting,
            eta=config.eta,
            gamma=config.cse_gamma,
            weight_sum=config.weight_sum,
            variant=context.variant,
        )
        if context.variant == "code":
            if config.cse_tokens is not None:
                raise UserError("the released code has no cse_tokens, it leaves leading positions out", "-o cse_skip=…")
            skip = 4 if config.cse_skip is None else config.cse_skip
            if skip >= tower.context_length:
                raise UserError(
                    f"cse_skip is {skip}, and prompts of this backbone have {tower.context_length} positions",
                    "a smaller cse_skip",
                )
            return TokenCaptions(loss, tower, skip)
        if config.cse_skip is not None:
            raise UserError("the paper leaves no positions out, it uses m context vectors", "-o cse_tokens=…")
        if config.cse_tokens is not None and config.cse_tokens > config.context_tokens:
            raise UserError(
                f"cse_tokens is {config.cse_tokens}, and there are {config.context_tokens} context vectors (m <= M)",
                f"-o cse_tokens={config.context_tokens}",
            )
        # All of them: the text features that the logits are made of serve for both.
        keep = None if config.cse_tokens == config.context_tokens else config.cse_tokens
        return EncodedCaptions(loss, tower, keep)
