"""Configuration of methods, presets with an origin, and what a method needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from ltbench.backbones.registry import find_backbone
from ltbench.method.origin import Origin, parse_origin
from ltbench.plugin.errors import Damaged, UnknownName, UserError
from ltbench.plugin.reading import read_yaml_file
from ltbench.plugin.sealed import read_sealed_json
from ltbench.plugin.specs import MethodSpec
from ltbench.plugin.yaml_text import read_yaml

Variant = Literal["paper", "code"]

SEARCH_RECORD = "trials.json"
"""Where ``ltbench tune`` records all trials of a search, beside the preset file."""


class MethodConfig(BaseModel):
    """Base of every method's ``Config``: immutable, extra keys forbidden.

    Each field of a subclass has a default and a description that states its unit and its source
    (``Field(30, description="passes over the training rows; LMPT section 4.1")``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def idle(self) -> frozenset[str]:
        """Options that decide nothing under the values of others, so that no search varies them."""
        return frozenset()

    def unstated(self) -> frozenset[str]:
        """Options that a record leaves out, so that its run has the key of those made before there was a choice."""
        return frozenset()

    @model_serializer(mode="wrap")
    def _stated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        for name in self.unstated():
            found.pop(name, None)
        return found


class Needs(BaseModel):
    """What a method asks of backbone and task.

    Attributes:
        input: what a batch carries: raw ``image``, one ``global`` feature, or ``region`` features with the global one.
        text: the backbone must have a text tower.
        captions: training rows must have captions.
        groups: the task must have label groups; ``if-given`` uses them where it has some. Otherwise none are given.
        classes: ``open`` methods answer for class names first seen at test; ``fixed`` ones cannot run zero-shot tasks.
        unknown: what becomes of 0 in observed labels; ``None`` takes the task's policy.
        validation: the method must be given a validation view; its rows carry the extra ``validation``, or ``clean
            validation`` where the labels are complete.
        calibrated: logits mean probability = sigmoid(logit); otherwise threshold metrics are null.
        extras: what the method brings along besides images, labels and what it asks for here; rows name it. Captions,
            label groups, validation rows and word vectors are found without it (:mod:`ltbench.method.extras`).
        images: what an image goes through before the image tower: the ``backbone``'s own preprocessing, or both sides
            resized to its image size, with ImageNet's mean and deviation (``square``) or the backbone's own
            (``squeezed``); ``squeezed-fitted`` also resizes the map before the attention pool of CLIP's ResNets to the
            pool's own grid, for global features.
        image_size: side of the square input in pixels, unless ``images`` is ``backbone``; the backbone is opened for
            it. ``None`` takes the backbone's.
        without_captions: option that runs the method where captions are not allowed (``use_cse=false``), for errors.
        without_text: option that runs the method where a backbone has no text tower (``words=one-hot``), for errors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Literal["image", "global", "region"] = "global"
    text: bool = False
    captions: bool = False
    groups: bool | Literal["if-given"] = False
    classes: Literal["fixed", "open"] = "fixed"
    unknown: Literal["ignore", "assume-negative", "own"] | None = None
    validation: bool = False
    calibrated: bool = True
    extras: tuple[str, ...] = ()
    images: Literal["backbone", "square", "squeezed", "squeezed-fitted"] = "backbone"
    image_size: int | None = None
    without_captions: str = ""
    without_text: str = ""

    def reads_captions(self, options: Mapping[str, Any]) -> bool:
        """Whether captions are read with these options, of which one may be :attr:`without_captions`."""
        option, _, value = self.without_captions.partition("=")
        return self.captions and not (option and options.get(option) == read_yaml(value))


class Preset(BaseModel):
    """Overrides with an origin, for a task setting, backbone and variant.

    Attributes:
        name: how ``--preset`` names it.
        tasks: task addresses or names it is for (``shapes-lt``, ``partial-coco@p50``); empty fits all.
        backbones: backbone names it is for; empty fits all.
        offers: what a backbone must offer for it (``image``, ``global``, ``region``, ``text``), so that options for
            images are kept from features of a file; empty asks for nothing.
        variant: the variant it is for; ``None`` fits both.
        origin: where the values come from; see :mod:`ltbench.method.origin`; refused where it does not fit the tasks.
        image_size: side of the square images in pixels, for the whole run; None takes the backbone's own.
            ``--image-size`` wins over it, and it must be what a method that resizes images itself resizes them to.
        overrides: configuration fields and their values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    tasks: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    offers: tuple[Literal["image", "global", "region", "text"], ...] = ()
    variant: Variant | None = None
    origin: str
    image_size: int | None = Field(None, ge=32)
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _honest(self) -> Preset:
        problem = parse_origin(self.origin).problem(self.tasks)
        if problem:
            raise ValueError(f"preset {self.name}: origin {problem}")
        return self

    def by_variant(self, variants: Sequence[str]) -> tuple[Preset, ...]:
        """The preset for each of a recipe's variants, of which the first is the one that trials are made with.

        What was tuned with one variant is only transferred to another; everything else says the same for all.
        """
        origin = parse_origin(self.origin)
        if origin.kind != "tuned" or self.variant is not None or len(variants) < 2:
            return (self,)
        first, *others = variants
        elsewhere = str(Origin("transferred", f"variant {first}", origin.task))
        return (
            self.model_copy(update={"variant": first}),
            *(self.model_copy(update={"variant": other, "origin": elsewhere}) for other in others),
        )

    def fits(self, task: str, setting: str | None, backbone: str, variant: str) -> bool:
        """Whether the preset was made for this task setting, backbone and variant.

        Args:
            backbone: empty where none is chosen yet, which may be any.

        Raises:
            UnknownName: the preset asks what a backbone offers, and there is none of that name.
        """
        address = task if setting is None else f"{task}@{setting}"
        return (
            (not self.tasks or address in self.tasks or task in self.tasks)
            and (not self.backbones or backbone in self.backbones)
            and self.variant in (None, variant)
            and self._offered_by(backbone)
        )

    def of_backbones(self) -> str:
        """The backbones it is for, in words; empty for any."""
        return ", ".join([*self.backbones, *([f"any with {' and '.join(self.offers)}"] if self.offers else [])])

    def _offered_by(self, backbone: str) -> bool:
        return not (self.offers and backbone) or set(self.offers) <= set(find_backbone(backbone)[0].spec.offers)


def load_presets(spec: MethodSpec) -> tuple[Preset, ...]:
    """Read the presets of a recipe from its package. The file maps recipe names to lists of presets.

    A tuned preset that names no variant was tuned with the recipe's first one, and is given for each of them; see
    :meth:`Preset.by_variant`.

    Raises:
        UserError: the file is missing, is no YAML, or a preset has unknown keys.
    """
    if spec.presets is None:
        return ()
    try:
        text = resources.files(spec.package).joinpath(spec.presets).read_text(encoding="utf-8")
        document = _parsed(text)
        found = [Preset.model_validate(entry) for entry in document.get(spec.name, [])]
        return tuple(preset for each in found for preset in each.by_variant(cast(Sequence[Variant], spec.variants)))
    except (OSError, ModuleNotFoundError, yaml.YAMLError, AttributeError) as error:
        raise UserError(f"presets of method {spec.name!r} cannot be read ({error})", "ltbench plugins") from error
    except ValidationError as error:
        raise UserError(f"presets of method {spec.name!r}: {first_problem(error)}", "ltbench plugins") from error


@lru_cache(maxsize=32)
def _parsed(text: str) -> dict[str, Any]:
    """The presets of all recipes of a file, which are read by one recipe after the other."""
    return read_yaml(text) or {}


def read_presets(path: Path, recipe: str) -> tuple[Preset, ...]:
    """Read the presets of one recipe from a file of the user's.

    A file may state ``default``, or what a search beside it shows: ``tuned(N, on TASK)`` needs the ``trials.json`` of
    that search, with at least N trials of the recipe on TASK and the best of them among the overrides.

    Raises:
        UserError: the file cannot be read, has no valid preset for the recipe, or states an origin that nothing shows.
    """
    try:
        document = read_yaml_file(path, name=f"preset file {path.name}", hint="ltbench tune --help")
        found = tuple(Preset.model_validate(entry) for entry in document[recipe])
    except OSError as error:
        raise UserError(f"preset file {path.name} cannot be read ({error})", "ltbench tune --help") from error
    except ValidationError as error:
        raise UserError(f"preset file {path.name}: {first_problem(error)}", "ltbench tune --help") from error
    except (KeyError, TypeError) as error:
        raise UserError(f"preset file {path.name} has no presets for {recipe}", "ltbench tune --help") from error
    if not found:
        raise UserError(f"preset file {path.name} has no presets for {recipe}", "ltbench tune --help")
    for preset in found:
        problem = unshown(preset, path.parent / SEARCH_RECORD, recipe)
        if problem:
            raise UserError(f"preset file {path.name}: {preset.origin}: {problem}", "say origin: default in the file")
    return found


def unshown(preset: Preset, record: Path, recipe: str) -> str:
    """What a file's preset claims and the record of a search does not show; empty if nothing.

    Args:
        record: ``trials.json`` of the search, which need not exist.
    """
    origin = parse_origin(preset.origin)
    if origin.kind == "default":
        return ""
    if origin.kind != "tuned":
        return "a file can state tuned or default only; the rest belongs to presets of a package"
    try:
        search = read_sealed_json(record)
        done = search["trials"][: origin.trials]
        about = (search["method"], search["task"], len(done))
        scored = [trial for trial in done if trial["score"] is not None]
        best = max(scored, key=lambda trial: (trial["score"], -trial["number"]), default=None)
    except (OSError, Damaged, ValueError, KeyError, TypeError, AttributeError):
        return f"no {SEARCH_RECORD} of a search lies beside it"
    if about != (recipe, origin.task, origin.trials):
        return f"{SEARCH_RECORD} beside it has {about[2]} trials of {about[0]} on {about[1]}"
    wanted = {**search["base"], **(best["overrides"] if best else {})}
    if preset.image_size != search.get("image_size"):
        return f"{SEARCH_RECORD} beside it is of images of another size"
    if best is None or any(wanted.get(name, value) != value for name, value in preset.overrides.items()):
        return f"its overrides are not those of the best trial in {SEARCH_RECORD} beside it"
    return ""


def choose_preset(
    presets: tuple[Preset, ...],
    name: str | None,
    task: str,
    setting: str | None,
    backbone: str,
    variant: str,
    recipe: str = "NAME",
) -> Preset | None:
    """Pick the preset of a run: the named one, else the first that fits and names the task, else none.

    Raises:
        UnknownName: no preset has that name.
        UserError: the named preset is for another task, backbone or variant.
    """
    if name in (None, "auto"):
        fitting = [p for p in presets if p.tasks and p.fits(task, setting, backbone, variant)]
        return fitting[0] if fitting else None
    if name in ("none", "default"):
        return None
    named = [p for p in presets if p.name == name]
    if not named:
        raise UnknownName("preset", str(name), [p.name for p in presets], f"ltbench show method {recipe}")
    for preset in named:
        if preset.fits(task, setting, backbone, variant):
            return preset
    address = task if setting is None else f"{task}@{setting}"
    raise UserError(
        f"preset {name!r} is for {_made_for(named)}; not for {address} with backbone {backbone}, variant {variant}",
        _what_would_fit(named, task, setting, backbone, variant) or f"ltbench show method {recipe}",
    )


def _made_for(presets: Sequence[Preset]) -> str:
    """What presets of one name are for, each thing named once."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for preset in presets:
        place = (preset.of_backbones() or "any", preset.variant or "")
        tasks.setdefault(place, []).extend(preset.tasks or ("any",))
    backbones: dict[tuple[str, str], list[str]] = {}
    for (backbone, variant), of in tasks.items():
        backbones.setdefault((", ".join(dict.fromkeys(of)), variant), []).append(backbone)
    variants: dict[tuple[str, str], list[str]] = {}
    for (of_tasks, variant), found in backbones.items():
        variants.setdefault((of_tasks, ", ".join(found)), []).append(variant)
    return "; ".join(
        f"tasks {of_tasks}, backbones {found}" + ("" if "" in which else f", variant {' or '.join(which)}")
        for (of_tasks, found), which in variants.items()
    )


def _what_would_fit(presets: list[Preset], task: str, setting: str | None, backbone: str, variant: str) -> str:
    """The one option that keeps a preset from being used; empty when it is more than one, or the task."""
    for preset in presets:
        if preset.backbones and preset.fits(task, setting, preset.backbones[0], variant):
            return f"--backbone {'|'.join(preset.backbones)}"
        if preset.variant and preset.fits(task, setting, backbone, preset.variant):
            return f"--variant {preset.variant}"
    return ""


def first_problem(error: ValidationError) -> str:
    """First problem of a pydantic error as one line."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"]) or "value"
    return f"{where}: {problem['msg']}"


def build_config(model: type[MethodConfig], recipe: str, *layers: Mapping[str, Any]) -> MethodConfig:
    """Lay overrides over the defaults, later ones win, and validate.

    Raises:
        UnknownName: an override names no field.
        UserError: a value does not fit its field.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key not in model.model_fields:
                raise UnknownName(f"option of {recipe}", key, model.model_fields, f"ltbench show method {recipe}")
            merged[key] = value
    try:
        made = model.model_validate(merged)
    except ValidationError as error:
        raise UserError(f"option of {recipe}: {first_problem(error)}", f"ltbench show method {recipe}") from error
    for name, value in made.model_dump().items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"option of {recipe}: {name}: {value} is no finite number", f"ltbench show method {recipe}")
    return made
