"""The word-level tokenizer of tiny-clip: one token a word of its small world, letters for every other word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

CONTEXT_LENGTH: Final = 32

_VOCABULARY: Final = """
a above an anchor and apple arrow automobile background below big black blossom blue boat bolt brown
can car checkered cloud cog colors crescent crown cup drawing drew floor flower front gear green
hammer heart here hollow i image in is key left lightning lined mallet moon mug mushroom near next
of on orange parasol photo picture pine pink plain pointer purple red right rocket sailboat scene
see shaded ship shows small somebody spaceship star striped there this to toadstool tree two
umbrella wall we white with yellow
"""
_WORDS: Final = tuple(_VOCABULARY.split())
_PIECES: Final = re.compile(r"[a-z]+|[^a-z\s]")


class TinyTokenizer:
    """Texts to token ids, int64 [N, 32]: start, words, end, zeros.

    The end token has the largest id, because open_clip reads a text at the position of its largest id. A word that
    pre-training never saw is spelled letter by letter (an untrained spelling: it keeps two unknown names apart, it does
    not give them meaning); any other character is the token ``<unk>``.
    """

    def __init__(self) -> None:
        specials = ["<pad>", "<start>", "<unk>", ".", ","]
        letters = [f"<{letter}>" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
        self._tokens: tuple[str, ...] = (*specials, *letters, *_WORDS, "<end>")
        self._ids = {token: index for index, token in enumerate(self._tokens)}
        self.context_length = CONTEXT_LENGTH
        self.sot_token_id = self._ids["<start>"]
        self.eot_token_id = self._ids["<end>"]

    @property
    def vocab_size(self) -> int:
        """Number of tokens; the last one ends a text."""
        return len(self._tokens)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that have a token of their own."""
        return _WORDS

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, without start and end."""
        out: list[int] = []
        for piece in _PIECES.findall(text.lower()):
            if piece in self._ids:
                out.append(self._ids[piece])
            elif piece.isascii() and piece.isalnum():
                out.extend(self._ids[f"<{letter}>"] for letter in piece)
            else:
                out.append(self._ids["<unk>"])
        return out

    def decode(self, ids: Sequence[int]) -> str:
        """The words of token ids, separated by blanks, without start, end and padding."""
        hidden = (self._ids["<pad>"], self.sot_token_id, self.eot_token_id)
        return " ".join(self._tokens[int(i)] for i in ids if int(i) not in hidden)

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of ``text`` that have no token of their own, in order of appearance."""
        pieces = _PIECES.findall(text.lower())
        return tuple(dict.fromkeys(piece for piece in pieces if piece not in self._ids))

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Tensor:
        """Token ids, int64 [N, context_length]; a longer text loses its last words, never its end token."""
        length = self.context_length if context_length is None else context_length
        batch = [texts] if isinstance(texts, str) else list(texts)
        out = torch.zeros(len(batch), length, dtype=torch.long)
        for row, text in enumerate(batch):
            ids = [self.sot_token_id, *self.encode(text)[: length - 2], self.eot_token_id]
            out[row, : len(ids)] = torch.tensor(ids)
        return out
