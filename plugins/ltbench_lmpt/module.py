"""What LMPT trains: prompts under a classification loss and, with captions, the class-specific embedding loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ltbench.losses import cosine_distance, token_cosine_distance
from ltbench.method import Batch, Prompted, Scan
from ltbench.nn import PromptClassifier, Score, Shared, Tower
from ltbench_lmpt.captions import CaptionFeatures, CaptionTable, CaptionTokens, captions_of
from ltbench_lmpt.tower import DriftingTower

CHARACTERS = 75
"""How much of a caption the released code reads."""


class CaptionLoss(nn.Module, ABC):
    """The class-specific embedding loss of a batch with captions.

    Args:
        loss: of distances and labels [B, C].
        captions: what is known of each training caption.
    """

    def __init__(self, loss: nn.Module, captions: CaptionTable) -> None:
        super().__init__()
        self.loss = loss
        self.captions = captions

    @abstractmethod
    def forward(self, batch: Batch, classifier: PromptClassifier, classes: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            classifier: holds the prompts.
            classes: L2-normalised text features [C, D] of the whole prompts.

        Raises:
            ValueError: the batch has no captions.
        """


class EncodedCaptions(CaptionLoss):
    """Variant ``paper``: distance of the encoded caption and the text feature of the class prompt.

    Args:
        tower: frozen text tower; used, not owned.
        keep: the last context vectors that the text feature is taken of (m); None takes all, at no extra cost.
    """

    def __init__(self, loss: nn.Module, tower: Tower, keep: int | None = None) -> None:
        # A function, not the bound method: a copy of the module must not copy the tower.
        super().__init__(loss, CaptionFeatures(lambda texts: tower.encode(texts)))
        self.keep = keep

    def forward(self, batch: Batch, classifier: PromptClassifier, classes: Tensor) -> Tensor:
        """See :class:`CaptionLoss`."""
        if self.keep is not None:
            classes = classifier.prompts.class_features(classifier.chunk, self.keep)
        distances = cosine_distance(self.captions.lookup(captions_of(batch)), classes)
        loss: Tensor = self.loss(distances, batch.observed)
        return loss


class TokenCaptions(CaptionLoss):
    """Variant ``code``: distances of token embeddings, position by position, nothing encoded.

    Position l of the caption is compared with position l + skip of the prompt, up to the padding of both.

    Args:
        tower: frozen text tower; used, not owned.
        skip: leading positions of the prompt that are left out, the start token among them (the code's m_ctx).
    """

    def __init__(self, loss: nn.Module, tower: Tower, skip: int) -> None:
        super().__init__(loss, CaptionTokens(lambda texts: tower.tokenize(texts), CHARACTERS))
        self._shared = Shared(tower)
        self.skip = skip

    def forward(self, batch: Batch, classifier: PromptClassifier, classes: Tensor) -> Tensor:
        """See :class:`CaptionLoss`; `classes` is not looked at."""
        prompts = classifier.prompts.padded()
        with torch.no_grad():
            tokens = self.captions.lookup(captions_of(batch)).to(prompts.device)
            captions = self._shared.tower.embed_tokens(tokens)
        loss: Tensor = self.loss(token_cosine_distance(captions, prompts, skip=self.skip), batch.observed)
        return loss


class LMPTModule(Prompted):
    """Prompts trained by ``lambda L_cls + (1 - lambda) L_cse``, or by L_cls alone without captions.

    Args:
        classifier: gives class features and logits.
        criterion: classification loss of logits [B, C] and labels [B, C].
        embedding: the class-specific embedding loss; None for L_cls alone.
        weight: lambda.
        centre, score: see :class:`~ltbench.method.Prompted`.
        tower: where batches hold images; None where they hold features.
    """

    classifier: PromptClassifier

    def __init__(
        self,
        classifier: PromptClassifier,
        criterion: nn.Module,
        embedding: CaptionLoss | None,
        weight: float,
        centre: float | None = None,
        tower: DriftingTower | None = None,
        score: Score = "softmax",
    ) -> None:
        super().__init__(classifier, centre, score)
        self.criterion = criterion
        self.embedding = embedding
        self.weight = weight
        self.tower = tower

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Work out all captions, on the first epoch of this process; centre the logits, on the first of the run."""
        if self.embedding is not None:
            self.embedding.captions.collect(scan)
        super().on_epoch_start(epoch, scan)

    def features(self, batch: Batch) -> Tensor:
        """Global image features [n, D]; captions are not looked at."""
        if self.tower is None:
            return batch.features
        features: Tensor = self.tower(batch.features)
        return features

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss_cls`` and, with captions, ``loss_cse``; each carries its factor.

        Raises:
            ValueError: captions are needed and the batch has none.
        """
        classes = self.classifier.class_features()
        classification: Tensor = self.criterion(self.classifier(self.features(batch), classes), batch.observed)
        if self.embedding is None:
            return {"loss_cls": classification}
        embedding: Tensor = self.embedding(batch, self.classifier, classes)
        return {"loss_cls": self.weight * classification, "loss_cse": (1.0 - self.weight) * embedding}
