"""Metrics over the images that show a judged class: the protocol of papers that filter their test images.

The contract judges every test image. DualCoOp's test lists of NUS-WIDE leave out images without any evaluated class
(its files are named ``*_filtered``; arXiv 2206.09541, table 2), and top-k precision rises with every such image that
goes. ``<metric>_filtered`` is that second figure: with only unseen classes judged (ZSL) the images that show an unseen
class remain, with all of them (GZSL) those that show any. It is shown next to the metric itself and never ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ltbench.metrics.ap import Array, Float
from ltbench.metrics.judged import Judged

SUFFIX = "_filtered"

Measure = Callable[[Array], Mapping[str, Float]]


@dataclass(frozen=True)
class Filtered:
    """Source of another source's quantities, over the images that show one of the judged columns.

    Attributes:
        source: what is counted; sources that are equal share their work, filtered ones too.
    """

    source: Callable[[Judged], Measure | None]

    def __call__(self, data: Judged) -> Measure | None:
        """None where the source gives None, or where no image shows a judged class."""
        kept = np.flatnonzero((data.truth == 1).any(axis=1))
        if not kept.size:
            return None
        measure = self.source(
            replace(
                data,
                logits=data.logits[kept],
                truth=data.truth[kept],
                decisions=None if data.decisions is None else data.decisions[kept],
            )
        )
        return None if measure is None else lambda weights: measure(weights[kept])
