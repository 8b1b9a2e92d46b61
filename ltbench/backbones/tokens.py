"""From texts to token ids where the tokenizer is not CLIP's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor

_SPECIAL: Final = 4
"""Ids below are no letters, in :class:`LetterTokens`."""


class LibraryTokens:
    """A tokenizer of the library transformers behind open_clip's wrapper, opened when the first text comes.

    So an image tower serves where the tokenizer is not at hand.

    Args:
        opener: gives the wrapper; raises a :class:`~ltbench.plugin.errors.UserError` where it is not to be had.
        context_length: tokens of a text, padding included.
    """

    def __init__(self, opener: Callable[[], Any], context_length: int) -> None:
        self._opener = opener
        self.context_length = context_length

    @cached_property
    def _wrapper(self) -> Any:
        return self._opener()

    @cached_property
    def end(self) -> int:
        """Id of the end-of-text token."""
        own = self._wrapper.tokenizer
        return int(own.eos_token_id if own.eos_token_id is not None else own.sep_token_id)

    @cached_property
    def padding(self) -> int:
        """Id of the token behind the end."""
        # The wrapper of CLIPA takes the end-of-text token away and pads with the same.
        return 0 if self._wrapper.strip_sep_token else int(self._wrapper.tokenizer.pad_token_id or 0)

    @cached_property
    def starts(self) -> int:
        """Tokens before a text's own."""
        return int(end_positions(self([""]), self.end, self.padding)[0])

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, without start and end."""
        ids: list[int] = self._wrapper.tokenizer(self._wrapper.clean_fn(text), add_special_tokens=False)["input_ids"]
        return ids

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """Token ids int64 [n, context_length]; longer texts lose their end."""
        tokens: Tensor = self._wrapper(list(texts), context_length=context_length or self.context_length)
        return tokens


class LetterTokens:
    """Letters (bytes) for tokens: what towers with random weights read where their tokenizer is not at hand.

    Args:
        vocabulary: how many token ids the tower knows; at least 260 keep all bytes apart.
        context_length: tokens of a text.
        end: id of the end-of-text token.
        padding: id of the token behind it.
    """

    starts = 0

    def __init__(self, vocabulary: int, context_length: int, end: int = 1, padding: int = 0) -> None:
        self.vocabulary, self.context_length, self.end, self.padding = vocabulary, context_length, end, padding

    def encode(self, text: str) -> list[int]:
        """Token ids of one text, without the end."""
        return [_SPECIAL + byte % (self.vocabulary - _SPECIAL) for byte in text.encode()]

    def __call__(self, texts: Sequence[str], context_length: int | None = None) -> Tensor:
        """Token ids int64 [n, context_length]; longer texts lose their end."""
        length = context_length or self.context_length
        out = torch.full((len(texts), length), self.padding, dtype=torch.int64)
        for row, text in enumerate(texts):
            ids = [*self.encode(text)[: length - 1], self.end]
            out[row, : len(ids)] = torch.tensor(ids)
        return out


def end_positions(tokens: Tensor, end: int, padding: int) -> Tensor:
    """Position of each text's end-of-text token, int64 [n]: the first one, or else the first of padding.

    Some tokenizers end a text by padding alone. A text that fills the context ends with its last token.

    Args:
        tokens: int64 [n, length].
    """
    over = (tokens == end) | (tokens == padding)
    over[:, -1] = True
    positions: Tensor = over.int().argmax(dim=-1)
    return positions


def length_up_to(ends: Tensor, embeddings: Tensor, context_length: int) -> int:
    """How many tokens stand up to the last of some ends.

    A program that ``torch.export`` traces holds no numbers to look at: it takes all tokens, of which those behind the
    last end change nothing in a tower that asks.

    Args:
        ends: positions of end-of-text tokens, int64 [n].
        embeddings: [n, length, width].
        context_length: most tokens of the tower.

    Raises:
        ValueError: there are more tokens than that, or an end lies outside of them.
    """
    if embeddings.shape[1] > context_length:
        raise ValueError(f"prompts of {embeddings.shape[1]} tokens exceed the context of {context_length}")
    if torch.compiler.is_compiling():
        return embeddings.shape[1]
    length = int(ends.max()) + 1
    if length > embeddings.shape[1]:
        raise ValueError(f"end-of-text position {length - 1} lies outside of {embeddings.shape[1]} tokens")
    return length


def names_that_do_not_fit(tokenizer: Any, names: Sequence[str], context_length: int, starts: int) -> dict[str, str]:
    """Names that a tokenizer cuts off, or that hold words without a token of their own, with the reason.

    Args:
        tokenizer: has ``encode`` and, where it knows a fixed list of words, ``unknown_words``.
        context_length: tokens of a text.
        starts: tokens before a text's own.
    """
    unknown_words = getattr(tokenizer, "unknown_words", None)
    room = context_length - 1 - starts
    found: dict[str, str] = {}
    for name in names:
        count = len(tokenizer.encode(name))
        if count == 0:
            found[name] = "has no token"
        elif count > room:
            found[name] = f"has {count} tokens, the context holds {room}"
        elif unknown_words is not None and (words := unknown_words(name)):
            found[name] = f"unknown to the tokenizer: {', '.join(words)}"
    return found
