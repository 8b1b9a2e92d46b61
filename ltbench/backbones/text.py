"""The causal text towers of open_clip, cut at the last end-of-text token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from ltbench.backbones.base import TextTower
from ltbench.backbones.options import EncodeDtype
from ltbench.backbones.precision import arithmetic, cast_matrices
from ltbench.backbones.tokens import length_up_to, names_that_do_not_fit


def text_part(model: nn.Module) -> nn.Module | None:
    """The module that holds the text tower of an open_clip model, or None where it cannot be cut.

    Cutting at the end-of-text token changes nothing only if no token sees a later one (a causal mask, no token appended
    for pooling) and the feature is read at the end-of-text token.
    """
    part = getattr(model, "text", model)
    pool = getattr(part, "pool_type", None) or getattr(part, "text_pool_type", None)
    causal = getattr(part, "attn_mask", None) is not None
    native = all(hasattr(part, name) for name in ("token_embedding", "positional_embedding", "transformer", "ln_final"))
    cut = native and causal and pool in ("argmax", "eos") and getattr(part, "cls_emb", None) is None
    return part if cut else None


SHARES_FROM: Final = 256
"""Least width of a tower that computes once what prompts begin with: all released ones, not the bundled one, whose
committed results keep their bits."""

_TOGETHER: Final = 32
"""Prompts in one row of the transformer; attention grows with them, the rest does not."""


class OpenClipTextTower(TextTower):
    """What text towers of open_clip share: tokens by a tokenizer that may be CLIP's own, which says nothing of them.

    Attributes:
        tokenizer: texts → int64 [n, context_length]; ``starts`` and ``padding`` are 1 and 0 where it has none.
    """

    tokenizer: Any

    @property
    def starts(self) -> int:
        """See :class:`TextTower`."""
        return int(getattr(self.tokenizer, "starts", 1))

    @property
    def padding(self) -> int:
        """See :class:`TextTower`."""
        return int(getattr(self.tokenizer, "padding", 0))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [n, context_length], padded after the end-of-text token; longer texts lose their end."""
        tokens: Tensor = self.tokenizer(list(texts), context_length=self.context_length)
        return tokens


class ClipTextTower(OpenClipTextTower):
    """Text tower of ``open_clip.CLIP`` or ``CustomTextCLIP``: token embeddings, positions, causal transformer, final
    layer norm, projection of the end-of-text token.

    Args:
        model: the open_clip model; its modules are shared, not copied.
        tokenizer: texts → int64 [n, context_length]; has ``encode``, and ``starts`` and ``padding`` where those
            are not 1 and 0.
        dtype: arithmetic of transformer and projection; features and gradients of embeddings are float32 in any case.

    Raises:
        TypeError: the model's text tower is not causal or does not read the end-of-text token.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, dtype: EncodeDtype = "float32") -> None:
        super().__init__()
        part: Any = text_part(model)
        if part is None:
            raise TypeError(f"the text tower of {type(model).__name__} is not causal, so it cannot be cut")
        self.tokenizer = tokenizer
        self.dtype: EncodeDtype = dtype
        # What the copy was made of, and the copy: in a list, so that its parameters are not counted or saved.
        self._cast: list[tuple[object, nn.Module]] = []
        self.token_embedding: nn.Embedding = part.token_embedding
        self.positional_embedding: nn.Parameter = part.positional_embedding
        self.transformer: nn.Module = part.transformer
        self.ln_final: nn.Module = part.ln_final
        self.text_projection: nn.Parameter | nn.Linear | None = part.text_projection
        self.attn_mask: Tensor
        self.register_buffer("attn_mask", part.attn_mask, persistent=False)
        self.context_length = int(part.context_length)
        self.width = int(self.token_embedding.weight.shape[1])
        scale: Any = model.logit_scale
        self.logit_scale = float(scale.detach().exp())
        reads_eos = (getattr(part, "pool_type", None) or getattr(part, "text_pool_type", None)) == "eos"
        eos = getattr(part, "eos_id", None) if part is not model else getattr(part, "text_eos_id", None)
        # Pooling "argmax" reads the largest id, which is the end-of-text token of CLIP's vocabularies.
        self._end_id = eos if reads_eos else None

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width] (positions not yet added)."""
        embedded: Tensor = self.token_embedding(tokens)
        return embedded

    def end_positions(self, tokens: Tensor) -> Tensor:
        """Position of the end-of-text token, int64 [n]."""
        if self._end_id is None:
            ends: Tensor = tokens.argmax(dim=-1)
        else:
            ends = (tokens == self._end_id).int().argmax(dim=-1)
        return ends

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim], not normalised; whatever lies behind the last of ``ends`` is not computed.

        Equal to the full context length up to rounding, gradients too, because the mask is causal.

        Raises:
            ValueError: the prompts are longer than the context, or an end lies outside of them.
        """
        x = self._hidden(embeddings, ends)
        # The layer norm works on each token alone, so that only the one that is read needs it.
        return self._projected(x[torch.arange(x.shape[0], device=x.device), ends])

    @property
    def shares(self) -> bool:
        """Whether :meth:`encode_alike` computes once what prompts begin with."""
        return self.width >= SHARES_FROM

    def encode_alike(self, embeddings: Tensor, ends: Tensor, alike: int) -> Tensor:
        """Features [n, dim] of prompts that begin alike; see :meth:`TextTower.encode_alike`.

        What they begin with stands once before the rest of many prompts, in one row of the transformer. Its mask lets
        each prompt see that and itself. A single position that is alike is not worth it.

        Raises:
            ValueError: see :meth:`encode_embeddings`.
        """
        count = len(embeddings)
        # A traced program cannot look at the ends; what it computes is the same.
        alike = 0 if torch.compiler.is_compiling() else min(alike, int(ends.min()))
        if not self.shares or count < 2 or alike < 2:
            return self.encode_embeddings(embeddings, ends)
        x = self._placed(embeddings, ends)
        rows = -(-count // _TOGETHER)
        each, rest = -(-count // rows), x.shape[1] - alike
        own = x[:, alike:]
        if rows * each > count:
            own = torch.cat([own, own[-1:].expand(rows * each - count, -1, -1)])
        packed = torch.cat([x[:1, :alike].expand(rows, -1, -1), own.reshape(rows, each * rest, -1)], dim=1)
        with arithmetic(self.dtype, x.device):
            hidden: Tensor = self._blocks()(packed, attn_mask=self._packed_mask(alike, rest, each).to(x.dtype))
        prompt = torch.arange(count, device=x.device)
        return self._projected(hidden[prompt // each, prompt % each * rest + ends])

    def _packed_mask(self, alike: int, rest: int, each: int) -> Tensor:
        """What is added to attention [alike + each * rest] squared: the tower's mask, and -inf between two prompts."""
        device = self.attn_mask.device
        place = torch.cat([torch.arange(alike), torch.arange(alike, alike + rest).repeat(each)]).to(device)
        # -1 is what all begin with. It sees no prompt, as their places come later.
        prompt = torch.cat([torch.full((alike,), -1), torch.arange(each).repeat_interleave(rest)]).to(device)
        apart = (prompt != prompt[:, None]) & (prompt != -1)
        return self.attn_mask[place[:, None], place].masked_fill(apart, float("-inf"))

    def encode_sequence(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, length, dim] after each token, in one pass; see :meth:`TextTower.encode_sequence`.

        Raises:
            ValueError: see :meth:`encode_embeddings`.
        """
        return self._projected(self._hidden(embeddings, ends))

    def _hidden(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Tokens [n, length, width] after the last block."""
        x = self._placed(embeddings, ends)
        length = x.shape[1]
        with arithmetic(self.dtype, x.device):
            hidden: Tensor = self._blocks()(x, attn_mask=self.attn_mask[:length, :length].to(x.dtype))
        return hidden

    def _placed(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Embeddings up to the last end [n, length, width], with their positions added."""
        length = length_up_to(ends, embeddings, self.context_length)
        return embeddings[:, :length] + self.positional_embedding[:length].to(embeddings.dtype)

    def _blocks(self) -> nn.Module:
        """The transformer with matrices of the tower's type; cast again when its weights moved or changed."""
        if self.dtype == "float32":
            return self.transformer
        made_of = [(parameter.device, parameter._version) for parameter in self.transformer.parameters()]
        if not self._cast or self._cast[0][0] != made_of:
            self._cast = [(made_of, cast_matrices(self.transformer, self.dtype))]
        return self._cast[0][1]

    def _projected(self, hidden: Tensor) -> Tensor:
        """Features [..., dim] of tokens [..., width]."""
        with arithmetic(self.dtype, hidden.device):
            projected = project(self, self.ln_final(hidden))
        return projected if self.dtype == "float32" else projected.float()

    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        """Names that the tokenizer cuts off, or that hold words without a token of their own, with the reason."""
        return names_that_do_not_fit(self.tokenizer, names, self.context_length, self.starts)


def project(part: Any, tokens: Tensor) -> Tensor:
    """Features [..., dim] of normalised tokens [..., width], by the projection of an open_clip text tower."""
    projection: Tensor | nn.Linear | None = part.text_projection
    if isinstance(projection, nn.Linear):
        projected: Tensor = projection(tokens)
        return projected
    return tokens if projection is None else tokens @ projection
