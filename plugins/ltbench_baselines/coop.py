"""CoOp: learned context words in front of the class names, for several labels an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import AsymmetricLoss, BCELoss
from ltbench.method import (
    Batch,
    Choice,
    Context,
    Method,
    Needs,
    Scan,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    prompt_groups,
)
from ltbench.nn import ConditionalClassifier, CosineHead, PromptClassifier, PromptLearner


class MultiLabelSoftmaxLoss(nn.Module):
    """Cross-entropy of the softmax over known classes with a target that spreads its mass over the present ones.

    ``l = -(1 / |P|) sum_{p in P} log (exp s_p / sum_{k known} exp s_k)``, mean over rows with a present class; CoOp's
    Eq. 2 when there is exactly one. Unknown labels are in neither sum.
    """

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [B, C] against labels [B, C] in {-1, 0, +1}; 0 when no row has a present class."""
        present = labels > 0
        usable = present.any(dim=1)
        floor = torch.finfo(torch.float32).min / 8
        known = torch.where(labels == 0, floor, logits.float())[usable]
        target = present[usable].float()
        log_shares = torch.log_softmax(known, dim=1)
        elements = torch.where(target > 0, log_shares, 0.0) * target / target.sum(dim=1, keepdim=True)
        return -elements.sum() / max(1, len(elements))


LOSSES: dict[str, Callable[[], nn.Module]] = {"bce": BCELoss, "asl": AsymmetricLoss, "softmax": MultiLabelSoftmaxLoss}
"""Classification losses of learned prompts by name."""


class CoOpModule(nn.Module):
    """Prompts, head and classification loss.

    Args:
        classifier: gives the logits.
        criterion: loss of logits [B, C] and labels [B, C].
        centre: mean logit that the bias is set to give before the first epoch; None leaves the bias alone.
    """

    def __init__(
        self, classifier: PromptClassifier | ConditionalClassifier, criterion: nn.Module, centre: float | None
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.criterion = criterion
        self.centre = centre

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Centre the logits once; later epochs and resumed runs have the bias in their state."""
        if epoch == 0 and self.centre is not None:
            self.classifier.centre(self.centring(scan), self.centre)

    def centring(self, scan: Scan) -> Iterator[Tensor]:
        """Features [n, D] that the mean logit is over: those of all training rows."""
        return (batch.features for batch in scan())

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        logits: Tensor = self.classifier(batch.features)
        return logits

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The classification loss, mean over known labels (``softmax``: over rows with a present class)."""
        return {"loss_cls": self.criterion(self.logits(batch), batch.observed)}

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names."""
        self.classifier.set_classes(names)


class CoOp(Method):
    """Learns M context vectors in front of the class names, from image features and observed labels.

    Both towers stay frozen. With a shared context the prompts answer for classes first named at test.

    Source: Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022. The paper is about one label an image
    and trains with the softmax (``loss="softmax"``); for several labels the default here is binary cross-entropy with a
    learned bias, since CLIP's scaled cosines are about 20 for every class.
    """

    class Config(TrainingConfig):
        """Options of ``coop``. Sources in brackets; "ours" where the paper has no such option."""

        init: str | None = Field("a photo of a", description="words it starts from; null: N(0, 0.02^2) [CoOp 3.1]")
        context_tokens: int = Field(4, ge=1, description="context vectors M [CoOp 4.1: 4 or 16]")
        class_specific: bool = Field(False, description="a context of its own for each class [CoOp Eq. 3]")
        position: Literal["end", "middle", "front"] = Field("end", description="where the class name stands [CoOp 3.1]")
        loss: Literal["bce", "asl", "softmax"] = Field("bce", description="classification loss [softmax: CoOp; ours]")
        logit_bias: bool = Field(True, description="learn a bias that starts at the share of positives [ours]")
        learn_scale: bool = Field(False, description="learn the scale of the cosine [ours]")
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [CoOp 4.1: SGD]")
        lr: float = Field(2e-3, gt=0, description="learning rate of the context [CoOp 4.1]")
        head_lr: float | None = Field(None, gt=0, description="learning rate of bias and log-scale; null: as lr [ours]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [CoOp's code]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay of the context [CoOp's code]")
        epochs: int = Field(50, ge=1, description="passes over the training rows [CoOp 4.1: 50 to 200]")
        batch_size: int = Field(32, ge=1, description="rows a step [CoOp's code]")
        augment: Literal["none", "flip"] = Field("none", description="training views of an image")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Optimiser, its rate, and whether the scale of the cosine is learned."""
        return {
            "optimizer": Choice(("adam", "adam", "sgd")),
            "learn_scale": Choice((False, True)),
            "augment": Choice(("none", "flip")),
            "epochs": Choice((30, 60)),
            "lr": Uniform(3e-4, 1e-2, log=True),
        }

    def needs(self) -> Needs:
        """A text tower. Every loss skips unknown labels, so the task's policy stands; only BCE gives probabilities."""
        config = self.config
        return Needs(
            input="global",
            text=True,
            classes="fixed" if config.class_specific else "open",
            calibrated=config.loss == "bce",
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
            position=config.position,
            seed=context.seed,
        )
        head = CosineHead(tower.logit_scale, learn_scale=config.learn_scale, learn_bias=config.logit_bias)
        centre = context.stats.log_odds if config.logit_bias else None
        module = CoOpModule(PromptClassifier(prompts, head), LOSSES[config.loss](), centre)
        groups = prompt_groups(config, [prompts.ctx], list(head.parameters()), config.head_lr)
        return [config.stage("train", module, groups)]
