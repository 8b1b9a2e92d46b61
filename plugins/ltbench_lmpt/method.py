"""LMPT, variant ``paper``: prompts learned from images, labels and captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import cosine_distance
from ltbench.method import (
    Batch,
    Choice,
    Context,
    Method,
    Needs,
    Scan,
    SearchSpace,
    Stage,
    Stats,
    TrainingConfig,
    Uniform,
    prompt_groups,
)
from ltbench.nn import CosineHead, PromptClassifier, PromptLearner
from ltbench_lmpt.captions import CaptionFeatures, captions_of
from ltbench_lmpt.objectives import (
    CALIBRATED,
    LossName,
    SwitchableEmbeddingLoss,
    classification_loss,
)


class LMPTModule(nn.Module):
    """Prompts trained by ``lambda L_cls + (1 - lambda) L_cse``, or by L_cls alone without captions.

    Args:
        classifier: gives class features and logits.
        criterion: classification loss of logits [B, C] and labels [B, C].
        embedding_loss: loss of distances [B, C] between captions and classes and of labels; None for L_cls alone.
        captions: features of training captions.
        weight: lambda.
        centre: mean logit that the bias is set to give before the first epoch; None leaves the bias alone.
    """

    def __init__(
        self,
        classifier: PromptClassifier,
        criterion: nn.Module,
        embedding_loss: nn.Module | None,
        captions: CaptionFeatures,
        weight: float,
        centre: float | None,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.criterion = criterion
        self.embedding_loss = embedding_loss
        self.captions = captions
        self.weight = weight
        self.centre = centre

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Encode all captions, on the first epoch of this process; centre the logits, on the first of the run."""
        if self.embedding_loss is not None:
            self.captions.collect(scan)
        if epoch == 0 and self.centre is not None:
            self.classifier.centre((batch.features for batch in scan()), self.centre)

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]; captions are not looked at."""
        logits: Tensor = self.classifier(batch.features)
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss_cls`` and, with captions, ``loss_cse``; each carries its factor.

        Raises:
            ValueError: captions are needed and the batch has none.
        """
        classes = self.classifier.class_features()
        classification: Tensor = self.criterion(self.classifier(batch.features, classes), batch.observed)
        if self.embedding_loss is None:
            return {"loss_cls": classification}
        distances = cosine_distance(self.captions.lookup(captions_of(batch)), classes)
        embedding: Tensor = self.embedding_loss(distances, batch.observed)
        return {"loss_cls": self.weight * classification, "loss_cse": (1.0 - self.weight) * embedding}

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names."""
        self.classifier.set_classes(names)


class LMPT(Method):
    """Learns M context vectors from image features, observed labels and one caption a training image.

    ``L = lambda L_cls + (1 - lambda) L_cse`` (Eq. 11, whose parenthesis is misprinted). L_cls is the
    distribution-balanced loss of Eq. 8 to 10 with focal modulation of each element, summed over classes and averaged
    over images. L_cse (Eq. 3 to 7) takes ``1 - cos`` of the encoded caption and the class's text feature, pulls the
    classes of an image to its caption and pushes the others beyond a margin that is larger for rarer classes; summed
    over classes, averaged over images. Both towers stay frozen, the image tower in evaluation mode.

    Source: Xia et al., LMPT: Prompt Tuning with Class-Specific Embedding Loss for Long-Tailed Multi-Label Visual
    Recognition, 2023, sections 3.3 to 3.5 and 4.2. Where the paper is silent the authors' repository is followed; the
    card lists where the two differ.
    """

    class Config(TrainingConfig):
        """Options of ``lmpt``. Sources in brackets; "ours" where the paper has no such option."""

        init: str | None = Field("a photo of a", description="words the context starts from; null: N(0, 0.02^2) [4.3]")
        context_tokens: int = Field(4, ge=1, description="context vectors M [4.3, Table 4]")
        class_specific: bool = Field(False, description="a context of its own for each class [repository]")
        loss: LossName = Field("db-focal", description="classification loss [Eq. 8 to 10; Table 2]")
        reduction: Literal["per-image", "mean"] = Field(
            "per-image", description="sum over classes and mean over images, or mean over known labels [3.5]"
        )
        lambda_cls: float = Field(0.5, ge=0, le=1, description="lambda, weight of L_cls [4.2]")
        focal_gamma: float = Field(2.0, ge=0, description="exponent of the focal modulation [DB loss]")
        alpha: float = Field(0.1, ge=0, description="offset of the rebalanced weight [DB loss]")
        beta: float = Field(10.0, ge=0, description="slope of the rebalanced weight [DB loss]")
        theta: float = Field(0.3, ge=0, description="centre of the rebalanced weight [DB loss: 0.3 VOC, 0.2 COCO]")
        kappa: float = Field(0.05, ge=0, description="scale of the class-specific bias [DB loss]")
        neg_scale: float = Field(5.0, gt=0, description="zeta, scale of negative logits [DB loss: 5 VOC, 2 COCO]")
        normalise: Literal["all", "present"] = Field(
            "all", description="classes over which 1/n is normalised: all [Eq. 8] or those in the image [DB loss]"
        )
        use_cse: bool = Field(True, description="use the class-specific embedding loss; needs captions [Table 3]")
        eta: float = Field(1.0, ge=0, description="margin of a class with one image [4.2]")
        cse_gamma: float = Field(1.0, ge=0, description="gamma of Eq. 5, exponent of the class weights [4.2]")
        class_aware_margin: bool = Field(True, description="margin eta n^(-1/4), else eta for all [Eq. 4, Table 3]")
        reweighting: bool = Field(True, description="weights of Eq. 5, else 1 for all [Table 3]")
        logit_bias: bool = Field(False, description="learn a bias that starts at the share of positives [ours]")
        learn_scale: bool = Field(False, description="learn the scale of the cosine [ours]")
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [4.2]")
        lr: float = Field(5e-4, gt=0, description="learning rate of the context [4.2: 5e-4 VOC-LT, 1e-4 COCO-LT]")
        head_lr: float | None = Field(None, gt=0, description="learning rate of bias and log-scale; null: as lr [ours]")
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
        """A text tower, and captions for L_cse.

        No unknown policy of its own: every loss here skips unknown labels, so that ``ignore`` is sound on partial
        labels, and the tasks that observe positives only assume the rest negative by themselves.
        """
        config = self.config
        return Needs(
            input="global",
            text=True,
            captions=config.use_cse,
            classes="fixed" if config.class_specific else "open",
            calibrated=config.loss in CALIBRATED,
        )

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        tower = context.backbone.text
        assert tower is not None
        prompts = PromptLearner(
            tower,
            context.class_names,
            context_tokens=config.context_tokens,
            init=config.init,
            class_specific=config.class_specific,
            seed=context.seed,
        )
        head = CosineHead(tower.logit_scale, learn_scale=config.learn_scale, learn_bias=config.logit_bias)
        module = LMPTModule(
            PromptClassifier(prompts, head),
            self._criterion(context.stats),
            self._embedding_loss(context.stats),
            # A function, not the bound method: a copy of the module must not copy the tower.
            CaptionFeatures(lambda texts: tower.encode(texts)),
            config.lambda_cls,
            context.stats.log_odds if config.logit_bias else None,
        )
        groups = prompt_groups(config, [prompts.ctx], list(head.parameters()), config.head_lr)
        return [config.stage("train", module, groups)]

    def _criterion(self, stats: Stats) -> nn.Module:
        config = self.config
        return classification_loss(
            config.loss,
            stats,
            reduction=config.reduction,
            focal_gamma=config.focal_gamma,
            alpha=config.alpha,
            beta=config.beta,
            theta=config.theta,
            kappa=config.kappa,
            neg_scale=config.neg_scale,
            normalise=config.normalise,
        )

    def _embedding_loss(self, stats: Stats) -> nn.Module | None:
        config = self.config
        if not config.use_cse:
            return None
        return SwitchableEmbeddingLoss(
            torch.from_numpy(stats.usable_positives),
            eta=config.eta,
            gamma=config.cse_gamma,
            class_aware_margin=config.class_aware_margin,
            reweighting=config.reweighting,
        )
