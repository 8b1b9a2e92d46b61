"""Zero-shot recognition by a map from image features into the space of word vectors: what such methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.losses import MultiLabelLoss
from ltbench.method import (
    Batch,
    Context,
    Method,
    Needs,
    ParamGroup,
    Schedule,
    SearchSpace,
    Stage,
    TrainingConfig,
    Uniform,
    WordVectorConfig,
    dealt,
)
from ltbench_baselines.common.places import chosen_rows


class Words:
    """Looks up the normalised vectors of class names, for the seen classes and for those first named at test.

    Args:
        config: says where vectors come from.
        context: whose text tower is used. Its labels are let go: a module must not carry them.
    """

    def __init__(self, config: WordVectorConfig, context: Context) -> None:
        self._config = config
        self._context = replace(context, observed=torch.zeros((0, 0), dtype=torch.int8), validation=None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        # The tower is frozen and shared by whoever copies a module.
        return self

    def __call__(self, names: Sequence[str]) -> Tensor:
        """Unit vectors float32 [C, W].

        Raises:
            UserError: the file of word vectors lacks a word.
        """
        return normalize(self._config.vectors(replace(self._context, class_names=tuple(names))), dim=1)


class Head(nn.Module, ABC):
    """Scores of classes from image features and word vectors, and the loss they are trained with.

    Args:
        criterion: loss of scores [B, C] and labels [B, C].
    """

    def __init__(self, criterion: MultiLabelLoss) -> None:
        super().__init__()
        self.criterion = criterion

    @property
    def criteria(self) -> tuple[nn.Module, ...]:
        """Losses that :meth:`losses` adds up; one that is told of no machine looks at whole batches."""
        return (self.criterion,) if type(self).losses is Head.losses else (nn.Identity(),)

    @abstractmethod
    def forward(self, batch: Batch, words: Tensor) -> Tensor:
        """Scores [n, C] of a batch for classes of unit word vectors [C, W]."""

    def losses(self, batch: Batch, words: Tensor) -> dict[str, Tensor]:
        """Named terms of the loss over known labels."""
        return {"loss_rank": self.criterion(self(batch, words), batch.observed)}


class VisualSemantic(nn.Module):
    """A head and the word vectors of the classes it answers for.

    Args:
        head: scores classes by their word vectors.
        lookup: gives the vectors of names.
        names: the seen classes.
    """

    words: Tensor

    def __init__(self, head: Head, lookup: Words, names: Sequence[str]) -> None:
        super().__init__()
        self.head = head
        self._lookup = lookup
        # No state: the vectors follow from the names.
        self.register_buffer("words", lookup(names), persistent=False)

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on."""
        self.words = self._lookup(names).to(self.words.device)

    def logits(self, batch: Batch) -> Tensor:
        """Scores [n, C]: they rank, and are no log-odds."""
        scores: Tensor = self.head(batch, self.words)
        return scores

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the head over the rows that have a known label.

        The others are left out before the head sees them: batch normalisation would let them move its statistics.
        """
        known = (batch.observed != 0).any(dim=1)
        if not bool(known.any()):
            return {"loss_rank": torch.stack([0.0 * parameter.sum() for parameter in self.parameters()]).sum()}
        return self.head.losses(batch if bool(known.all()) else chosen_rows(batch, known), self.words)


class OpenWordVectorConfig(WordVectorConfig):
    """Word vectors of names that are first heard at test; one-hot vectors cannot name those."""

    words: Literal["text", "glove"] = Field(
        "text", description="vectors of class names: the text tower's, or a file of word vectors [ours: text]"
    )


class VisualSemanticConfig(OpenWordVectorConfig, TrainingConfig):
    """Options of training that all share. No paper states them for frozen features of these encoders."""

    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [ours]")
    lr: float = Field(1e-3, gt=0, description="learning rate [ours]")
    weight_decay: float = Field(0.0, ge=0, description="weight decay [ours]")
    batch_size: int = Field(32, ge=1, description="rows a step [LESA, BiAM and SDL releases]")
    schedule: Literal["constant", "cosine", "onecycle"] = Field(
        "cosine", description="how the rate falls; onecycle rises over a tenth of the steps first [ours]"
    )

    def training(self, module: VisualSemantic) -> Stage:
        """The gradient stage over everything the head learns."""
        schedule = Schedule(self.schedule, peak=0.1)
        group = ParamGroup(list(module.parameters()), self.lr, self.weight_decay, schedule, "head")
        stage = self.stage("align", module, [group])
        found = dealt(stage, *module.head.criteria)
        # Rows without a known label are left out of every mean.
        return replace(found, reduction="labelled") if found.reduction == "rows" else found


class VisualSemanticMethod(Method):
    """Learns a head on frozen features. Subclasses name the input and build the head."""

    INPUT: ClassVar[Literal["global", "region"]] = "global"
    config: VisualSemanticConfig

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rate and weight decay; the constants of the papers stay."""
        return {"lr": Uniform(1e-4, 1e-2, log=True), "weight_decay": Uniform(1e-6, 1e-2, log=True)}

    def needs(self) -> Needs:
        """Frozen features, and a text tower where class names go through it. The losses skip unknown labels."""
        return Needs(
            input=self.INPUT,
            text=self.config.text(),
            extras=self.config.extras(),
            classes="open",
            calibrated=False,
        )

    @abstractmethod
    def head(self, dim: int, width: int, pooled: int) -> Head:
        """The head.

        Args:
            dim: size of an input feature, of a region where the input is regions.
            width: size of a word vector.
            pooled: size of the global feature.
        """

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over the head.

        Raises:
            UserError: the file of word vectors lacks a word.
        """
        lookup = Words(self.config, context)
        width = lookup(context.class_names).shape[1]
        card = context.backbone.card
        dim = card.dim if self.INPUT == "global" else card.region_dim
        assert dim is not None, "the needs of the method ask for regions"
        return [self.config.training(VisualSemantic(self.head(dim, width, card.dim), lookup, context.class_names))]
