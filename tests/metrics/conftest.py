"""Golden vectors of published metric code, outside the repository, and the matrices that hypothesis draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SHARED = Path(__file__).resolve().parents[2].parent / "shared"

Cases = dict[str, dict[str, NDArray[Any]]]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Cases]:
    """Case → field → array of one golden file; skips where the golden vectors are not at hand."""

    def load(path: str) -> Cases:
        if not (SHARED / "golden").is_dir():
            pytest.skip("golden vectors not found (../shared/golden)")
        cases: Cases = {}
        with np.load(SHARED / "golden" / path) as archive:
            for key in archive.files:
                case, _, field = key.partition("/" if "/" in key else "__")
                cases.setdefault(case, {})[field] = archive[key]
        return cases

    return load
