"""What an encoder offers: image tower, regions, text tower, preprocessing, and a card that a record can quote."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from ltbench.backbones.options import EncodeDtype

if TYPE_CHECKING:
    from PIL.Image import Image

Statistics = tuple[tuple[float, ...], tuple[float, ...]]


class BackboneCard(BaseModel):
    """Facts about an encoder that decide whether two rows may be compared.

    Attributes:
        offers: some of ``image``, ``global``, ``region``, ``text``.
        dim: size of the global feature (shared with text where there is a text tower).
        region_dim: size of a region feature; None without regions.
        image_size: side of the square input in pixels; None for precomputed features.
        weights: tag of the weights; ``random`` is never ranked.
        weights_sha256: hash of the weights as loaded.
        transform: preprocessing in words; its hash is ``transform_sha256``.
        revision: version of the encoder code and its library.
        pretraining: what the weights saw.
        dtype: arithmetic of the towers; the features are float32 in any case.
        ranked: rows may be ranked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    offers: tuple[Literal["image", "global", "region", "text"], ...]
    dim: int
    region_dim: int | None = None
    image_size: int | None = None
    weights: str
    weights_sha256: str
    transform: str
    revision: str
    pretraining: str
    dtype: EncodeDtype = "float32"
    ranked: bool = True
    licence: str = ""

    @property
    def transform_sha256(self) -> str:
        """Fingerprint of the preprocessing."""
        return hashlib.sha256(self.transform.encode()).hexdigest()


class TextTower(nn.Module, ABC):
    """A text encoder that can also start from token embeddings, which prompt learning needs.

    Nothing here says which token sees which: CLIP's towers are causal, others read a text from both sides and mask the
    padding, or see it. A learned context of M vectors enters right behind the first :attr:`starts` tokens.

    Attributes:
        context_length: longest prompt in tokens.
        width: size of a token embedding.
        logit_scale: exp of the pre-trained temperature, multiplies cosines.
        cuts: nothing behind the last end-of-text token of a batch is computed, and features are the same; true of
            causal towers that read the end-of-text token and of those that mask the padding. Others compute the whole
            context for every text.
    """

    context_length: int
    width: int
    logit_scale: float
    cuts: bool = True

    @property
    def starts(self) -> int:
        """How many tokens stand before a text's own: 1 with a start-of-text token, 0 without."""
        return 1

    @property
    def padding(self) -> int:
        """Id of the token that fills the context behind the end-of-text token."""
        return 0

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Token ids int64 [n, context_length], filled with :attr:`padding` after the end-of-text token."""

    @abstractmethod
    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Token embeddings [n, length, width] (positions not yet added)."""

    @abstractmethod
    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, dim], not normalised, of prompts given as token embeddings.

        What lies behind a prompt's end is not looked at. A tower that sees padding puts its own there.

        Args:
            embeddings: [n, length, width]; may be shorter than ``context_length``.
            ends: int64 [n], position of the end-of-text token of each prompt.
        """

    def encode_sequence(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Features [n, length, dim] of each token, not normalised; ``length`` is the last of ``ends``, plus one.

        What :meth:`encode_embeddings` would give if the text ended there, of which a causal tower has all from one
        pass; this default takes one pass for each position. A tower that reads from both sides gives what it projects
        of each token of the whole text instead. Positions behind a text's own end mean nothing.

        Args:
            embeddings, ends: see :meth:`encode_embeddings`.
        """
        steps = range(int(ends.max()) + 1)
        found = [self.encode_embeddings(embeddings[:, : at + 1], torch.full_like(ends, at)) for at in steps]
        return torch.stack(found, dim=1)

    def encode_tokens(self, embeddings: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Features [n, dim] of the prompts and [n, length, dim] of their tokens, from as few passes as there can be.

        Args:
            embeddings, ends: see :meth:`encode_embeddings`.
        """
        each = self.encode_sequence(embeddings, ends)
        return each[torch.arange(len(each), device=each.device), ends], each

    def encode_alike(self, embeddings: Tensor, ends: Tensor, alike: int) -> Tensor:
        """Features [n, dim] of prompts that begin alike; what :meth:`encode_embeddings` gives, up to rounding.

        A causal tower may compute once what all prompts begin with; this default does not.

        Args:
            embeddings, ends: see :meth:`encode_embeddings`. Gradients of the positions that are alike may all arrive at
                the first prompt.
            alike: so many first positions are the same in all prompts.
        """
        return self.encode_embeddings(embeddings, ends)

    @abstractmethod
    def end_positions(self, tokens: Tensor) -> Tensor:
        """Position of the end-of-text token, int64 [n]."""

    @abstractmethod
    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        """Names that the tokenizer truncates or does not know, with the reason in words."""

    def encode(self, texts: Sequence[str], chunk: int = 256) -> Tensor:
        """Features [n, dim] of texts, not normalised, without gradients.

        Where the tower cuts, each chunk of texts runs only up to its own last end-of-text token; memory does not grow
        with the number of texts.
        """
        device = next(self.parameters()).device
        tokens = self.tokenize(texts).to(device)
        features = []
        with torch.no_grad():
            for start in range(0, len(tokens), chunk):
                part = tokens[start : start + chunk]
                ends = self.end_positions(part)
                length = int(ends.max()) + 1 if self.cuts else part.shape[1]
                features.append(self.encode_embeddings(self.embed_tokens(part[:, :length]), ends))
        return torch.cat(features)


@dataclass
class Backbone(ABC):
    """An encoder.

    Attributes:
        card: facts for the record.
        visual: image tower, or None for precomputed features.
        text: text tower, or None.
        statistics: mean and deviation of each channel by which images are normalised; None where nobody says.
    """

    card: BackboneCard
    visual: nn.Module | None = None
    text: TextTower | None = None
    statistics: Statistics | None = None

    @abstractmethod
    def preprocess(self, image: Image) -> Tensor:
        """One RGB image → float32 [3, H, W] as the weights expect it."""

    @abstractmethod
    def encode_global(self, images: Tensor) -> Tensor:
        """Images [n, 3, H, W] → global features [n, dim], not normalised."""

    @property
    def least_side(self) -> int | None:
        """Pixels that both sides of a picture must have before :meth:`preprocess`, if they had them in the file.

        A larger picture may be decoded at a part of its size down to this (``ltbench.data.base.load_reduced``), so that
        it is a multiple of what the preprocessing resizes to. None where nobody says; then pictures come whole.
        """
        return None

    def encode_regions(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [n, 3, H, W] → global features [n, dim] and region features [n, L, region_dim], not normalised."""
        raise TypeError(f"backbone {self.card.name} offers no regions")

    def for_encoding(self) -> Backbone:
        """This encoder, or one of equal features up to rounding that encodes faster.

        Of frozen weights, as they are when it is called; whoever trains the tower uses the encoder itself. Its
        ``visual`` is the tower itself, so that parameters are counted, hashed and saved as they were.
        """
        return self

    def mean_token(self, regions: Tensor) -> Tensor | None:
        """Regions [n, L, R] of a square map → what a region that is the mean of the map would give, [n, R].

        None where the encoder has no such token; CLIP's attention pool has one, with a position of its own.
        """
        return None

    def offers(self, what: str) -> bool:
        """Whether the backbone offers ``image``, ``global``, ``region`` or ``text``."""
        return what in self.card.offers
