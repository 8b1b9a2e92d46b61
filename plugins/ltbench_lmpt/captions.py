"""Captions of training rows: each distinct one is worked out once a run, and looked up by its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import Batch, Scan


class CaptionTable(nn.Module):
    """One row of numbers for each distinct caption.

    The rows are a function of frozen weights, so that they are no state: a resumed run computes them again. They are
    computed for the sorted set of all training captions at once, not batch by batch as captions turn up: the rounding
    of a text tower depends on what shares its batch, and a resumed run meets the captions in another order.

    Args:
        compute: texts → [n, size], without gradients.
    """

    rows: Tensor

    def __init__(self, compute: Callable[[Sequence[str]], Tensor]) -> None:
        super().__init__()
        self._compute = compute
        self._position: dict[str, int] = {}
        self.register_buffer("rows", torch.zeros(0, 0), persistent=False)

    def __len__(self) -> int:
        return len(self._position)

    def collect(self, scan: Scan) -> None:
        """Work out what one pass over the training view holds; makes that pass the first time only.

        Raises:
            ValueError: a batch carries no captions.
        """
        if not self._position:
            self._add({caption for batch in scan() for caption in captions_of(batch)})

    def lookup(self, captions: Sequence[str]) -> Tensor:
        """Rows [n, size]; captions never met before are worked out and kept."""
        self._add(set(captions) - self._position.keys())
        places = torch.tensor([self._position[caption] for caption in captions], device=self.rows.device)
        return self.rows[places]

    def _add(self, captions: set[str]) -> None:
        if not captions:
            return
        fresh = sorted(captions)
        with torch.no_grad():
            computed = self._compute(fresh)
        known = self.rows.to(computed.device)
        self.rows = computed if not self._position else torch.cat([known, computed])
        self._position.update({caption: len(self._position) + k for k, caption in enumerate(fresh)})


class CaptionFeatures(CaptionTable):
    """Normalised text features float32 [n, dim] of captions. Memory: 4 * dim bytes each (4 MB for COCO-LT).

    Args:
        encode: texts → features [n, dim], not normalised, without gradients.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Tensor]) -> None:
        super().__init__(lambda texts: normalize(encode(texts).float(), dim=-1))


class CaptionTokens(CaptionTable):
    """Token ids int64 [n, context_length] of the first characters of captions.

    Args:
        tokenize: texts → token ids.
        characters: how much of a caption is read; the released code cuts to 75 characters, not tokens.
    """

    def __init__(self, tokenize: Callable[[Sequence[str]], Tensor], characters: int) -> None:
        super().__init__(lambda texts: tokenize([text[:characters] for text in texts]))


def captions_of(batch: Batch) -> tuple[str, ...]:
    """Captions of a batch.

    Raises:
        ValueError: it carries none.
    """
    if batch.captions is None:
        raise ValueError("the class-specific embedding loss needs a caption for every training row; got none")
    return batch.captions
