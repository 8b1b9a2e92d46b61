"""Features of a task's images ahead of any run, whole or a share of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ltbench.backbones.encode_share import Encoded, Part, SharedCache
from ltbench.backbones.options import EncodeDtype
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import bring_weights
from ltbench.backbones.shards import Share
from ltbench.backbones.views import View, flip, identity
from ltbench.data.base import DataRoot, DataSet, default_offline
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.machine import compute_with
from ltbench.engine.prepare import need_images, pick_device
from ltbench.plugin.system import usable_cores
from ltbench.tasks.needs import bring_missing
from ltbench.tasks.registry import open_data_set
from ltbench.tasks.task import Task
from ltbench.tasks.views import TestView, TrainView, open_test, open_train

WHOLE = Share(1, 1)


@dataclass(frozen=True)
class EncodeRequest:
    """What is to be encoded.

    Attributes:
        task: whose images; its settings share them.
        weights: None for the released ones, ``random``, or a file.
        image_size: in pixels; None for the backbone's own.
        kind: of features: ``global``, or ``region`` for both.
        flipped: training images mirrored as well.
        share: which share of the images.
    """

    task: Task
    backbone: str
    weights: str | None = None
    image_size: int | None = None
    dtype: EncodeDtype = "float32"
    kind: Literal["global", "region"] = "global"
    flipped: bool = False
    share: Share = WHOLE
    device: str = "auto"
    threads: int = 1


def encode_task(request: EncodeRequest, root: DataRoot, reporter: Reporter = SILENT) -> Encoded:
    """Encode training, validation and test images as runs would; no label is looked at.

    Raises:
        UserError: data or weights are not here and cannot be brought; images are missing; the cache has no room.
    """
    compute_with(request.threads)
    device = pick_device(request.device)
    if request.weights is None:
        bring_weights(request.backbone, root)
    bring_missing(request.task, root)
    backbone = open_backbone(
        request.backbone,
        weights=request.weights,
        dtype=request.dtype,
        image_size=request.image_size,
        device=str(device),
        offline=default_offline(),
    )
    data = open_data_set(request.task, root)
    parts = []
    for label, view, views in _views(request, data):
        need_images(request.task, view)
        parts.append(Part(view.images, view.ids, views, f"encoding {label} images"))
    return SharedCache(root.cache / "features").encode(
        backbone, parts, request.share, kind=request.kind, device=device, reporter=reporter,
        workers=max(2, usable_cores() - request.threads),
    )  # fmt: skip


def _views(request: EncodeRequest, data: DataSet) -> Iterator[tuple[str, TrainView | TestView, list[View]]]:
    """Views of the task, in the order in which a run encodes them."""
    plain = [identity()]
    yield "test", open_test(request.task, data), plain
    train = open_train(request.task, data)
    yield "training", train, [*plain, flip()] if request.flipped else plain
    if train.validation is not None:
        yield "validation", train.validation, plain
