"""Text towers of the library transformers: they read a text from both sides, and padding is masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ltbench.backbones.base import TextTower
from ltbench.backbones.options import EncodeDtype
from ltbench.backbones.precision import arithmetic
from ltbench.backbones.tokens import end_positions, length_up_to, names_that_do_not_fit

Pool = Callable[[Any, Tensor], Tensor]


def mean_of_tokens(output: Any, mask: Tensor) -> Tensor:
    """Mean [n, width] over a text's own tokens, its start and end included.

    Args:
        output: of a transformers encoder, with ``last_hidden_state`` [n, length, width].
        mask: 1 where there is text, 0 where there is padding, [n, length].
    """
    weights = mask.to(output.last_hidden_state.dtype)[:, :, None]
    mean: Tensor = (output.last_hidden_state * weights).sum(dim=1) / weights.sum(dim=1)
    return mean


class MaskedTextTower(TextTower):
    """A bidirectional encoder of transformers: ``project(pool(encoder(embeddings, mask)))``.

    Padding is masked, so that what lies behind the last end of a batch need not be computed; nothing can be cut at a
    text's own end, because every token sees it.

    Args:
        encoder: takes ``inputs_embeds`` and ``attention_mask``; shared, not copied.
        tokenizer: texts → int64 [n, context_length]; has ``encode``, ``starts``, ``end`` and ``padding``.
        context_length: longest prompt in tokens.
        logit_scale: exp of the temperature.
        pool: output of the encoder and mask → [n, width].
        projection: [..., width] → [..., dim], applied to what was pooled, and to single tokens.
        dtype: arithmetic of encoder and projection; features are float32 in any case.
    """

    def __init__(
        self,
        encoder: nn.Module,
        tokenizer: Any,
        context_length: int,
        logit_scale: float,
        pool: Pool = mean_of_tokens,
        projection: nn.Module | None = None,
        dtype: EncodeDtype = "float32",
    ) -> None:
        super().__init__()
        self.dtype: EncodeDtype = dtype
        self.encoder: Any
        self.add_module("encoder", encoder)
        self.projection = nn.Identity() if projection is None else projection
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.logit_scale = logit_scale
        table: Any = self.encoder.get_input_embeddings()
        self.width = int(table.weight.shape[1])
        # A list, as a pool that is a module without parameters of its own is none of this tower's parts.
        self._pool = [pool]

    @property
    def starts(self) -> int:
        """See :class:`TextTower`."""
        return int(self.tokenizer.starts)

    @property
    def padding(self) -> int:
        """See :class:`TextTower`."""
        return int(self.tokenizer.padding)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [n, context_length], padded after the end-of-text token; longer texts lose their end."""
        tokens: Tensor = self.tokenizer(list(texts), context_length=self.context_length)
        return tokens

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width] (positions and segments not yet added)."""
        embedded: Tensor = self.encoder.get_input_embeddings()(tokens)
        return embedded

    def end_positions(self, tokens: Tensor) -> Tensor:
        """Position of the end-of-text token, int64 [n]."""
        return end_positions(tokens, self.tokenizer.end, self.padding)

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim], not normalised.

        Raises:
            ValueError: the prompts are longer than the context, or an end lies outside of them.
        """
        output, mask = self._encoded(embeddings, ends)
        return self._projected(self._pool[0](output, mask))

    def encode_sequence(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """What the tower projects of each token of the text, [n, length, dim]; see :meth:`TextTower.encode_sequence`.

        Raises:
            ValueError: see :meth:`encode_embeddings`.
        """
        return self.encode_tokens(embeddings, ends)[1]

    def encode_tokens(self, embeddings: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Both, from one pass; see :meth:`TextTower.encode_tokens`."""
        output, mask = self._encoded(embeddings, ends)
        return self._projected(self._pool[0](output, mask)), self._projected(output.last_hidden_state)

    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        """Names that the tokenizer cuts off, or that hold words without a token, with the reason."""
        return names_that_do_not_fit(self.tokenizer, names, self.context_length, self.starts)

    def _encoded(self, embeddings: Tensor, ends: Tensor) -> tuple[Any, Tensor]:
        """What the encoder gives, and the mask [n, length]."""
        length = length_up_to(ends, embeddings, self.context_length)
        mask = (torch.arange(length, device=ends.device) <= ends[:, None]).long()
        with arithmetic(self.dtype, embeddings.device):
            return self.encoder(inputs_embeds=embeddings[:, :length], attention_mask=mask), mask

    def _projected(self, read: Tensor) -> Tensor:
        with arithmetic(self.dtype, read.device):
            projected: Tensor = self.projection(read)
        return projected if self.dtype == "float32" else projected.float()
