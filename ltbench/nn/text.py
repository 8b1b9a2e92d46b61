"""Class prompts through a text tower: what a tower must be able to do, and encoding in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Tower(Protocol):
    """The part of ``ltbench.backbones.base.TextTower`` that is used here.

    Attributes:
        context_length: longest prompt in tokens.
        width: size of a token embedding.
        logit_scale: exp of the pre-trained temperature.
    """

    context_length: int
    width: int
    logit_scale: float

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [n, context_length]."""
        ...

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width]."""
        ...

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim] of prompts [n, length, width] that end at ``ends``."""
        ...

    def end_positions(self, tokens: Tensor) -> Tensor:
        """Position of the end-of-text token, int64 [n]."""
        ...

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Features [n, dim] of texts, without gradients."""
        ...


class Shared:
    """Holds a frozen tower for a module without making it a part of the module.

    A module that merely uses the tower must not put its weights into ``state_dict`` (hundreds of megabytes a
    checkpoint) nor copy it when an average of the module is kept; it must move with the module, though.
    """

    def __init__(self, tower: Tower) -> None:
        self.tower = tower

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self

    def apply(self, function: Any) -> None:
        """Move or cast the tower as its user is moved or cast."""
        if isinstance(self.tower, nn.Module):
            self.tower._apply(function)  # type: ignore[no-untyped-call]


def encode_in_chunks(tower: Tower, embeddings: Tensor, ends: Tensor, chunk: int | None = None) -> Tensor:
    """Features [n, dim] of prompts, a chunk at a time; the same features and gradients as all at once.

    With gradients on, the activations of a chunk are thrown away and computed again in the backward pass
    (``torch.utils.checkpoint``), so that memory does not grow with the number of prompts; the price is one more forward
    pass. Each chunk runs only up to the last end-of-text token of its own prompts.

    Args:
        tower: the text tower.
        embeddings: [n, length, width].
        ends: int64 [n].
        chunk: prompts a chunk; None encodes all at once.
    """
    if chunk is None or len(embeddings) <= chunk:
        return tower.encode_embeddings(embeddings, ends)
    keep = torch.is_grad_enabled() and embeddings.requires_grad
    features = []
    for start in range(0, len(embeddings), chunk):
        mine = ends[start : start + chunk]
        part = embeddings[start : start + chunk, : int(mine.max()) + 1]
        if keep:
            features.append(checkpoint(tower.encode_embeddings, part, mine, use_reentrant=False))
        else:
            features.append(tower.encode_embeddings(part, mine))
    return torch.cat(features)
