"""Pictures and a table of them in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

ROWS = ["a.png,train,cat", "b.png,train,cat|dog", "c.png,train,", "d.png,test,dog", "e.png,test,cat"]


def picture(path: Path, colour: int) -> None:
    Image.fromarray(np.full((6, 8, 3), colour, dtype=np.uint8)).save(path)


def table(tmp_path: Path, rows: list[str], header: str = "file,split,labels") -> Path:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
