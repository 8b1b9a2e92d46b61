"""A recorded run as one file that torch runs without ltbench: encoder, method and class names, checked when written."""

from __future__ import annotations

import inspect
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.backbones.precomputed import PrecomputedBackbone
from ltbench.data.base import DataRoot, absent, load_reduced
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.calibrate import NAME as VALIDATION
from ltbench.engine.calibrate import judged_rows
from ltbench.engine.predict import Predictor, open_run
from ltbench.method import Batch
from ltbench.metrics.thresholds import Rule
from ltbench.nn import ConditionalPrompts, PromptClassifier, PromptLearner
from ltbench.plugin.blame import place_of
from ltbench.plugin.errors import DataMissing, UnknownName, UserError
from ltbench.plugin.files import write_with
from ltbench.plugin.reading import one_line
from ltbench.records.logits import read_logits
from ltbench.records.read import load_record
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import TestView, open_test

#: Test rows on which the written program is held against the run's own logits.
ROWS: Final = 16
#: How far a logit may be off, of the largest one: sums are rounded in another order, and bfloat16 has eight bits.
TOLERANCE: Final[Mapping[str, float]] = {"float32": 1e-3, "bfloat16": 5e-2}
#: Of the file inside of the program that says what it is.
FACTS: Final = "ltbench.json"
LOGITS: Final = "logits.safetensors"


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        facts: what is inside of it as ``ltbench.json``.
        checked: what it was held against.
        difference: largest one of a logit there.
    """

    path: Path
    facts: dict[str, Any]
    checked: str
    difference: float


class Whole(nn.Module):
    """From preprocessed images float32 [n, 3, H, W], or features [n, D] of a run on features, to logits [n, C]."""

    def __init__(self, backbone: Backbone, module: nn.Module, given: str) -> None:
        super().__init__()
        # Registered, so that weights are parameters of the program and no constants of it.
        self.visual, self.module = backbone.visual, module
        self._backbone, self._given = backbone, given

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        backbone, asked = self._backbone, self._given
        given: Tensor | tuple[Tensor, Tensor] = inputs
        if asked == "global" and backbone.visual is not None:
            given = backbone.encode_global(inputs).float()
        elif asked == "region":
            whole, regions = backbone.encode_regions(inputs)
            given = (whole.float(), regions.float())
        count = inputs.shape[0]
        rows = torch.arange(count, device=inputs.device)
        batch = Batch(rows, given, torch.zeros((count, 0), dtype=torch.int8, device=inputs.device))
        logits: Tensor = self.module.logits(batch)  # type: ignore[operator]
        return logits.float()


def export(
    record: Path,
    path: Path,
    *,
    data_root: Path | None = None,
    weights: str | None = None,
    features: Path | None = None,
    reporter: Reporter = SILENT,
) -> Exported:
    """Write a run as a program of ``torch.export``.

    Args:
        record: in the run's folder.
        path: of the program, ``.pt2``.
        data_root: where data sets are, to check the program on test images.
        weights: file of the backbone's weights, where the run's came from a file.
        features: of a run on features: the file of its task.

    Raises:
        UserError: the run cannot be built again, torch cannot export it, or the program gives other logits.
    """
    if features is None and "image" not in load_record(record).backbone.offers:
        raise UserError(
            "the run is on features that were computed elsewhere; some are needed to check the program",
            "--features FILE.npz",
        )
    predictor = open_run(record, weights=weights, device="cpu", features=features)
    setup = predictor.setup
    needs = setup.method.needs()
    example = _example(setup.backbone)
    with predictor, torch.no_grad():
        whole = Whole(setup.backbone, predictor.module, needs.input).eval()
        reporter.line("exporting")
        try:
            batch = torch.export.Dim("batch", min=1, max=4096)
            with _texts_kept(whole, example), _quiet():
                program = torch.export.export(whole, (example,), dynamic_shapes=({0: batch},), strict=False)
        except Exception as error:  # of torch's tracing, whatever a method does that it cannot follow
            name, place = predictor.record.method.name, place_of(error)
            where = f" at {place}" if place else ""
            raise UserError(
                f"torch cannot export {name}: it does not follow what it does{where} "
                f"({type(error).__name__}: {one_line(error)[:160]})",
                "ltbench predict, which needs no export",
            ) from error
        inputs, expected, checked = _known(predictor, record.parent, data_root)
        reporter.line(f"checking on {len(inputs)} {checked}")
        found = program.module()(inputs).numpy()
    difference = float(np.abs(found - expected).max())
    allowed = TOLERANCE[predictor.record.backbone.dtype] * max(1.0, float(np.abs(expected).max()))
    if difference > allowed:
        raise UserError(
            f"the program's logits are {difference:.3g} off those of the run on {checked}, allowed is {allowed:.3g}",
            "ltbench predict, which needs no export",
        )
    facts = _facts(predictor, record, example, checked, difference)
    text = json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False)
    write_with(path, lambda file: torch.export.save(program, file, extra_files={FACTS: text}))
    return Exported(path, facts, checked, difference)


@contextmanager
def _quiet() -> Iterator[None]:
    """Where torch cannot follow a method it prints the whole program so far; the error that it raises says enough."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _texts_kept(whole: Whole, example: Tensor) -> Iterator[None]:
    """What is the same for all images as numbers, so that the program needs no text tower: features of learned prompts,
    and whatever else a module gives that is called without an input.

    Prompts that an image changes go through the tower image by image; of these, the part that no image changes.
    """
    kept: dict[tuple[int, str], Any] = {}

    def keeping(part: nn.Module, name: str) -> Callable[..., Any]:
        compute = getattr(part, name)

        def known(*args: Any, **how: Any) -> Any:
            if name == "forward" and (args or how):
                return compute(*args, **how)
            if (id(part), name) not in kept:
                kept[id(part), name] = compute(*args, **how)
            return kept[id(part), name]

        return known

    parts = list(whole.module.modules())
    constant: list[tuple[nn.Module, str]] = [
        (part, "class_features") for part in parts if isinstance(part, PromptLearner | PromptClassifier)
    ]
    constant += [(part, "forward") for part in parts if _takes_nothing(part)]
    conditional = [part for part in parts if isinstance(part, ConditionalPrompts)]
    chunks = [part.chunk for part in conditional]
    try:
        for part, name in constant:
            setattr(part, name, keeping(part, name))
        for prompts in conditional:
            # A number of images that is not known yet cannot be cut into chunks.
            prompts.chunk = None
        whole(example)
        yield
    finally:
        for part, name in constant:
            delattr(part, name)
        for prompts, chunk in zip(conditional, chunks, strict=True):
            prompts.chunk = chunk


def _takes_nothing(part: nn.Module) -> bool:
    """Whether a module can be called without an input."""
    try:
        inspect.signature(part.forward).bind()
    except TypeError:
        return False
    return True


def _example(backbone: Backbone) -> Tensor:
    card = backbone.card
    if backbone.visual is None:
        return torch.zeros((2, card.dim))
    if card.image_size is None:
        raise UserError(f"backbone {card.name} does not say how large its images are", "--image-size when it is run")
    return torch.zeros((2, 3, card.image_size, card.image_size))


def _known(predictor: Predictor, folder: Path, data_root: Path | None) -> tuple[Tensor, npt.NDArray[np.float32], str]:
    """Inputs with the logits that they have to give, and what they are: test rows of the run, if they are here."""
    backbone = predictor.setup.backbone
    view = _test_view(predictor, data_root)
    stored = read_logits(folder / LOGITS)
    if view is not None and fingerprint(list(view.ids)) == stored.ids_sha256:
        rows = range(min(ROWS, len(view)))
        if isinstance(backbone, PrecomputedBackbone):
            # Another file than the run's may hold none of its test images.
            with suppress(UserError):
                features = backbone.features_for(view.ids[: len(rows)])
                return torch.from_numpy(features), stored.logits[: len(rows)], "test images of the run"
        elif not absent(view.images):
            pictures = [load_reduced(view.images, row, backbone.least_side) for row in rows]
            inputs = torch.stack([backbone.preprocess(one) for one in pictures])
            return inputs, stored.logits[: len(rows)], "test images of the run"
    # Without the data the method as it was built again stands for the run; the file says which it was.
    generator = np.random.default_rng(0)
    if backbone.visual is None:
        drawn = generator.normal(size=(ROWS, backbone.card.dim)).astype(np.float32)
        return torch.from_numpy(drawn), predictor.logits_of_features(drawn), "made-up features"
    pictures = [Image.fromarray(generator.integers(0, 255, (96, 128, 3), np.uint8)) for _ in range(ROWS)]
    return torch.stack([backbone.preprocess(one) for one in pictures]), predictor.logits(pictures), "made-up pictures"


def _test_view(predictor: Predictor, data_root: Path | None) -> TestView | None:
    """The test images of the run; None where the task or its data are not here."""
    try:
        task = load_task(predictor.record.task.address)
        return open_test(task, open_data_set(task, DataRoot() if data_root is None else DataRoot(root=data_root)))
    except (UnknownName, DataMissing):
        return None


def _facts(predictor: Predictor, record: Path, example: Tensor, checked: str, difference: float) -> dict[str, Any]:
    facts, backbone = predictor.record, predictor.setup.backbone
    limits = None
    if (record.parent / VALIDATION).is_file():
        found = judged_rows(record).thresholds(Rule("f1"))
        limits = {name: None if one is None else one.logit for name, one in found.items()}
    statistics = backbone.statistics
    return {
        "classes": list(predictor.class_names),
        "calibrated": predictor.calibrated,
        "thresholds_f1": limits,
        "input": ["batch", *example.shape[1:]],
        "preprocessing": facts.backbone.transform,
        "mean": None if statistics is None else list(statistics[0]),
        "deviation": None if statistics is None else list(statistics[1]),
        "task": facts.task.address,
        "method": facts.method.name,
        "variant": facts.method.variant,
        "backbone": facts.backbone.name,
        "licence": facts.backbone.licence,
        "run": facts.key,
        "record_sha256": facts.record_sha256,
        "torch": torch.__version__,
        "checked_on": checked,
        "largest_difference": difference,
    }
