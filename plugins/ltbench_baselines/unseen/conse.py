"""CONSE: an image is placed among the word vectors by the seen classes that it looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import (
    Batch,
    Choice,
    Context,
    Method,
    Needs,
    Scan,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    dealt,
)
from ltbench_baselines.common.probe import ProbeModule
from ltbench_baselines.unseen.visual_semantic import OpenWordVectorConfig, Words


def convex_combination(probabilities: Tensor, vectors: Tensor, top: int) -> Tensor:
    """``f = sum_t p_t v_t / sum_t p_t`` over the `top` most probable of the seen classes.

    Args:
        probabilities: of the seen classes, [n, S].
        vectors: of their names, [S, W].
        top: T; more than S means S.

    Returns:
        [n, W].
    """
    shares, chosen = probabilities.topk(min(top, probabilities.shape[1]), dim=1)
    shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    return torch.einsum("nt,ntw->nw", shares, vectors[chosen])


def cosines(embeddings: Tensor, vectors: Tensor) -> Tensor:
    """Cosines [n, C] of embeddings [n, W] with vectors of names [C, W]."""
    return normalize(embeddings, dim=1) @ normalize(vectors, dim=1).T


class ConvexModule(nn.Module):
    """Classifiers of the seen classes, and what they say about any class by its word vector.

    Args:
        probe: logits of the seen classes.
        lookup: gives the vectors of names.
        names: the seen classes.
        top: see :func:`convex_combination`.
    """

    seen: Tensor
    words: Tensor

    def __init__(self, probe: ProbeModule, lookup: Words, names: Sequence[str], top: int) -> None:
        super().__init__()
        self.probe = probe
        self._lookup = lookup
        self.top = top
        # No state: the vectors follow from the names.
        self.register_buffer("seen", lookup(names), persistent=False)
        self.register_buffer("words", self.seen, persistent=False)

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on; the classifiers stay those of the seen ones."""
        self.words = self._lookup(names).to(self.seen.device)

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """The classifiers measure the scale of the features."""
        self.probe.on_epoch_start(epoch, scan)

    def logits(self, batch: Batch) -> Tensor:
        """Cosines [n, C]: they rank, and are no log-odds."""
        probabilities = self.probe.logits(batch).sigmoid()
        return cosines(convex_combination(probabilities, self.seen, self.top), self.words)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Binary cross-entropy of the seen classes over known labels."""
        return self.probe.loss(batch)


class ConSE(Method):
    """One logistic regression a seen class on frozen global features; a class is scored by its name alone.

    Source: Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings (ConSE), ICLR 2014, which
    has one label an image and a softmax; with several labels the probabilities are sigmoids here (ours).
    """

    class Config(OpenWordVectorConfig, TrainingConfig):
        """Options of ``conse``. Sources in brackets: paper, or "ours"."""

        top: int = Field(10, ge=1, description="T: seen classes that an image is combined from [paper: 1, 10, 1000]")
        features: Literal["l2", "scaled"] = Field(
            "scaled", description="divide each feature by its own norm, or all by the root mean square training norm"
        )
        optimizer: Literal["sgd", "adam", "adamw"] = Field("adamw", description="optimiser [ours]")
        lr: float = Field(1e-2, gt=0, description="learning rate [ours]")
        epochs: int = Field(30, ge=1, description="passes over the training rows [ours]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """T, and what the classifiers are sensitive to."""
        return {
            "top": Choice((3, 5, 10)),
            "lr": Uniform(1e-3, 1e-1, log=True),
            "weight_decay": Uniform(1e-6, 1e-2, log=True),
        }

    def needs(self) -> Needs:
        """Frozen features, and a text tower where class names go through it. The loss skips unknown labels."""
        config = self.config
        return Needs(input="global", text=config.text(), extras=config.extras(), classes="open", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over the classifiers of the seen classes.

        Raises:
            UserError: the file of word vectors lacks a word.
        """
        config = self.config
        probe = ProbeModule(context.backbone.card.dim, context.stats, config.features)
        module = ConvexModule(probe, Words(config, context), context.class_names, config.top)
        groups = probe.groups(config.lr, config.weight_decay, Schedule("cosine"))
        return [dealt(config.stage("classify", module, groups), module.probe.criterion)]
