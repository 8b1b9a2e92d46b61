"""Places of an image, and batches restricted to some rows."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor
from torch.nn.functional import normalize

from ltbench.method import Batch


def chosen_rows(batch: Batch, chosen: Tensor) -> Batch:
    """The rows of a batch where `chosen` [n] holds."""
    given = batch.input
    kept = (given[0][chosen], given[1][chosen]) if isinstance(given, tuple) else given[chosen]
    return replace(batch, rows=batch.rows[chosen], input=kept, observed=batch.observed[chosen], captions=None)


def unit_scale(features: Tensor) -> Tensor:
    """Features [..., D] in float32 with a root mean square of 1, so that rates do not depend on the encoder's unit."""
    values = features.float()
    scaled: Tensor = normalize(values, dim=-1) * float(values.shape[-1]) ** 0.5
    return scaled


def places(batch: Batch) -> Tensor:
    """Region features [n, L, R] of a batch, scaled by :func:`unit_scale`."""
    assert isinstance(batch.input, tuple), "the needs of the method ask for regions"
    return unit_scale(batch.input[1])
