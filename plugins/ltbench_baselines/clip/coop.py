"""CoOp: learned context words in front of the class names, for several labels an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

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
from ltbench.nn import PromptClassifier, PromptLearner
from ltbench_baselines.common.prompts import LOSSES, CoOpModule


class CoOp(Method):
    """Learns M context vectors in front of the class names, from image features and observed labels.

    Both towers stay frozen. With a shared context the prompts answer for classes first named at test.

    Source: Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022. The paper is about one label an image
    and trains with the softmax (``loss="softmax"``); for several labels the default here is binary cross-entropy with a
    learned bias, since CLIP's scaled cosines are about 20 for every class.
    """

    class Config(PromptedConfig):
        """Options of ``coop``. Sources in brackets; "ours" where the paper has no such option."""

        init: str | None = Field("a photo of a", description="words it starts from; null: N(0, 0.02^2) [CoOp 3.1]")
        context_tokens: int = Field(4, ge=1, description="context vectors M [CoOp 4.1: 4 or 16]")
        class_specific: bool = Field(False, description="a context of its own for each class [CoOp Eq. 3]")
        position: Literal["end", "middle", "front"] = Field("end", description="where the class name stands [CoOp 3.1]")
        loss: Literal["bce", "asl", "softmax"] = Field("bce", description="classification loss [softmax: CoOp; ours]")
        optimizer: Literal["sgd", "adam", "adamw"] = Field("sgd", description="optimiser [CoOp 4.1: SGD]")
        lr: float = Field(2e-3, gt=0, description="learning rate of the context [CoOp 4.1]")
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
        """A text tower. All losses skip unknown labels: the task's policy stands. Logits of BCE are probabilities."""
        config = self.config
        return Needs(
            input="global",
            text=True,
            classes="fixed" if config.class_specific else "open",
            calibrated=config.loss == "bce" and config.score == "logits",
            images=config.images,
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
        head = config.head(tower.logit_scale)
        module = CoOpModule(
            PromptClassifier(prompts, head), LOSSES[config.loss](), config.centre(context.stats), config.score
        )
        groups = prompt_groups(config, [prompts.ctx], list(head.parameters()), config.head_lr)
        return [dealt(config.stage("train", module, groups), module.criterion)]
