"""Two toy tasks, recipes on them, and the matrix of their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from records import builders as b

from ltbench.plugin.manager import Registered
from ltbench.plugin.specs import MethodSpec
from ltbench.records.record import RunRecord
from ltbench.report.matrix import (
    PHOTOS,
    SHAPES,
    Images,
    Matrix,
    build_matrix,
)
from ltbench.tasks.task import Task

LT, PLT = b.task(), b.task(name="toy-plt", setting="mr40")


def recipe(name: str, plugin: str = "baselines-clip", families: Sequence[str] = ("ltml",)) -> Registered[MethodSpec]:
    spec = MethodSpec(
        name=name, target="toy.module:Toy", summary="a toy", families=frozenset(families), variants=("paper", "code")
    )
    return Registered(spec, "ltbench", "0.1.0", plugin)


def lacks(spec: MethodSpec, task: Task) -> Mapping[str, str]:
    if spec.name == "closed" and task is PLT:
        return {"fixed classes": "it answers for its training classes only"}
    return {}


def has_preset(spec: MethodSpec, task: Task, backbone: str, variant: str) -> bool:
    return (backbone, spec.name) in {(SHAPES.backbone, "coop"), (PHOTOS.visual, "erm")}


def run(method: str, value: float, task: Task = LT, seed: int = 0, **changes: Any) -> RunRecord:
    facts = b.method_facts(name=method, **changes.pop("facts", {}))
    return b.record(task=b.task_facts(task), method=facts, seed=seed, mAP=value, **changes)


def matrix(
    *records: RunRecord,
    methods: Sequence[Registered[MethodSpec]] = (recipe("coop"), recipe("closed")),
    images: Images = SHAPES,
) -> Matrix:
    by_task = {t.address: [r for r in records if r.task.address == t.address] for t in (LT, PLT)}
    return build_matrix(methods, (LT, PLT), by_task, lacks, has_preset, images)
