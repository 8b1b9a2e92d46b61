"""What a run is going to take, measured on a few rows of it and extrapolated."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ltbench.backbones.features import Float32
from ltbench.backbones.precomputed import PrecomputedBackbone
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import released_files
from ltbench.data.base import Images, load_reduced
from ltbench.data.progress import SILENT
from ltbench.engine.drawn import drawn_rows
from ltbench.engine.encode import Encoder
from ltbench.engine.inputs import FeatureInputs, Inputs
from ltbench.engine.lacks import Look, aside
from ltbench.engine.log import RunLog
from ltbench.engine.machine import compute_with
from ltbench.engine.needs import behind_preprocessing, read_task, unknown_policy
from ltbench.engine.phase1 import PLAIN, Phase1
from ltbench.engine.prepare import Prepared, pick_device, setup_for
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.rows import Rows, rows_of
from ltbench.engine.setup import Setup
from ltbench.method import Augment, GradientStage
from ltbench.plugin.errors import UserError
from ltbench.tasks.registry import open_data_set
from ltbench.tasks.views import TestView, TrainView, open_test, open_train

STEPS = 4
"""Steps of a stage that are timed; the first warms up."""
PATIENCE = 5.0
"""Seconds after which the first step of a stage is enough."""
ANSWERED = 256
"""Rows whose answers are timed where features are cached."""
_ENCODED = {"cpu": 8, "cuda": 32, "mps": 32}


@dataclass(frozen=True)
class Measured:
    """Times of a few rows on this machine, and what they make of the whole run.

    Attributes:
        what: which rows were timed, one clause.
        device: ``cpu`` or ``cuda``.
        image_seconds: of one image, read and encoded; None where nothing is encoded ahead.
        step_seconds: of one step, by stage that trains by gradient.
        steps: of each such stage in the whole run.
        encode_seconds, train_seconds, answer_seconds: extrapolated to all rows; encoding as if the cache were empty.
            Judging is not in them.
        at_most: the rows are not counted yet, or a stage fits without gradients, so that this is an upper bound.
    """

    what: str
    device: str
    image_seconds: float | None
    step_seconds: dict[str, float]
    steps: dict[str, int]
    encode_seconds: float
    train_seconds: float
    answer_seconds: float
    at_most: bool

    @property
    def seconds(self) -> float:
        """Of all three."""
        return self.encode_seconds + self.train_seconds + self.answer_seconds


class _Enough(Exception):
    """A stage was timed for long enough."""


@dataclass
class _Clock:
    """Seconds of one image, and how many views of training and of validation rows a run would encode."""

    image: float | None = None
    views: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sampled(Encoder):
    """Encodes a few images, times them, and gives their features, shaken a little, for every row."""

    clock: _Clock = field(default_factory=_Clock)

    def inputs(self, images: Images, ids: Sequence[str], augment: Augment, label: str) -> Inputs:
        """As a run has them, but for features that only look like theirs."""
        if self.needs.input == "image" or augment.kind == "live" or isinstance(self.backbone, PrecomputedBackbone):
            return super().inputs(images, ids, augment, label)
        views = {"flip": 2, "views": 1 + augment.k}.get(augment.kind, 1)
        self.clock.views[label] = max(views, self.clock.views.get(label, 0))
        count = min(len(images), _ENCODED[self.device.type])
        pooled, regions = self._few(images, count)
        rng = np.random.default_rng(0)
        at = np.arange(len(images)) % count

        def spread(values: torch.Tensor) -> Float32:
            found: Float32 = np.repeat(values.float().cpu().numpy()[at][:, None], views, axis=1)
            found += rng.standard_normal(found.shape, dtype=np.float32) * np.float32(0.01 * np.abs(found).mean())
            return found

        return FeatureInputs(spread(pooled), None if regions is None else spread(regions), int(augment.kind == "views"))

    def _few(self, images: Images, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        def encode(rows: range) -> tuple[torch.Tensor, torch.Tensor | None]:
            least = self.backbone.least_side
            pictures = [self.backbone.preprocess(load_reduced(images, row, least)) for row in rows]
            pixels = torch.stack(pictures).to(self.device)
            if self.needs.input == "region":
                return quick.encode_regions(pixels)
            return quick.encode_global(pixels), None

        assert self.backbone.visual is not None
        self.backbone.visual.to(self.device).eval()
        quick = self.backbone.for_encoding()
        with torch.no_grad():
            encode(range(1))
            with _timed(self.device) as took:
                found = encode(range(count))
        self.clock.image = took[0] / count
        return found


def measure(request: RunRequest) -> Measured:
    """Time a few images, steps and answers of a run on this machine, and extrapolate to all its rows.

    Data and weights that are not here are drawn: photographs of an ordinary size, weights at random, which take as
    long. Nothing is downloaded, and nothing is left anywhere.

    Raises:
        UserError: the run cannot be made, or nobody knows how many rows it has.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, train, test, rows, what = _opened(request, Path(folder))
        setup = setup_for(prepared, train, Path(folder) / "run", SILENT)
        setup.folder.mkdir()
        clock = _Clock()
        known = {name: getattr(setup.encoder, name) for name in setup.encoder.__dataclass_fields__}
        setup.encoder = _Sampled(**known, clock=clock)
        phase = Phase1(setup)
        steps, seconds, fitted = _stages(phase, setup, rows)
        answered = _answers(phase, test, rows)
    once = clock.image or 0.0
    views = clock.views.get("encoding training images", 0)
    validated = clock.views.get("encoding validation images", 0)
    encoded = rows.train * views + rows.validation * validated + (0 if clock.image is None else rows.test)
    return Measured(
        what=what,
        device=prepared.device.type,
        image_seconds=clock.image,
        step_seconds=seconds,
        steps=steps,
        encode_seconds=encoded * once,
        train_seconds=fitted + sum(seconds[name] * steps[name] for name in seconds),
        answer_seconds=answered,
        # A fit without gradients has a part that does not grow with the rows.
        at_most=not rows.exact or fitted > 0,
    )


def _opened(request: RunRequest, folder: Path) -> tuple[Prepared, TrainView, TestView, Rows, str]:
    """What a run would open, of a few rows; data and weights that are not here are drawn."""
    compute_with(request.threads)
    resolved, device, root = resolve_method(request), pick_device(request.device), request.root()
    needs = resolved.method.needs()
    files = released_files(request.backbone) if request.weights is None else ()
    drawn = any(file.here(root) is None for file in files)
    weights = "random" if drawn else request.weights
    opened = open_backbone(
        request.backbone,
        weights=weights,
        dtype=request.dtype,
        device=str(device),
        offline=True,
        image_size=resolved.image_size,
    )
    backbone = behind_preprocessing(opened, needs)
    batch = int(getattr(resolved.config, "batch_size", 64))
    if Look().lacks(replace(request, weights="random"), root):
        known = rows_of(request.task)
        if known is None:
            raise UserError(f"nobody knows how many rows {request.task.address} has before its data are here")
        data, train, test = drawn_rows(request.task, needs, max(2 * batch, 32), ANSWERED)
        what = "drawn photographs of 500 x 375, since the data are not here"
    else:
        data = open_data_set(request.task, aside(root, folder))
        task = read_task(request.task, needs, validates=request.selects)
        train, test = open_train(task, data, validation=request.validation), open_test(task, data)
        validation = 0 if train.validation is None else len(train.validation)
        known = Rows(len(train), validation, len(test), exact=True)
        what = "rows of its own"
    few = _ENCODED[device.type] if needs.input == "image" else ANSWERED
    limit = request.limit or max(known.train, known.test)
    rows = replace(known, train=min(known.train, limit), test=min(known.test, limit))
    prepared = Prepared(request, resolved, backbone, data, device, unknown_policy(needs, request.task))
    said = f"{what}; weights drawn, since the released ones are not here" if drawn else what
    return prepared, train.limited(min(rows.train, max(2 * batch, 32))), test.limited(min(rows.test, few)), rows, said


def _stages(phase: Phase1, setup: Setup, rows: Rows) -> tuple[dict[str, int], dict[str, float], float]:
    """Steps of the whole run and seconds of one, by stage, and seconds of stages that fit without gradients."""
    # Takes seconds to import, which are none of a step.
    import ltbench.engine._mmengine  # noqa: F401

    log = RunLog(setup.folder / "log.jsonl")
    steps: dict[str, int] = {}
    seconds: dict[str, float] = {}
    fitted = 0.0
    for number, stage in enumerate(phase.stages):
        stage.module.to(setup.device)
        if not isinstance(stage, GradientStage):
            if stage.fit is not None:
                rowset = phase.training_rows()
                with _timed(setup.device) as took:
                    phase.fit(stage, rowset)
                fitted += took[0] * rows.train / len(rowset)
            continue
        if stage.epochs == 0:
            continue
        rowset = phase.rows_of(stage)
        name = stage.name if stage.name not in steps else f"{stage.name} {number}"
        steps[name] = math.ceil(rows.train / stage.batch_size) * stage.epochs
        seconds[name] = _step(phase, setup, number, stage, log)
    return steps, seconds, fitted


def _step(phase: Phase1, setup: Setup, number: int, stage: GradientStage, log: RunLog) -> float:
    ticks = [time.perf_counter()]

    def tick() -> None:
        if setup.device.type == "cuda":
            torch.cuda.synchronize()
        ticks.append(time.perf_counter())
        if len(ticks) > STEPS or ticks[-1] - ticks[0] > PATIENCE:
            raise _Enough

    setup.after_step = tick
    try:
        phase.train(number, stage, phase.rows_of(stage), setup.folder / f"stage-{number}.pt", None, log)
    except _Enough:
        pass
    finally:
        setup.after_step = None
    each = np.diff(ticks)
    return float(np.median(each[1:] if len(each) > 1 else each))


def _answers(phase: Phase1, test: TestView, rows: Rows) -> float:
    """Seconds of all answers: what is done once, such as encoding class names, and so much for each row."""
    phase.module.eval()
    took = []
    for count in (1, len(test)):
        few = test.limited(count)
        inputs = phase.setup.encoder.inputs(few.images, few.ids, PLAIN, "encoding test images")
        with _timed(phase.setup.device) as seconds:
            phase.predict(inputs, test.class_names)
        took.append(seconds[0])
    each = max(0.0, took[1] - took[0]) / max(1, len(test) - 1)
    return took[0] + each * (rows.test - 1)


@contextmanager
def _timed(device: torch.device) -> Iterator[list[float]]:
    """Seconds that the block takes, in a list that is filled when it ends."""
    took: list[float] = []
    started = time.perf_counter()
    yield took
    if device.type == "cuda":
        torch.cuda.synchronize()
    took.append(time.perf_counter() - started)
