"""What a sweep runs, as a plan file says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ltbench.backbones.options import EncodeDtype
from ltbench.method.config import first_problem
from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_yaml_file


class PlanItem(BaseModel):
    """One recipe with its options; a plan may list the same recipe several times (an ablation).

    Attributes:
        backbone: in place of the plan's; None takes that.
        image_size: side of the square images in pixels, in place of the plan's; None takes that.
        share: of the training rows, in place of the plan's; None takes that.
        selection, validation: in place of the plan's; None takes those.
        tasks: those of the plan that it runs on, with or without setting; empty for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    preset: str | None = None
    variant: Literal["paper", "code"] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    backbone: str | None = None
    image_size: int | None = Field(None, ge=32)
    share: float | None = Field(None, gt=0, lt=1)
    selection: Literal["last", "validation"] | None = None
    validation: Literal["observed", "clean"] | None = None
    tasks: tuple[str, ...] = ()


class SweepPlan(BaseModel):
    """What a sweep runs: every item on every task with every seed.

    Attributes:
        tasks: addresses; a task with settings stands for all of them.
        items: recipes, as names or with options.
        backbone: for all runs; None takes that of the preset made for each task and recipe, else the task's default.
        image_size: side of the square images in pixels, for all runs; None takes the preset's, else the backbone's own.
        share: train on this share of the training rows; never ranked.
        selection, validation: the epoch that counts, and the labels of validation rows, as ``ltbench run`` has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[str, ...] = Field(min_length=1)
    items: tuple[PlanItem, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = (0, 1, 2)
    backbone: str | None = None
    weights: str | None = None
    image_size: int | None = Field(None, ge=32)
    dtype: EncodeDtype = "float32"
    threads: int = 1
    limit: int | None = None
    share: float | None = Field(None, gt=0, lt=1)
    selection: Literal["last", "validation"] = "last"
    validation: Literal["observed", "clean"] = "observed"

    @classmethod
    def of(cls, tasks: Sequence[str], methods: Sequence[str], **rest: Any) -> SweepPlan:
        """A plan from names."""
        return cls(tasks=tuple(tasks), items=tuple(PlanItem(method=name) for name in methods), **rest)

    @classmethod
    def read(cls, path: Path) -> SweepPlan:
        """Read a plan from YAML; ``methods`` lists names or items.

        Raises:
            UserError: no such file, no YAML, or keys that a plan does not have.
        """
        try:
            document = read_yaml_file(path, name=f"plan {path.name}", hint="ltbench sweep --help")
        except OSError as error:
            raise UserError(f"plan {path.name} cannot be read ({error})", "ltbench sweep --help") from error
        if not isinstance(document, dict):
            raise UserError(f"plan {path.name} is no mapping", "ltbench sweep --help")
        return cls.of_document(document, path.name)

    @classmethod
    def of_document(cls, document: Mapping[str, Any], name: str) -> SweepPlan:
        """The plan of what :meth:`read` found in a file.

        Args:
            name: of the file, for errors.

        Raises:
            UserError: keys that a plan does not have, or values that do not fit them.
        """
        fields = {str(key): value for key, value in document.items() if key != "methods"}
        methods = document.get("methods", [])
        if not isinstance(methods, list):
            raise UserError(f"plan {name}: methods is no list", "ltbench sweep --help")
        fields["items"] = [item for m in methods for item in _gridded({"method": m} if isinstance(m, str) else m, name)]
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise UserError(f"plan {name}: {first_problem(error)}", "ltbench sweep --help") from error


def _gridded(item: Any, name: str) -> list[Any]:
    """An item for each point of its ``grid``, option by option, the last one changing fastest; else the item itself.

    Raises:
        UserError: the grid is no mapping from options to lists of values, or names an option that is set as well.
    """
    if not isinstance(item, Mapping) or "grid" not in item:
        return [item]
    grid, rest = item["grid"], {key: value for key, value in item.items() if key != "grid"}
    method, options = rest.get("method"), rest.get("options") or {}
    lists = isinstance(grid, Mapping) and all(isinstance(values, list) and values for values in grid.values())
    if not lists or not grid:
        raise UserError(f"plan {name}: grid of {method} is no mapping to lists of values", "grid: {lr: [0.1, 0.01]}")
    if isinstance(options, Mapping) and (twice := [option for option in grid if option in options]):
        raise UserError(f"plan {name}: {twice[0]} of {method} is an option and in its grid", "leave one of them out")
    return [
        {**rest, "options": {**options, **dict(zip(grid, point, strict=True))}} for point in product(*grid.values())
    ]
