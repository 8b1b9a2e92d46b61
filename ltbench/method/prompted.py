"""What methods that learn the words in front of class names share: options of the head, its bias, and their answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ltbench.method.batch import Batch, Scan, Stats
from ltbench.method.training import TrainingConfig
from ltbench.nn.answers import Score, answer
from ltbench.nn.classifiers import CosineHead
from ltbench.nn.conditional import ConditionalClassifier
from ltbench.nn.prompted import PromptClassifier


class PromptedConfig(TrainingConfig):
    """Options of a cosine head behind learned prompts. A method declares those again whose default is its own."""

    logit_bias: bool = Field(True, description="learn a bias that starts at the share of positives [ours]")
    learn_scale: bool = Field(False, description="learn the scale of the cosine [ours]")
    head_lr: float | None = Field(None, gt=0, description="learning rate of bias and log-scale; null: as lr [ours]")
    score: Score = Field(
        "logits",
        description="what images are ranked by: logits, or log p of the softmax over classes [CLIP, CoOp: softmax]",
    )
    images: Literal["backbone", "square"] = Field(
        "backbone",
        description="preprocessing of the backbone, or resized to a square with ImageNet's mean and deviation "
        "[LMPT's repository: square]",
    )

    def head(self, scale: float) -> CosineHead:
        """Scale and bias of the logits.

        Args:
            scale: where the scale of the cosine starts, the text tower's.
        """
        return CosineHead(scale, learn_scale=self.learn_scale, learn_bias=self.logit_bias)

    def centre(self, stats: Stats) -> float | None:
        """Mean logit that the bias is set to give before the first step: log-odds of a known label being positive."""
        return stats.log_odds if self.logit_bias else None


class Prompted(nn.Module):
    """A classifier of learned prompts whose bias is centred once, and what it answers.

    Args:
        classifier: gives the logits.
        centre: mean logit that the bias is set to give before the first epoch; None leaves the bias alone.
        score: what :meth:`logits` hands in. Training always sees the logits themselves.
    """

    def __init__(
        self,
        classifier: PromptClassifier | ConditionalClassifier,
        centre: float | None = None,
        score: Score = "logits",
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.centre = centre
        self.score = score

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Centre the logits once; later epochs and resumed runs have the bias in their state."""
        if epoch == 0 and self.centre is not None:
            self.classifier.centre(self.centring(scan), self.centre)

    def centring(self, scan: Scan) -> Iterator[Tensor]:
        """Features [n, D] that the mean logit is over: those of all training rows."""
        return (self.features(batch) for batch in scan())

    def features(self, batch: Batch) -> Tensor:
        """Global image features [n, D] of a batch."""
        return batch.features

    def logits(self, batch: Batch) -> Tensor:
        """The answer [n, C]: logits, or log p of their softmax over classes."""
        return answer(self.classifier(self.features(batch)), self.score)

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names."""
        self.classifier.set_classes(names)
