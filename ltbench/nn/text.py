"""Class prompts through a text tower: what a tower must be able to do, and encoding in chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        cuts: whether what lies behind the last end-of-text token need not be computed.
    """

    context_length: int
    width: int
    logit_scale: float
    cuts: bool

    @property
    def starts(self) -> int:
        """How many tokens stand before a text's own; a learned context enters behind them."""
        ...

    @property
    def padding(self) -> int:
        """Id of the token behind the end-of-text token."""
        ...

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [n, context_length]."""
        ...

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width]."""
        ...

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim] of prompts [n, length, width] that end at ``ends``."""
        ...

    def encode_alike(self, embeddings: Tensor, ends: Tensor, alike: int) -> Tensor:
        """The same of prompts whose first positions, so many, are alike; a tower may compute those once."""
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


def recomputed(function: Callable[..., Tensor], *args: Any) -> Tensor:
    """``function(*args)``; with gradients on, its activations are thrown away and computed again in the backward pass.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016 (``torch.utils.checkpoint``). What is kept
    is the arguments and the result; the price is one more forward pass.
    """
    if not torch.is_grad_enabled():
        return function(*args)
    answer: Tensor = checkpoint(function, *args, use_reentrant=False)
    return answer


def encode_in_chunks(tower: Tower, embeddings: Tensor, ends: Tensor, chunk: int | None = None) -> Tensor:
    """Features [n, dim] of prompts, a chunk at a time; the same features and gradients as all at once.

    Activations do not grow with the number of prompts (see :func:`recomputed`); the embeddings that are handed in do.
    ``PromptLearner.class_features`` puts its prompts together a chunk at a time as well. Each chunk runs only up to the
    last end-of-text token of its own prompts where the tower cuts.

    Args:
        tower: the text tower.
        embeddings: [n, length, width].
        ends: int64 [n].
        chunk: prompts a chunk; None encodes all at once.
    """
    if chunk is None or len(embeddings) <= chunk:
        return tower.encode_embeddings(embeddings, ends)
    # Split, not sliced: the backward pass of each slice would fill a gradient of all prompts.
    parts = zip(torch.split(embeddings, chunk), torch.split(ends, chunk), strict=True)
    return torch.cat(
        [recomputed(tower.encode_embeddings, part[:, : int(mine.max()) + 1], mine) for part, mine in parts]
    )
