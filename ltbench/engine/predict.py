"""A recorded run as a method ready to use: rebuilt from its folder, without the task's data, for new pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import open_backbone
from ltbench.data.base import default_cache, default_offline
from ltbench.data.progress import SILENT
from ltbench.engine.again import again
from ltbench.engine.answer import Logits
from ltbench.engine.encode import Encoder
from ltbench.engine.inputs import FeatureInputs, Inputs, Rowset
from ltbench.engine.kept import Kept, read_kept
from ltbench.engine.machine import compute_with
from ltbench.engine.needs import behind_preprocessing
from ltbench.engine.phase1 import Phase1
from ltbench.engine.prepare import pick_device
from ltbench.engine.setup import Setup
from ltbench.method import Augment, Method, Needs
from ltbench.method.config import build_config
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord
from ltbench.records.store import TRAINING_NAME, WEIGHTS_NAME

if TYPE_CHECKING:
    from PIL.Image import Image

# Not from the feature cache and not into it: pictures that are predicted on once are not worth their disk space.
_UNCACHED = Augment("live")


class _Held:
    """Pictures that are in memory already."""

    def __init__(self, pictures: Sequence[Image]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, row: int) -> Image:
        return self._pictures[row]

    def sha256(self, row: int) -> str:
        return hashlib.sha256(self._pictures[row].tobytes()).hexdigest()


@dataclass
class Predictor:
    """A trained method with its encoder. A context: modules with an open class set answer for ``class_names`` inside.

    Attributes:
        class_names: columns of the logits.
        warnings: what may make predictions differ from those of the run, one line each.
    """

    record: RunRecord
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]
    _phase: Phase1
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def calibrated(self) -> bool:
        """Whether probability = sigmoid(logit); otherwise logits order the classes, no more."""
        return self.record.method.calibrated

    @property
    def least_side(self) -> int | None:
        """Pixels that both sides of a picture must keep, see :attr:`Backbone.least_side`; None for features."""
        return self._phase.setup.backbone.least_side

    @property
    def setup(self) -> Setup:
        """What it was built with."""
        return self._phase.setup

    @property
    def module(self) -> nn.Module:
        """The module that answers."""
        return self._phase.module

    def __enter__(self) -> Predictor:
        self._logits_of = self._open.enter_context(self._phase.answering(self.class_names))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def logits(self, pictures: Sequence[Image]) -> Logits:
        """Logits float32 [n, C] of RGB pictures; they are encoded in one batch.

        Files that are read at a part of their size down to :attr:`least_side` get what a run on them would give them.
        """
        setup = self._phase.setup
        rows = [str(row) for row in range(len(pictures))]
        return self._logits(setup.encoder.inputs(_Held(pictures), rows, _UNCACHED, ""))

    def logits_of_features(self, features: npt.NDArray[np.float32]) -> Logits:
        """Logits float32 [n, C] of global features float32 [n, D], as the run's encoder gives them.

        Raises:
            UserError: the method looks at more than one feature an image, or they are of another width.
        """
        setup = self._phase.setup
        asked, dim = setup.method.needs().input, setup.backbone.card.dim
        if asked != "global":
            raise UserError(
                f"{self.record.method.name} looks at {asked} inputs, so one feature an image is not enough",
                "ltbench predict with pictures",
            )
        if features.shape[1] != dim:
            raise UserError(
                f"the features have {features.shape[1]} numbers an image, those of the run {dim}",
                f"compute them with {self.record.backbone.name}",
            )
        return self._logits(FeatureInputs(features[:, None, :]))

    def _logits(self, inputs: Inputs) -> Logits:
        rows = len(inputs)
        return self._logits_of(Rowset(inputs, torch.zeros((rows, 0), dtype=torch.int8)).batch(np.arange(rows)))


def open_run(
    path: Path,
    *,
    class_names: tuple[str, ...] | None = None,
    overrides: Mapping[str, Any] | None = None,
    weights: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    features: Path | None = None,
) -> Predictor:
    """Build a recorded method again.

    Args:
        path: the record, in the run's folder.
        class_names: answer for these classes (methods with an open class set only); None takes those of the run.
        overrides: options that name files, which records do not: where they lie on this machine.
        weights: file of the backbone's weights, where the run's came from a file.
        device: as for a run.
        threads: CPU threads; None takes those of the run.
        features: file of the features that are to be predicted on, for a run on features.

    Raises:
        UserError: the run did not complete, lacks its weights, or cannot be built again as it was; no such classes.
    """
    record = load_record(path)
    if record.status != "completed":
        raise UserError(
            f"run {record.key[:8]} {record.status} ({record.reason}): it has no method to apply", again(record)
        )
    method = _method(record, overrides or {})
    needs = method.needs()
    if class_names is not None:
        _check_classes(record, needs, class_names)
    kept = _kept(record, path.parent)
    state = _state(record, path.parent, kept)
    compute_with(threads or record.threads)
    where = pick_device(device)
    backbone = _backbone(record, needs, weights, where, features)
    setup = Setup(
        method=method,
        variant=record.method.variant,
        backbone=backbone,
        train=kept.view,
        seed=record.seed,
        device=where,
        policy=record.method.unknown_policy,
        encoder=Encoder(backbone, needs, default_cache() / "features", where, SILENT),
        folder=path.parent,
        reporter=SILENT,
    )
    phase = Phase1(setup)
    try:
        phase.load(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())
        raise UserError(
            f"{WEIGHTS_NAME} of run {record.key[:8]} does not fit {record.method.name} as it is installed ({line})",
            f"pip install {record.method.distribution}=={record.method.version}",
        ) from error
    names = class_names or kept.answers
    return Predictor(record, names, (*_differences(record, backbone), *_unknown(backbone, needs, class_names)), phase)


def _method(record: RunRecord, overrides: Mapping[str, Any]) -> Method:
    """The method under the recorded configuration."""
    facts = record.method
    spec = registry().methods.get(facts.name).spec
    cls: type[Method] = spec.load()
    try:
        config = build_config(cls.Config, spec.name, facts.config, overrides)
    except UserError as error:
        raise UserError(
            f"the configuration of run {record.key[:8]} cannot be built again: {error.message}",
            "-o OPTION=FILE, if it is a file that lies elsewhere",
        ) from error
    found = config.model_dump(mode="json")
    for name in overrides:
        if found.get(name) != facts.config.get(name):
            raise UserError(
                f"option {name} of run {record.key[:8]} was {facts.config.get(name)!r}, not {found.get(name)!r}",
                f"ltbench show run {record.key[:8]}",
            )
    return cls(config)


def _check_classes(record: RunRecord, needs: Needs, names: tuple[str, ...]) -> None:
    if needs.classes != "open":
        raise UserError(
            f"{record.method.name} learned one output for each class it was trained on and cannot answer for other "
            "class names",
            "leave --classes out, or find a method with an open class set: ltbench list methods --task shapes-zsl",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--classes names {twice[0]!r} twice", "name each class once")


def _kept(record: RunRecord, folder: Path) -> Kept:
    path = folder / TRAINING_NAME
    if not path.is_file():
        raise UserError(
            f"run {record.key[:8]} has no {TRAINING_NAME} beside its record, so its method cannot be built again",
            again(record),
        )
    try:
        return read_kept(path)
    except UserError as error:
        raise UserError(error.message, again(record)) from error


def weights_of(record: RunRecord, folder: Path) -> dict[str, Tensor]:
    """The weights of a run, if they are those that it wrote.

    Raises:
        UserError: they, or what says which they are, are missing, damaged, or others.
    """
    return _state(record, folder, _kept(record, folder))


def _state(record: RunRecord, folder: Path, kept: Kept) -> dict[str, Tensor]:
    """The weights, if they are those that the run wrote."""
    from safetensors.torch import load

    if kept.weights_sha256 is None:
        return {}
    path = folder / WEIGHTS_NAME
    if not path.is_file():
        raise UserError(f"run {record.key[:8]} has no {WEIGHTS_NAME} beside its record", again(record))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})", again(record)) from error
    if hashlib.sha256(content).hexdigest() != kept.weights_sha256:
        raise UserError(f"{path} is damaged, or not the file that the run wrote", again(record))
    try:
        return load(content)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error})", again(record)) from error


def _backbone(
    record: RunRecord, needs: Needs, weights: str | None, device: torch.device, features: Path | None
) -> Backbone:
    """The encoder with the very weights and preprocessing of the run; for a run on features, these features."""
    facts = record.backbone
    if "image" not in facts.offers:
        if features is None:
            raise UserError(
                f"backbone {facts.name} is a file of features that were computed elsewhere; it cannot encode pictures",
                f"ltbench predict --run {record.key[:8]} FEATURES.npz",
            )
        # Another file stands in: what was computed there, nobody can check but by its width.
        backbone = open_backbone(f"precomputed:{features}", offline=True)
        if backbone.card.dim != facts.dim:
            raise UserError(
                f"{features.name} has {backbone.card.dim} numbers an image, the features of the run {facts.dim}",
                "compute them as those of the run",
            )
        return backbone
    if weights is None and facts.weights.startswith("file "):
        raise UserError(
            f"the weights of backbone {facts.name} came from {facts.weights}; records name no places",
            "--weights FILE",
        )
    backbone = open_backbone(
        facts.name,
        weights="random" if facts.weights == "random" else weights,
        dtype=facts.dtype,  # type: ignore[arg-type]
        device=str(device),
        offline=default_offline(),
        image_size=facts.image_size,
    )
    backbone = behind_preprocessing(backbone, needs)
    card = backbone.card
    if card.weights_sha256 != facts.weights_sha256:
        raise UserError(
            f"backbone {facts.name} has other weights here (sha256 {card.weights_sha256[:16]}…) than the run had "
            f"({facts.weights_sha256[:16]}…)",
            f"--weights FILE with those of the run ({facts.weights})",
        )
    if card.transform_sha256 != facts.transform_sha256:
        raise UserError(
            f"backbone {facts.name} preprocesses images otherwise here ({card.transform}) than in the run "
            f"({facts.transform})",
            again(record),
        )
    return backbone


def _differences(record: RunRecord, backbone: Backbone) -> list[str]:
    """What is installed in another version than the run had."""
    facts = record.method
    installed = registry().methods.get(facts.name)
    found = []
    if (installed.distribution, installed.version) != (facts.distribution, facts.version):
        found.append(
            f"method {facts.name} is from {installed.distribution} {installed.version} here, the run's was from "
            f"{facts.distribution} {facts.version}"
        )
    if "image" not in record.backbone.offers:
        if backbone.card.weights_sha256 != record.backbone.weights_sha256:
            found.append(f"nothing here can tell whether these features are made as those of {record.backbone.name}")
    elif backbone.card.revision != record.backbone.revision:
        found.append(f"the encoder is {backbone.card.revision} here, the run's was {record.backbone.revision}")
    return found


def _unknown(backbone: Backbone, needs: Needs, names: tuple[str, ...] | None) -> list[str]:
    """New class names that the text tower cuts off or does not know."""
    if names is None or backbone.text is None or not needs.text:
        return []
    return [f"class {name!r}: {why}" for name, why in backbone.text.unknown_parts(names).items()]
