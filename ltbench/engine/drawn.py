"""Rows of a task whose data are not here: photographs that are drawn, with labels as its protocol shows them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ltbench.data.base import DataSet, Labels, Part
from ltbench.method.config import Needs
from ltbench.tasks.task import Task
from ltbench.tasks.views import TestView, TrainView, caption_from_labels

SIZE = (500, 375)
"""Width and height in pixels: the usual size of Pascal VOC's photographs."""
PRESENT = 3
"""Classes in an image, as in MS-COCO."""
_FILES = 16


class DrawnImages:
    """JPEG files in memory, a few of them over and over."""

    def __init__(self, count: int) -> None:
        self._count = count
        rng = np.random.default_rng(0)
        self._files = [_jpeg(rng) for _ in range(min(count, _FILES))]

    def __len__(self) -> int:
        return self._count

    def load(self, row: int) -> Image.Image:
        """Decode one image as RGB."""
        return Image.open(io.BytesIO(self._files[row % len(self._files)])).convert("RGB")

    def sha256(self, row: int) -> str:
        """Hash of the row's number: rows share files and stand for different images."""
        return hashlib.sha256(f"drawn {row}".encode()).hexdigest()


def drawn_rows(task: Task, needs: Needs, train: int, test: int) -> tuple[DataSet, TrainView, TestView]:
    """Views of so many rows, and a data set without parts whose classes and groups they have.

    Args:
        needs: of the method; captions, label groups and validation rows are there if it asks for them.
    """
    names = task.seen
    groups = {f"group {start // 8}": names[start : start + 8] for start in range(0, len(names), 8)}
    validation = _view(task, names, test) if task.validation.in_final_runs else None
    seen = _view(task, names, train)
    captions = None
    if needs.captions:
        captions = tuple(caption_from_labels([names[c] for c in np.flatnonzero(row == 1)]) for row in seen.observed)
    view = TrainView(seen.ids, seen.images, seen.observed, names, captions, groups, validation)
    answers = TestView(tuple(f"test-{row}" for row in range(test)), DrawnImages(test), task.classes)
    return DataSet(task.data_set, task.classes, (), _no_part, groups), view, answers


def _view(task: Task, names: Sequence[str], rows: int) -> TrainView:
    return TrainView(tuple(f"drawn-{row}" for row in range(rows)), DrawnImages(rows), _labels(task, rows), tuple(names))


def _labels(task: Task, rows: int) -> Labels:
    """Observed labels int8 [rows, C]: each class is present somewhere, and what the protocol hides is unknown."""
    rng = np.random.default_rng(0)
    count = len(task.seen)
    labels = np.where(rng.random((rows, count)) < PRESENT / count, 1, -1).astype(np.int8)
    for row in range(rows):
        labels[row, row % count] = 1
    if task.protocol.kind == "single-positive":
        shown = np.zeros_like(labels)
        for row in range(rows):
            shown[row, row % count] = 1
        return shown
    if task.protocol.kind not in ("full", "seen-only"):
        labels[rng.random(labels.shape) < 0.5] = 0
    return labels


def _jpeg(rng: np.random.Generator) -> bytes:
    """A file of a photograph's size: smooth colours with some grain."""
    width, height = SIZE
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    grain = rng.normal(0, 12, smooth.shape).astype(np.float32)
    file = io.BytesIO()
    Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _no_part(name: str) -> Part:
    raise AssertionError(f"nothing is read of part {name} of rows that are drawn")
