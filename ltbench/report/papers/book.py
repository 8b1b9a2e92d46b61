"""Tables and curves of the papers as things to run: which recipe each printed row is, or why it is none.

``<paper>.yaml`` beside this module names the rows of every printed table, in the order of ``published.csv``, and says
of each which recipe, preset and backbone stand for it, and what differs. Curves are said there alone: papers draw them
and print no figures. A row's address is ``PAPER:tableN/ROW``, that of a point of a curve ``PAPER:figN/ROW``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from itertools import product
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.yaml_text import read_yaml
from ltbench.report.published import PAPERS, Published, published

#: What a row is known by in ``published.csv``: method, variant, backbone, each as printed.
Printed = tuple[str, str, str]
LIST = "ltbench reproduce"
SHARE = "share of training rows"
"""The axis that is no option of a recipe: the share of the training rows."""


class Recipe(BaseModel):
    """What stands for one printed row.

    Attributes:
        method: recipe; empty for a row that cannot be run.
        preset: its name, ``auto`` for the first that is made for task and backbone (without one the row is not run), or
            ``none``; a mapping names one for each task or address.
        variant: ``None`` takes the recipe's first.
        options: over the preset.
        share: of the training rows; None for all.
        selection, validation: the epoch that counts, and the labels of the rows that choose it, as ``ltbench run`` has
            them; None takes the table's. Where a task has no validation rows in a run, the last epoch counts, and the
            row says so.
        metrics: printed metric → metric of ours that means the same.
        differs: what else is not as printed: one word → a sentence.
        why_not: why it cannot be run; empty where it can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = ""
    backbone: str = ""
    preset: str | dict[str, str] = "auto"
    variant: Literal["paper", "code"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    share: float | None = Field(None, gt=0, lt=1)
    selection: Literal["last", "validation"] | None = None
    validation: Literal["observed", "clean"] | None = None
    metrics: dict[str, str] = Field(default_factory=dict)
    differs: dict[str, str] = Field(default_factory=dict)
    why_not: str = ""

    def at(self, axis: str, value: int | float | str) -> Recipe:
        """The recipe with one value of a curve's axis; the share 1 is all rows."""
        if axis == SHARE:
            return self.model_copy(update={"share": None if value == 1 else value})
        return self.model_copy(update={"options": {**self.options, axis: value}})

    def preset_on(self, address: str) -> str:
        """The preset that is asked for on a task setting."""
        if isinstance(self.preset, str):
            return self.preset
        return self.preset.get(address) or self.preset.get(address.partition("@")[0]) or "auto"


class _Chosen(BaseModel):
    """Which epoch counts in a table or curve, but for rows that say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selection: Literal["last", "validation"] = "last"
    validation: Literal["observed", "clean"] = "observed"

    def told(self, recipe: Recipe) -> dict[str, str]:
        """Both fields of a recipe, settled."""
        return {"selection": recipe.selection or self.selection, "validation": recipe.validation or self.validation}


class _Table(_Chosen):
    rows: dict[str, Recipe]
    metrics: dict[str, str] = Field(default_factory=dict)
    differs: dict[str, str] = Field(default_factory=dict)


class _Curve(_Chosen):
    """``option`` is one of the recipe's or :data:`SHARE`; ``drawn`` has the curve's lines by name, if not one alone."""

    title: str
    tasks: tuple[str, ...]
    name: str
    option: str
    values: tuple[int | float | str, ...]
    base: Recipe | None = None
    drawn: dict[str, Recipe] = Field(default_factory=dict)
    metric: str = "mAP"
    differs: dict[str, str] = Field(default_factory=dict)


class _Paper(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    differs: dict[str, str] = Field(default_factory=dict)
    tables: dict[str, _Table]
    figures: dict[str, _Curve] = Field(default_factory=dict)
    #: Figures that are no runs, and why.
    left_out: dict[str, str] = Field(default_factory=dict)
    #: Anchors of the file.
    common: dict[str, Any] = Field(default_factory=dict)


class Line(BaseModel):
    """A row: its name in addresses, how the paper prints it, what stands for it.

    Attributes:
        printed: its figures, in the paper's order; those of a curve have no value.
        differs: all that is known to differ, those of table and paper included.
        tick: where on a curve's axis it lies; empty in a table.
        trace: which line of a curve with several it is a point of.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    name: str
    label: str
    recipe: Recipe
    printed: tuple[Published, ...]
    differs: dict[str, str]
    tick: str = ""
    trace: str = ""


class PaperTable(BaseModel):
    """A printed table, or a curve.

    Attributes:
        number: ``table1`` or ``fig6``, as in addresses.
        axis: option that a curve varies, or :data:`SHARE`; empty for a table.
    """

    model_config = ConfigDict(frozen=True)

    paper: str
    number: str
    title: str
    lines: tuple[Line, ...]
    axis: str = ""

    @property
    def address(self) -> str:
        """``lmpt:table1``."""
        return f"{self.paper}:{self.number}"

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks as ``published.csv`` names them, in the order of the figures."""
        return tuple(dict.fromkeys(figure.task for line in self.lines for figure in line.printed))

    def only(self, names: Iterable[str] = (), tasks: Iterable[str] = ()) -> PaperTable:
        """Some rows of the table, and figures of some tasks."""
        rows, kept = set(names), set(tasks)
        lines = [
            line.model_copy(update={"printed": tuple(f for f in line.printed if not kept or our_task(f.task) in kept)})
            for line in self.lines
            if not rows or line.name in rows
        ]
        return self.model_copy(update={"lines": tuple(line for line in lines if line.printed)})

    def in_variant(self, variant: Literal["paper", "code"]) -> PaperTable:
        """The same with each row's recipe in a variant of the reader's choice."""
        lines = [
            line.model_copy(update={"recipe": line.recipe.model_copy(update={"variant": variant})})
            for line in self.lines
        ]
        return self.model_copy(update={"lines": tuple(lines)})


def our_task(printed: str) -> str:
    """The task of ours that a printed task's figures come from; GZSL figures come from the runs of ZSL."""
    return f"zsl-{printed.removeprefix('gzsl-')}" if printed.startswith("gzsl-") else printed


@lru_cache(maxsize=1)
def book() -> dict[str, PaperTable]:
    """Every table and curve by its address, in the papers' order."""
    made: dict[str, PaperTable] = {}
    for paper in PAPERS:
        said = _said(paper)
        own = [entry for entry in published() if entry.paper == paper]
        numbers = list(dict.fromkeys(entry.table for entry in own))
        if set(numbers) != set(said.tables):
            raise ValueError(f"{paper}.yaml has tables {sorted(said.tables)}, the paper {sorted(numbers)}")
        tables = [_table(paper, number, own, said) for number in numbers]
        curves = [_curve(paper, number, curve, said.differs) for number, curve in said.figures.items()]
        made |= {table.address: table for table in (*tables, *curves)}
    return made


@lru_cache(maxsize=len(PAPERS))
def _said(paper: str) -> _Paper:
    text = resources.files("ltbench.report.papers").joinpath(f"{paper}.yaml").read_text(encoding="utf-8")
    return _Paper.model_validate(read_yaml(text))


def left_out() -> dict[str, str]:
    """Figures of the papers that are no runs, by address, and why each is none."""
    return {f"{paper}:fig{number}": why for paper in PAPERS for number, why in _said(paper).left_out.items()}


def _table(paper: str, number: str, own: Sequence[Published], said: _Paper) -> PaperTable:
    entries = [entry for entry in own if entry.table == number]
    table = said.tables[number]
    rows = list(dict.fromkeys(_printed(entry) for entry in entries))
    lines = []
    for printed, (name, recipe) in zip(rows, table.rows.items(), strict=True):
        recipe = recipe.model_copy(update={"metrics": {**table.metrics, **recipe.metrics}, **table.told(recipe)})
        method, variant, _ = printed
        lines.append(
            Line(
                name=name,
                label=f"{method}: {variant}" if variant else method,
                recipe=recipe,
                printed=tuple(entry for entry in entries if _printed(entry) == printed),
                differs={**said.differs, **table.differs, **recipe.differs},
            )
        )
    return PaperTable(paper=paper, number=f"table{number}", title=f"table {number}", lines=tuple(lines))


def _curve(paper: str, number: str, curve: _Curve, common: Mapping[str, str]) -> PaperTable:
    lines = []
    drawn = curve.drawn or ({"": curve.base} if curve.base else {})
    for (trace, base), value in product(drawn.items(), curve.values):
        point = f"{curve.name}-{value}"
        figures = tuple(
            Published(
                paper, number, *_setting(task), base.method, f"{curve.name}={value}", "", curve.metric, "total",
                "", "", "drawn",
            )
            for task in curve.tasks
        )  # fmt: skip
        lines.append(
            Line(
                name=f"{trace}-{point}" if trace else point,
                label=f"{trace}: {curve.name} = {value}" if trace else f"{curve.name} = {value}",
                recipe=base.at(curve.option, value).model_copy(update=curve.told(base)),
                printed=figures,
                differs={**common, **curve.differs, **base.differs},
                tick=str(value),
                trace=trace,
            )
        )
    title = f"figure {number.rstrip('abcdef')}{number.lstrip('0123456789')}: {curve.title}"
    return PaperTable(paper=paper, number=f"fig{number}", title=title, lines=tuple(lines), axis=curve.option)


def _setting(address: str) -> tuple[str, str]:
    name, _, setting = address.partition("@")
    return name, setting


def _printed(entry: Published) -> Printed:
    return entry.method, entry.variant, entry.backbone


def find(address: str) -> PaperTable:
    """The table, curve or row of an address.

    Raises:
        UnknownName: no paper, table or row has that name; the nearest are named.
        UserError: a figure of the paper that is no run.
    """
    place, _, row = address.partition("/")
    if place in left_out():
        raise UserError(f"{place} cannot be made again: {left_out()[place]}", LIST)
    if place not in book():
        raise UnknownName("table", place, book(), LIST)
    table = book()[place]
    if not row:
        return table
    names = [line.name for line in table.lines]
    if row not in names:
        raise UnknownName(f"row of {place}", row, names, f"{LIST} {place} --dry-run")
    return table.only([row])
