"""The text towers of open_clip that see the whole context: SigLIP's, CoCa's, MobileCLIP's and their like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from ltbench.backbones.options import EncodeDtype
from ltbench.backbones.precision import arithmetic
from ltbench.backbones.text import OpenClipTextTower, project
from ltbench.backbones.tokens import end_positions, length_up_to, names_that_do_not_fit

_READ: Final = ("first", "last", "argmax", "eos")


def is_whole(part: nn.Module) -> bool:
    """Whether a module is a text tower that :class:`WholeTextTower` can run from token embeddings."""
    native = all(hasattr(part, name) for name in ("token_embedding", "positional_embedding", "transformer", "ln_final"))
    return native and getattr(part, "pool_type", getattr(part, "text_pool_type", None)) in _READ


class WholeTextTower(OpenClipTextTower):
    """Text tower of open_clip that nothing can be cut from.

    Its tokens see what lies behind the end-of-text token (SigLIP: padding is read as any token), or the feature is read
    elsewhere (CoCa: from a token appended to the context). So every text is filled up to the whole context, with the
    embedding of the padding token, and computed as open_clip computes it.

    Args:
        model: the open_clip model; its modules are shared, not copied.
        tokenizer: texts → int64 [n, context_length]; has ``encode`` and, unless it is CLIP's, ``starts``, ``end`` and
            ``padding``.
        dtype: arithmetic of transformer and projection; features are float32 in any case.

    Raises:
        TypeError: the model's text tower is another kind of module.
    """

    cuts = False

    def __init__(self, model: nn.Module, tokenizer: Any, dtype: EncodeDtype = "float32") -> None:
        super().__init__()
        self.dtype: EncodeDtype = dtype
        part: Any = getattr(model, "text", model)
        if not is_whole(part):
            raise TypeError(f"the text tower of {type(model).__name__} does not start from token embeddings")
        self.tokenizer = tokenizer
        self.part: Any = part
        self.context_length = int(part.context_length)
        self.width = int(part.token_embedding.weight.shape[1])
        scale: Any = model.logit_scale
        self.logit_scale = float(scale.detach().exp())
        self._pool = getattr(part, "pool_type", None) or part.text_pool_type
        self._class_token = getattr(part, "cls_emb", None) is not None

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width] (positions not yet added)."""
        embedded: Tensor = self.part.token_embedding(tokens)
        return embedded

    def end_positions(self, tokens: Tensor) -> Tensor:
        """Position of the end-of-text token, int64 [n]."""
        end = getattr(self.tokenizer, "end", None)
        if end is None:
            # The largest id of CLIP's vocabulary.
            positions: Tensor = tokens.argmax(dim=-1)
            return positions
        return end_positions(tokens, int(end), self.padding)

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim], not normalised.

        Raises:
            ValueError: the prompts are longer than the context, or an end lies outside of them.
        """
        return self._pooled(self._hidden(embeddings, ends), ends)

    def encode_sequence(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """What the tower projects of each token of the text, [n, length, dim]; see :meth:`TextTower.encode_sequence`.

        Raises:
            ValueError: see :meth:`encode_embeddings`.
        """
        return self._each(self._hidden(embeddings, ends), ends)

    def encode_tokens(self, embeddings: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Both, from one pass; see :meth:`TextTower.encode_tokens`."""
        hidden = self._hidden(embeddings, ends)
        return self._pooled(hidden, ends), self._each(hidden, ends)

    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        """Names that the tokenizer cuts off, with the reason."""
        return names_that_do_not_fit(self.tokenizer, names, self.context_length, self.starts)

    def _filled(self, embeddings: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings [n, context_length, width] with padding behind each end; whether a place is text, bool [n, L]."""
        length_up_to(ends, embeddings, self.context_length)  # Raises.
        filler = torch.tensor([[self.padding]], device=embeddings.device)
        with torch.no_grad():
            blank = self.embed_tokens(filler).to(embeddings)
        missing = self.context_length - embeddings.shape[1]
        whole = torch.cat([embeddings, blank.expand(embeddings.shape[0], missing, -1)], dim=1)
        text = torch.arange(self.context_length, device=ends.device) <= ends[:, None]
        return torch.where(text[:, :, None], whole, blank), text

    def _hidden(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Tokens [n, L, width] after the last block, the appended one included."""
        part = self.part
        x, text = self._filled(embeddings, ends)
        if self._class_token:
            x = torch.cat([x, part.cls_emb.to(x).expand(x.shape[0], 1, -1)], dim=1)
        length = x.shape[1]
        mask: Tensor | None = part.attn_mask
        mask = None if mask is None else mask[:length, :length].to(x.dtype)
        if self._class_token or getattr(part, "use_pad_mask", False):
            # open_clip's own mask, which wants ids; of those only whether they are padding matters.
            ids = torch.where(text, part.pad_id + 1, part.pad_id)
            hidden_from = part._build_additive_mask(ids, length, x.dtype)
            mask = hidden_from if mask is None else mask[None] + hidden_from
        x = x + part.positional_embedding[:length].to(x.dtype)
        with arithmetic(self.dtype, x.device):
            hidden: Tensor = part.transformer(x, attn_mask=mask)
        return hidden

    def _pooled(self, hidden: Tensor, ends: Tensor) -> Tensor:
        if self._class_token or self._pool == "last":
            read = hidden[:, -1]
        elif self._pool == "first":
            read = hidden[:, 0]
        else:
            read = hidden[torch.arange(hidden.shape[0], device=hidden.device), ends]
        return self._projected(read)

    def _each(self, hidden: Tensor, ends: Tensor) -> Tensor:
        return self._projected(hidden[:, : int(ends.max()) + 1])

    def _projected(self, hidden: Tensor) -> Tensor:
        with arithmetic(self.dtype, hidden.device):
            projected = project(self.part, self.part.ln_final(hidden))
        return projected if self.dtype == "float32" else projected.float()
