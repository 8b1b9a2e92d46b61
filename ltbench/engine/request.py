"""What a run is: the request as typed, and everything it resolves to before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from ltbench.backbones.options import EncodeDtype
from ltbench.backbones.registry import find_backbone, own_size
from ltbench.data.base import DataRoot
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.sizes import asked_size, in_words, run_size
from ltbench.method.config import MethodConfig, Preset, Variant, build_config, choose_preset, load_presets, read_presets
from ltbench.method.facts import facts_of
from ltbench.method.variant import choose_variant
from ltbench.plugin.errors import UnknownName
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import MethodSpec
from ltbench.tasks.defaults import Chosen
from ltbench.tasks.task import Task

if TYPE_CHECKING:
    from ltbench.method.method import Method

Overwrite = Literal["never", "failed", "always"]


@dataclass(frozen=True)
class RunRequest:
    """One run as a user asks for it.

    Attributes:
        method: recipe name.
        weights: None for the released weights, ``random``, or a checkpoint file.
        image_size: side of the square images in pixels; None takes that of the preset, else the backbone's own.
        dtype: arithmetic of the backbone's towers; part of the run's key. What is trained on top is float32.
        preset: a name, a YAML file (as ``ltbench tune`` writes), None to take the one made for this task, or ``none``.
        overrides: configuration fields given on the command line.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        threads: CPU threads; part of the run's key, because results are bit-equal only for the same number.
        workers: threads that load pictures ahead of training; None takes the cores that are left. Changes no result.
        out: folder for runs.
        limit: at most this many training rows; never ranked.
        share: train on this share of the training rows; never ranked.
        selection: the epoch that counts: the ``last``, or the best on ``validation`` rows, which the row then says.
        validation: labels of validation rows, for methods that ask for such, and to choose an epoch: ``observed``, or
            ``clean``, which the row then says.
        max_cache_bytes: cap on what the feature cache may grow by.
        why_backbone: why it is this backbone, where nobody named it.
        accumulation: passes that a training batch is cut into, where it does not fit at once; part of the run's key
            where it is more than one.
    """

    task: Task
    method: str
    backbone: str
    weights: str | None = None
    dtype: EncodeDtype = "float32"
    seed: int = 0
    preset: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    variant: Variant | None = None
    device: str = "auto"
    threads: int = 1
    data_root: Path | None = None
    out: Path = Path("ltbench-runs")
    limit: int | None = None
    share: float | None = None
    selection: Literal["last", "validation"] = "last"
    overwrite: Overwrite = "never"
    audit_selection: bool = False
    max_cache_bytes: int | None = None
    validation: Literal["observed", "clean"] = "observed"
    why_backbone: str = ""
    image_size: int | None = None
    workers: int | None = None
    accumulation: int = 1

    @property
    def selects(self) -> bool:
        """Whether validation rows choose the epoch that counts."""
        return self.selection == "validation"

    @property
    def headline(self) -> str:
        """What is run, one line; imports no torch."""
        head, colon, argument = self.backbone.partition(":")
        # Without the folders of its file.
        shown = f"{head}:{Path(argument).name}" if colon and head == "precomputed" else self.backbone
        chosen = Chosen(shown, self.why_backbone)
        registered, _, preset = resolve_preset(self)
        resized = {"image_size": facts_of(registered.spec).needs.image_size}
        resized |= {**(preset.overrides if preset is not None else {}), **self.overrides}
        asked = asked_size(self.image_size, preset) or resized["image_size"]
        own = find_backbone(self.backbone)[0].spec.image_size
        size = "" if asked in (None, own) else f", {in_words(asked)}"
        how = "" if self.dtype == "float32" else f", {self.dtype}"
        return f"{self.method} on {self.task.address}, {chosen}{size}{how}, seed {self.seed}"

    def root(self, reporter: Reporter = SILENT) -> DataRoot:
        """Where the data set is looked for."""
        return (
            DataRoot(reporter=reporter) if self.data_root is None else DataRoot(root=self.data_root, reporter=reporter)
        )


@dataclass(frozen=True)
class Resolved:
    """The recipe of a request: class, variant, preset and validated configuration.

    Attributes:
        image_size: what the backbone is opened with; None for its own.
        altered: options, or images of another size, that the preset does not have.
    """

    registered: Registered[MethodSpec]
    method: Method
    variant: Variant
    preset: Preset | None
    config: MethodConfig
    image_size: int | None = None
    altered: bool = False

    @property
    def origin(self) -> str:
        """Where the configuration comes from, as the record states it."""
        return self.preset.origin if self.preset is not None else "default (not tuned)"


def resolve_preset(request: RunRequest) -> tuple[Registered[MethodSpec], Variant, Preset | None]:
    """Find the recipe and choose variant and preset; imports no torch.

    Raises:
        UnknownName: method, variant or preset.
        UserError: a preset for another task or backbone.
    """
    registered = registry().methods.get(request.method)
    spec = registered.spec
    if request.variant is not None and request.variant not in spec.variants:
        known = "|".join(spec.variants)
        raise UnknownName(f"variant of {spec.name}", request.variant, spec.variants, f"--variant {known}")
    name, presets = request.preset, load_presets(spec)
    if name is not None and name.endswith((".yaml", ".yml")):
        presets = read_presets(Path(name), spec.name)
        name = presets[0].name
    place = (request.task.name, request.task.setting, request.backbone)
    variant = request.variant or cast(Variant, choose_variant(spec.variants, presets, name, *place))
    preset = choose_preset(presets, name, *place, variant, spec.name)
    return registered, variant, preset


def resolve_method(request: RunRequest) -> Resolved:
    """Find the recipe, choose variant and preset, and build its configuration.

    Raises:
        UnknownName: method, variant, preset or option.
        UserError: a preset for another task or backbone, a value that does not fit its option, or images of a size that
            method or backbone cannot have.
    """
    registered, variant, preset = resolve_preset(request)
    spec = registered.spec
    cls: type[Method] = spec.load()
    layers = [spec.config, preset.overrides if preset else {}, dict(request.overrides)]
    config = build_config(cls.Config, spec.name, *layers)
    method = cls(config)
    needs, typed = method.needs(), request.image_size
    size = run_size(spec.name, request.backbone, needs, config, typed, preset)
    usual = needs.image_size or asked_size(None, preset)
    altered = bool(request.overrides) or (typed is not None and typed != (usual or own_size(request.backbone)))
    return Resolved(registered, method, variant, preset, config, size, altered)
