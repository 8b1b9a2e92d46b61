"""Runs of four methods on ``shapes-micro``, and what is read from and changed in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

METHODS = {
    "linear-probe": ["-o", "epochs=2", "--weights", "random"],
    "coop": ["-o", "epochs=2"],
    "zero-shot": [],
    # Its rows are drawn class by class, so that its stages cannot be built without observed labels.
    "rs": ["-o", "epochs=1", "-o", "sampler=class-aware"],
}


def attempt(here: Path, method: str) -> Path:
    """Folder of the run of a method."""
    (record,) = (here / "ltbench-runs" / "shapes-micro" / method).rglob("record.json")
    return record.parent


def table_of(document: dict[str, Any]) -> np.ndarray:
    """Logits [n, C] of a JSON answer in the order of its classes."""
    rows = [{label["class"]: label["logit"] for label in picture["labels"]} for picture in document["pictures"]]
    return np.array([[row[name] for name in document["classes"]] for row in rows], dtype=np.float32)
