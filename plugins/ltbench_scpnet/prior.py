"""The structured prior of SCPNet: which classes are alike, and class features that are mixed along it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.nn import CosineHead, PromptLearner, ResidualGraph, Tower, encode_in_chunks, ensemble_features


def similarities(tower: Tower, names: tuple[str, ...]) -> Tensor:
    """Cosines float64 [C, C] between the texts "a photo of a NAME."."""
    features = ensemble_features(tower, names).double().cpu()
    return features @ features.T


def kept(similarity: Tensor, keep: int) -> Tensor:
    """Which entries of each row are among its `keep` largest, the diagonal always among them, bool [C, C]."""
    ranked = similarity.clone()
    ranked.fill_diagonal_(torch.inf)
    chosen = ranked.topk(min(keep, len(ranked)), dim=1).indices
    return torch.zeros_like(ranked, dtype=torch.bool).scatter_(1, chosen, True)


def transition(links: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """Rows that sum to 1, float32 [C, C]: a softmax of links over the entries that a row keeps.

    ``P_ij = exp(A_ij / T) / sum_k exp(A_ik / T)`` over kept entries. The release takes the softmax over all entries
    and scales the kept ones to a sum of 1, which is the same.

    Args:
        links: A [C, C], whose rows hold 1 - r on the diagonal and r among the others.
        mask: kept entries, bool [C, C].
        temperature: T.
    """
    scores = (links.double() / temperature).masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=1).float()


class ClassHead(nn.Module):
    """``logits = scale cos(image, z)`` with ``z = t + G(t, A)``, t the text features of the prompts.

    Args:
        prompts: of all classes, through the frozen text tower.
        graph: G, with its way around.
        links: A [C, C].
        cosine: the scale.
        chunk: prompts that go through the text tower at a time.
    """

    links: Tensor

    def __init__(
        self,
        prompts: PromptLearner,
        graph: ResidualGraph,
        links: Tensor,
        cosine: CosineHead,
        chunk: int | None = 1024,
    ) -> None:
        super().__init__()
        self.prompts = prompts
        self.graph = graph
        self.register_buffer("links", links)
        self.cosine = cosine
        self.chunk = chunk

    def class_features(self) -> Tensor:
        """Features z [C, D], of length 1."""
        embeddings, ends = self.prompts()
        texts = encode_in_chunks(self.prompts.tower, embeddings, ends, self.chunk).float()
        return normalize(self.graph(texts, self.links), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 [n, C] of image features [n, D]."""
        logits: Tensor = self.cosine(images.float(), self.class_features())
        return logits
