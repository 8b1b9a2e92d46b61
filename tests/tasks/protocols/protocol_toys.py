"""Labels, names and protocols that tests of protocols share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ltbench.tasks.protocols import Full, Partial, Plt, SinglePositive

Labels = NDArray[np.int8]


def names(labels: Labels) -> tuple[list[str], list[str]]:
    return [f"img{i}" for i in range(labels.shape[0])], [f"class{c}" for c in range(labels.shape[1])]


def observe(protocol: Partial | SinglePositive | Plt | Full, labels: Labels, seed: int = 0) -> Labels:
    return protocol.apply(labels, *names(labels), "toys", seed)
