"""From a request to everything phase 1 needs: recipe, backbone and data opened, and checked to fit together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ltbench.backbones.acceleration import unaccelerated
from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import find_backbone, open_backbone, own_size
from ltbench.backbones.released import bring_weights
from ltbench.data.base import DataSet, absent, default_offline
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.ahead import workers_of
from ltbench.engine.best_epoch import check_selection
from ltbench.engine.encode import Encoder
from ltbench.engine.machine import compute_with
from ltbench.engine.needs import behind_preprocessing, check_fit, read_task, unknown_policy
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.engine.request import Resolved, RunRequest, resolve_method
from ltbench.engine.setup import Setup
from ltbench.engine.sizes import differs, in_words
from ltbench.plugin.errors import UserError
from ltbench.tasks.needs import bring_missing, how_to_complete
from ltbench.tasks.registry import open_data_set
from ltbench.tasks.task import Task
from ltbench.tasks.views import TestView, TrainView, check_fingerprints, open_truth

SHOWN = 3
"""Names of missing images that an error shows."""


@dataclass
class Prepared:
    """A request with everything opened that phase 1 needs."""

    request: RunRequest
    resolved: Resolved
    backbone: Backbone
    data: DataSet
    device: torch.device
    policy: str

    @property
    def task(self) -> Task:
        """The task with only those published lists that the run has a use for."""
        return read_task(self.request.task, self.resolved.method.needs(), validates=self.request.selects)


def pick_device(name: str) -> torch.device:
    """``auto`` takes CUDA when there is one; ``cuda:1`` is the second of several.

    Raises:
        UserError: what was asked for is not there, or the name is no device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"{name!r} is no device", "--device auto|cpu|cuda|cuda:N|mps") from error
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError("device cuda was asked for, and torch finds none", "ltbench doctor")
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise UserError(f"device {name} was asked for, and there are {torch.cuda.device_count()}", "--device cuda")
        # What asks for "cuda" without a number means this one.
        torch.cuda.set_device(device if device.index is not None else torch.cuda.current_device())
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device mps was asked for, and torch finds none", "ltbench doctor")
    return device


def prepare(request: RunRequest, reporter: Reporter = SILENT, bring: bool = True) -> Prepared:
    """Resolve the recipe, open backbone and data set, and check that they fit together.

    Args:
        bring: download data that are missing, unless offline.

    Raises:
        UserError: anything that cannot work, before anything is written.
    """
    compute_with(request.threads)
    resolved = resolve_method(request)
    device = pick_device(request.device)
    if note := unaccelerated(request.dtype, device.type):
        reporter.line(note)
    needs = resolved.method.needs()
    if request.validation == "clean" and not needs.validation and not request.selects:
        raise UserError(f"method {request.method} asks for no validation rows", "leave --validation out")
    check_selection(request)
    # Before weights or data are downloaded; label groups are only known once the data set is open.
    check_fit(
        request.method, needs, request.task, True, request.backbone, find_backbone(request.backbone)[0].spec.offers
    )
    root = request.root(reporter)
    if bring and request.weights is None:
        bring_weights(request.backbone, root)
    backbone = open_backbone(
        request.backbone,
        weights=request.weights,
        dtype=request.dtype,
        device=str(device),
        offline=default_offline(),
        image_size=resolved.image_size,
    )
    backbone = behind_preprocessing(backbone, needs)
    if needs.image_size is not None and differs(needs.image_size, request.backbone):
        own = own_size(request.backbone)
        beside = f"; the backbone's own are of {own} x {own}" if own else ""
        reporter.line(f"{in_words(needs.image_size)}, as method {request.method} asks{beside}")
    if bring:
        bring_missing(read_task(request.task, needs, validates=request.selects), root)
    data = open_data_set(request.task, root)
    check_fit(request.method, needs, request.task, bool(data.label_groups), request.backbone, backbone.card.offers)
    return Prepared(request, resolved, backbone, data, device, unknown_policy(needs, request.task))


def found_fingerprints(prepared: Prepared) -> dict[str, str | None]:
    """Fingerprints of the data as found, checked against the task's; of lists that the run does not read, as pinned.

    The truth is opened for its hashes alone and let go. By then the method's class has been made and asked what it
    needs; it has been shown nothing yet.

    Raises:
        UserError: the data are not those of the task's version.
    """
    task, read = prepared.request.task, prepared.task
    truth = open_truth(read, prepared.data)
    check_fingerprints(task, truth.fingerprints, len(truth.ids), how_to_complete)
    return task.stating(truth.fingerprints, read).model_dump()


def need_images(task: Task, *views: TrainView | TestView) -> None:
    """Look whether the files of all images are there, before hours are spent on those that are.

    Raises:
        UserError: some are not; says how many, and names the first.
    """
    lost = [name for view in views for name in dict.fromkeys(absent(view.images))]
    if not lost:
        return
    rows = sum(len(set(view.ids)) for view in views)
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    raise UserError(
        f"{len(lost)} of the {rows} images that the run needs are missing: {', '.join(lost[:SHOWN])}{more}",
        how_to_complete(task),
    )


def need_images_of(prepared: Prepared, *views: TrainView | TestView | None) -> None:
    """The same for the views that a run has; an encoder without an image tower opens no image.

    Raises:
        UserError: as :func:`need_images`.
    """
    if prepared.backbone.visual is not None:
        need_images(prepared.request.task, *(view for view in views if view is not None))


def setup_for(prepared: Prepared, train: TrainView, folder: Path, reporter: Reporter, ranks: Ranks = ALONE) -> Setup:
    """What phase 1 works with, for one training view and one folder."""
    request, resolved = prepared.request, prepared.resolved
    encoder = Encoder(
        backbone=prepared.backbone,
        needs=resolved.method.needs(),
        cache=request.root().cache / "features",
        device=prepared.device,
        reporter=reporter,
        max_bytes=request.max_cache_bytes,
        workers=workers_of(request.workers, request.threads, prepared.backbone.card.image_size),
    )
    return Setup(
        method=resolved.method,
        variant=resolved.variant,
        backbone=prepared.backbone,
        train=train,
        seed=request.seed,
        device=prepared.device,
        policy=prepared.policy,
        encoder=encoder,
        folder=folder,
        reporter=reporter,
        ranks=ranks,
        accumulation=request.accumulation,
    )
