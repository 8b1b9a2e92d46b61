"""Small matrices with everything that goes wrong: ties, unknown labels, classes without positives, one row."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

#: Few values, so that ties are common; 0 is the decision threshold itself.
TIED = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])


@st.composite
def matrices(draw: st.DrawFn, max_rows: int = 12, max_classes: int = 5) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Logits and truth of one shape."""
    shape = (draw(st.integers(1, max_rows)), draw(st.integers(1, max_classes)))
    logits = draw(hnp.arrays(np.float32, shape, elements=TIED))
    truth = draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    return logits, truth


def random_case(n: int, classes: int, seed: int = 0, unknown: float = 0.1) -> tuple[NDArray[Any], NDArray[Any]]:
    """Informative float32 logits (some tied) and truth with unknown labels and one class without a positive."""
    generator = np.random.default_rng(seed)
    truth = np.where(generator.random((n, classes)) < 0.25, 1, -1)
    logits = np.round(generator.normal(size=(n, classes)) + truth, 1).astype(np.float32)
    truth[generator.random((n, classes)) < unknown] = 0
    truth[:, -1] = np.where(truth[:, -1] == 1, -1, truth[:, -1])
    return logits, truth.astype(np.int8)
