"""CoCoOp: context words that depend on the image, for several labels an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ltbench.method import (
    Choice,
    Context,
    Method,
    Needs,
    PromptedConfig,
    Scan,
    SearchSpace,
    Stage,
    Uniform,
    dealt,
    prompt_groups,
)
from ltbench.nn import ConditionalClassifier, ConditionalPrompts, MetaNet, PromptLearner, Score
from ltbench_baselines.common.prompts import LOSSES, CoOpModule


class CoCoOpModule(CoOpModule):
    """Conditional prompts, head and classification loss.

    Args:
        classifier: gives the logits.
        criterion: loss of logits [B, C] and labels [B, C].
        centre, score: see :class:`~ltbench.method.Prompted`.
        rows: number of training rows.
        centre_rows: the mean is over about so many of them, evenly spaced, since each costs C prompts.
    """

    def __init__(
        self,
        classifier: ConditionalClassifier,
        criterion: nn.Module,
        centre: float | None,
        rows: int,
        centre_rows: int = 128,
        score: Score = "logits",
    ) -> None:
        super().__init__(classifier, criterion, centre, score)
        self.stride = max(1, rows // centre_rows)

    def centring(self, scan: Scan) -> Iterator[Tensor]:
        """Features [n, D] of the rows that the mean logit is over."""
        for batch in scan():
            chosen = batch.features[batch.rows % self.stride == 0]
            if len(chosen):
                yield chosen


class CoCoOp(Method):
    """Learns M context vectors and a network that shifts them by the image, from image features and observed labels.

    The prompts of an image are ``[start] [v_1 + pi(x)] … [v_M + pi(x)] [name] . [end]`` with x its L2-normalised
    feature and pi a bottleneck of two layers. So each image has C prompts of its own: a step of B rows encodes B C
    texts, and so does prediction. Both towers stay frozen; prompts answer for classes first named at test.

    Source: Zhou et al., Conditional Prompt Learning for Vision-Language Models, CVPR 2022. The paper is about one label
    an image and trains with the softmax (``loss="softmax"``); for several labels the default is binary cross-entropy
    with a learned bias, as in ``coop``.
    """

    class Config(PromptedConfig):
        """Options of ``cocoop``. Sources in brackets; "ours" where the paper has no such option."""

        init: str | None = Field(
            "a photo of a", description="words it starts from; null: N(0, 0.02^2) [CoCoOp 4: these words]"
        )
        context_tokens: int = Field(4, ge=1, description="context vectors M [CoCoOp 4]")
        meta_hidden: int | None = Field(
            None, ge=1, description="hidden size of the meta network; null: a sixteenth of the feature's [CoCoOp 3.2]"
        )
        meta_start: Literal["random", "zero"] = Field(
            "random", description="its last layer at the start; zero: as coop [CoCoOp's code: random; ours]"
        )
        loss: Literal["bce", "asl", "softmax"] = Field("bce", description="classification loss [softmax: CoCoOp; ours]")
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [CoCoOp's code: SGD]")
        lr: float = Field(2e-3, gt=0, description="learning rate of context and meta network [CoCoOp 4]")
        momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD [CoCoOp's code]")
        weight_decay: float = Field(5e-4, ge=0, description="weight decay of context and meta network [CoCoOp's code]")
        epochs: int = Field(10, ge=1, description="passes over the training rows [CoCoOp 4]")
        batch_size: int = Field(1, ge=1, description="rows a step [CoCoOp 4]")
        chunk: int = Field(1024, ge=1, description="prompts that are encoded at a time; changes memory only [ours]")
        augment: Literal["none", "flip"] = Field("none", description="training views of an image")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Optimiser and rate, the start of the meta network, and whether the scale of the cosine is learned."""
        return {
            "lr": Uniform(3e-4, 1e-2, log=True),
            "optimizer": Choice(("adam", "adam", "sgd")),
            "learn_scale": Choice((False, True)),
            "meta_start": Choice(("random", "zero")),
        }

    def needs(self) -> Needs:
        """A text tower. Every loss skips unknown labels, so the task's policy stands; only logits of BCE are
        probabilities."""
        config = self.config
        calibrated = config.loss == "bce" and config.score == "logits"
        return Needs(input="global", text=True, classes="open", calibrated=calibrated, images=config.images)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        tower = context.backbone.text
        assert tower is not None
        learner = PromptLearner(
            tower, context.class_names, context_tokens=config.context_tokens, init=config.init, seed=context.seed
        )
        meta = MetaNet(context.backbone.card.dim, tower.width, config.meta_hidden, zero=config.meta_start == "zero")
        head = config.head(tower.logit_scale)
        module = CoCoOpModule(
            ConditionalClassifier(ConditionalPrompts(learner, meta, config.chunk), head),
            LOSSES[config.loss](),
            config.centre(context.stats),
            context.stats.rows,
            score=config.score,
        )
        groups = prompt_groups(config, [learner.ctx, *meta.parameters()], list(head.parameters()), config.head_lr)
        return [dealt(config.stage("train", module, groups), module.criterion)]
