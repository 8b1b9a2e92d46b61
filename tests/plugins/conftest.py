"""A small random encoder with a text tower, and batches for it: enough to run a method without weights or engine."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone, TextTower
from ltbench.method import Batch, Context, Stats
from tests.plugins.toy_cards import toy_card

DIM, WIDTH, LENGTH, VOCABULARY = 16, 12, 24, 400
NAMES = ("cat", "dog", "traffic light", "person", "bus")


class ToyTextTower(TextTower):
    """Words hashed to ids, one causal transformer layer, projection of the end-of-text position."""

    def __init__(self) -> None:
        super().__init__()
        self.context_length, self.width, self.logit_scale = LENGTH, WIDTH, 20.0
        self.table = nn.Embedding(VOCABULARY + 2, WIDTH)
        self.positions = nn.Parameter(torch.randn(LENGTH, WIDTH) * 0.1)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 2, 24, dropout=0.0, batch_first=True, norm_first=True)
        self.projection = nn.Linear(WIDTH, DIM, bias=False)
        self.encoded_rows = 0

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        tokens = torch.zeros(len(texts), LENGTH, dtype=torch.int64)
        for row, text in enumerate(texts):
            words = text.lower().replace(".", " .").split()[: LENGTH - 2]
            ids = [1 + zlib.crc32(word.encode()) % (VOCABULARY - 1) for word in words]
            tokens[row, : len(ids) + 2] = torch.tensor([VOCABULARY, *ids, VOCABULARY + 1])
        return tokens

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        embedded: Tensor = self.table(tokens)
        return embedded

    def end_positions(self, tokens: Tensor) -> Tensor:
        return tokens.argmax(dim=1)

    def encode_embeddings(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        self.encoded_rows += len(embeddings)
        length = embeddings.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        hidden = self.layer(embeddings + self.positions[:length], src_mask=mask, is_causal=True)
        projected: Tensor = self.projection(hidden[torch.arange(len(ends)), ends])
        return projected

    def unknown_parts(self, names: Sequence[str]) -> dict[str, str]:
        return {}


class ToyBackbone(Backbone):
    """Features come ready-made; only the text tower computes."""

    def preprocess(self, image: Any) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.fixture
def backbone() -> ToyBackbone:
    torch.manual_seed(3)
    card = toy_card("global", "text", dim=DIM)
    tower = ToyTextTower().eval()
    for parameter in tower.parameters():
        parameter.requires_grad_(False)
    return ToyBackbone(card=card, text=tower)


@pytest.fixture
def observed() -> npt.NDArray[np.int8]:
    """40 rows, 5 classes, from 24 down to 3 positives, some labels unknown."""
    rng = np.random.default_rng(5)
    labels = np.full((40, len(NAMES)), -1, dtype=np.int8)
    for column, count in enumerate((24, 15, 10, 6, 3)):
        labels[rng.choice(40, count, replace=False), column] = 1
    labels[rng.random(labels.shape) < 0.15] = 0
    return labels


@pytest.fixture
def full(observed: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The same labels with unknown ones made absent."""
    return np.where(observed == 0, -1, observed).astype(np.int8)


@pytest.fixture
def make_context(backbone: ToyBackbone) -> Callable[..., Context]:
    def make(labels: npt.NDArray[np.int8], names: tuple[str, ...] = NAMES) -> Context:
        return Context(names, Stats.of(labels), backbone, torch.device("cpu"), seed=0)

    return make


@pytest.fixture
def make_batch(full: npt.NDArray[np.int8]) -> Callable[..., Batch]:
    """Batch of the given labels (`full` by default), features in which they can be read, one caption a row."""

    def make(labels: npt.NDArray[np.int8] | None = None, captions: bool = True) -> Batch:
        shown = full if labels is None else labels
        generator = torch.Generator().manual_seed(11)
        directions = torch.randn(shown.shape[1], DIM, generator=generator)
        signal = torch.from_numpy(full[: len(shown)]).float() @ directions
        features = signal + 0.5 * torch.randn(len(shown), DIM, generator=generator)
        texts = tuple("a " + " and a ".join(n for n, y in zip(NAMES, row, strict=True) if y > 0) for row in full)
        return Batch(
            torch.arange(len(shown)),
            features,
            torch.from_numpy(np.ascontiguousarray(shown)),
            texts[: len(shown)] if captions else None,
        )

    return make


@pytest.fixture
def scan_of() -> Callable[[Batch], Callable[[], Iterator[Batch]]]:
    """A scan over one batch, cut into pieces of 16 rows."""

    def make(batch: Batch) -> Callable[[], Iterator[Batch]]:
        def scan() -> Iterator[Batch]:
            assert isinstance(batch.input, Tensor)
            for start in range(0, len(batch.rows), 16):
                cut = slice(start, start + 16)
                captions = None if batch.captions is None else batch.captions[cut]
                yield Batch(batch.rows[cut], batch.input[cut], batch.observed[cut], captions)

        return scan

    return make
