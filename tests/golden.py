"""Golden vectors: what published implementations give, stored outside of the repository."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import SHARED

Arrays = dict[str, npt.NDArray[Any]]


def golden(family: str, name: str) -> Arrays:
    """Arrays of one file of a family; without the family the test is skipped, without the file it fails."""
    folder = SHARED / "golden" / family
    if not folder.is_dir():
        pytest.skip(f"golden vectors not found (../shared/golden/{family})")
    with np.load(folder / f"{name}.npz") as archive:
        return {key: archive[key] for key in archive.files}
