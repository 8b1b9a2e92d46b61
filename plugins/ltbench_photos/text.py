"""The text tower: MiniLM, centred on ImageNet's class names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.backbones.masked_text import MaskedTextTower
from ltbench.backbones.weights import load_into, read_checkpoint, seeded

CONTEXT_LENGTH: Final = 128
"""Tokens of a text: what the weights were trained with, and where their tokenizer cuts."""
VOCABULARY: Final = 30522
_UNKNOWN: Final = 100


class WordPieces:
    """The tokenizer of the weights: ``[CLS] words [SEP]``, then padding.

    Args:
        path: its ``tokenizer.json``.
    """

    starts, end, padding = 1, 102, 0

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, without start and end."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of a text that hold a character the tokenizer does not know."""
        return tuple(word for word in text.split() if _UNKNOWN in self.encode(word))

    def __call__(self, texts: Sequence[str], context_length: int = CONTEXT_LENGTH) -> Tensor:
        """Token ids int64 [n, context_length]; longer texts lose their end."""
        out = torch.full((len(texts), context_length), self.padding, dtype=torch.int64)
        for row, text in enumerate(texts):
            # 101 is the start.
            ids = [101, *self.encode(text)[: context_length - 2], self.end]
            out[row, : len(ids)] = torch.tensor(ids)
        return out


class CentredTower(MaskedTextTower):
    """``normalise(mean over tokens) - centre``; as single tokens are projected, so is their mean.

    Source: Reimers and Gurevych, Sentence-BERT, EMNLP 2019 (mean over tokens, L2), for all but the centring, which is
    ours.
    """

    centre: Tensor

    def __init__(self, encoder: nn.Module, tokenizer: Any, logit_scale: float) -> None:
        super().__init__(encoder, tokenizer, CONTEXT_LENGTH, logit_scale)
        self.register_buffer("centre", torch.zeros(self.width), persistent=False)

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim]; see :class:`MaskedTextTower`."""
        return normalize(super().encode_embeddings(embeddings, ends), dim=-1) - self.centre

    def encode_tokens(self, embeddings: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, dim] and of tokens [n, length, dim]; see :class:`MaskedTextTower`."""
        whole, each = super().encode_tokens(embeddings, ends)
        return normalize(whole, dim=-1) - self.centre, normalize(each, dim=-1) - self.centre

    def centred_on(self, plain: Tensor) -> Tensor:
        """Centre the tower on the mean of these features [n, dim]; the features then, normalised."""
        self.centre = plain.mean(dim=0)
        return normalize(plain - self.centre, dim=-1)


def build_encoder(seed: int) -> nn.Module:
    """MiniLM-L6's architecture with random weights, in evaluation mode."""
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertModel

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
        layer_norm_eps=1e-12,
    )
    with seeded(seed):
        model: nn.Module = BertModel(config, add_pooling_layer=False)
    return model.eval()


def load_encoder(path: Path, name: str) -> nn.Module:
    """MiniLM-L6 with the weights of a file.

    Raises:
        UserError: the file cannot be read or is another model's.
    """
    model = build_encoder(0)
    # A pooler and a list of positions, which the mean over tokens does not look at.
    load_into(model, read_checkpoint(path), name, may_miss=("pooler.", "embeddings.position_ids"))
    return model
