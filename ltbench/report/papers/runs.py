"""From a table's rows to runs: address, recipe, preset, variant, backbone; or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ltbench.method.config import Preset, Variant, choose_preset, load_presets
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import MethodSpec
from ltbench.report.papers.book import Line, PaperTable, Recipe, our_task
from ltbench.report.published import PARAMETERS, Published
from ltbench.tasks.registry import load_task, resolve
from ltbench.tasks.task import Task

#: Printed averages over data sets, and the tasks that they go over.
OVER_TASKS: Mapping[str, tuple[str, ...]] = {
    "spml-avg": ("spml-voc", "spml-coco", "spml-nus", "spml-cub"),
    "partial-avg": ("partial-coco", "partial-vg200"),
}
AVERAGE = "avg"
NO_VALIDATION = "no validation rows are held out to choose the epoch on"
#: A printed metric that is a mean over subsets of another.
OVER_SUBSETS: Mapping[str, tuple[str, tuple[str, ...]]] = {"average_mAP": ("mAP", ("head", "medium", "tail"))}


@dataclass(frozen=True)
class PlannedRun:
    """One run, for every seed of a plan.

    Attributes:
        address: task with its setting.
        preset: name, ``none`` for a recipe as it is.
        origin: of the preset, see :mod:`ltbench.method.origin`; ``default`` without one.
        image_size: of the preset, side in pixels; None for what backbone or method take unasked.
        share: of the training rows; None for all.
        selection, validation: the epoch that counts, and the labels of the rows that choose it.
        lacks: why the last epoch counts where the row's protocol chooses it on validation rows; empty elsewhere.
        settings: base configuration, preset and options laid over each other; all else is the recipe's default.
    """

    address: str
    method: str
    preset: str
    variant: Variant
    backbone: str
    options: Mapping[str, Any] = field(hash=False)
    origin: str = field(default="default", compare=False)
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)
    image_size: int | None = field(default=None, compare=False)
    share: float | None = None
    selection: Literal["last", "validation"] = "last"
    validation: Literal["observed", "clean"] = "observed"
    lacks: str = field(default="", compare=False)

    def __str__(self) -> str:
        """How a line names the run, without its task."""
        words = [f" -o {name}={value}" for name, value in self.options.items()]
        words += [] if self.share is None else [f" --share {self.share:g}"]
        words += [f" --{name} {value}" for name, value in self.chosen.items()]
        return f"{self.method}, variant {self.variant}, preset {self.preset}, {self.backbone}{''.join(words)}"

    @property
    def chosen(self) -> dict[str, str]:
        """``selection`` and ``validation`` where they are not what a run takes unasked."""
        usual = {"selection": "last", "validation": "observed"}
        return {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells runs apart."""
        options = tuple(sorted((name, repr(value)) for name, value in self.options.items()))
        chosen = tuple(self.chosen.items())
        return self.address, self.method, self.preset, self.variant, self.backbone, options, self.share, chosen


def settings_of(task: str) -> tuple[str, ...]:
    """Settings of a task of ours in their order; one empty name for a task without."""
    return tuple(each.setting or "" for each in _tasks(task))


@lru_cache(maxsize=64)
def _tasks(name: str) -> tuple[Task, ...]:
    return tuple(resolve(name))


def addresses_of(figure: Published) -> tuple[str, ...]:
    """The task settings whose runs a printed figure comes from: one, or all that it is an average over."""
    tasks = OVER_TASKS.get(figure.task, (our_task(figure.task),))
    found = []
    for task in tasks:
        known = settings_of(task)
        wanted = known if figure.setting == AVERAGE or figure.metric == PARAMETERS else (figure.setting,)
        found += [f"{task}@{setting}" if setting else task for setting in wanted]
    return tuple(found)


def parts_of(figure: Published, recipe: Recipe) -> tuple[tuple[str, str, str], ...]:
    """What a printed figure is the mean of, as (address, metric, subset) of ours; empty for what has no scores."""
    if figure.metric == PARAMETERS:
        return ()
    metric = recipe.metrics.get(figure.metric, figure.metric)
    metric, subsets = OVER_SUBSETS.get(metric, (metric, (figure.subset,)))
    if figure.task.startswith(("zsl-", "gzsl-")):
        subsets = (figure.task.partition("-")[0],)
    return tuple((address, metric, subset) for address in addresses_of(figure) for subset in subsets)


def runs_of(line: Line) -> dict[str, PlannedRun | str]:
    """Of every task setting in a row: its run, or why it cannot be run."""
    addresses = dict.fromkeys(address for figure in line.printed for address in addresses_of(figure))
    return {address: line.recipe.why_not or _run(line.recipe, address) for address in addresses}


def _run(recipe: Recipe, address: str) -> PlannedRun | str:
    if recipe.method not in registry().methods:
        return f"no plugin offers {recipe.method}"
    spec = registry().methods.get(recipe.method).spec
    variant: Variant = recipe.variant or spec.variants[0]  # type: ignore[assignment]
    if variant not in spec.variants:
        return f"{recipe.method} has no variant {variant}"
    wanted = recipe.preset_on(address)
    try:
        preset = _preset(spec, wanted, address, recipe.backbone, variant)
    except UserError as error:
        return error.message
    if preset is None and wanted != "none":
        return f"no preset of its recipe is made for this task and {recipe.backbone}"
    selects = recipe.selection == "validation"
    follows = selects and load_task(address).validation.in_final_runs
    return PlannedRun(
        address=address,
        method=recipe.method,
        preset="none" if preset is None else preset.name,
        variant=variant,
        backbone=recipe.backbone,
        options=recipe.options,
        origin="default" if preset is None else preset.origin,
        settings={**spec.config, **(preset.overrides if preset else {}), **recipe.options},
        image_size=None if preset is None else preset.image_size,
        share=recipe.share,
        selection="validation" if follows else "last",
        validation=(recipe.validation or "observed") if follows or not selects else "observed",
        lacks=NO_VALIDATION if selects and not follows else "",
    )


def _preset(spec: MethodSpec, wanted: str, address: str, backbone: str, variant: str) -> Preset | None:
    task, _, setting = address.partition("@")
    return choose_preset(_presets(spec.name), wanted, task, setting or None, backbone, variant, spec.name)


@lru_cache(maxsize=256)
def _presets(recipe: str) -> tuple[Preset, ...]:
    return load_presets(registry().methods.get(recipe).spec)


def planned(tables: Iterable[PaperTable]) -> list[PlannedRun]:
    """All runs of some tables, each once, in the tables' order."""
    found: dict[tuple[Any, ...], PlannedRun] = {}
    for table in tables:
        for line in table.lines:
            for run in runs_of(line).values():
                if isinstance(run, PlannedRun):
                    found.setdefault(run.key, run)
    return list(found.values())


def plan_document(runs: Sequence[PlannedRun], seeds: Sequence[int], **rest: Any) -> dict[str, Any]:
    """The runs as a plan that ``ltbench sweep --plan`` reads; runs that differ by their task alone are one item.

    Args:
        rest: other fields of the plan (``weights``, ``threads``, ``limit``); None is left out.
    """
    grouped: dict[tuple[Any, ...], list[PlannedRun]] = {}
    for run in runs:
        grouped.setdefault(run.key[1:], []).append(run)
    items = []
    for alike in grouped.values():
        first = alike[0]
        item: dict[str, Any] = {"method": first.method, "preset": first.preset, "variant": first.variant}
        item |= {"options": dict(first.options)} if first.options else {}
        item |= {} if first.share is None else {"share": first.share}
        item |= first.chosen
        items.append({**item, "backbone": first.backbone, "tasks": [run.address for run in alike]})
    given = {name: value for name, value in rest.items() if value is not None}
    addresses = list(dict.fromkeys(run.address for run in runs))
    return {"tasks": addresses, "methods": items, "seeds": list(seeds), **given}
