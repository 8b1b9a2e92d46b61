"""Synthetic data, tasks, runs and records, small enough to judge in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ltbench.data.base import ArrayImages, DataSet, Part
from ltbench.records.facts import BackboneFacts, Cost, Environment, LogitsFacts, MethodFacts, Selection, TaskFacts
from ltbench.records.judge import Judgement, judge
from ltbench.records.logits import write_logits
from ltbench.records.record import RunContent, RunRecord, key_of, run_key, seal
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.protocols import Full, SeenOnly
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import Truth, open_truth

CLASSES = ("cup", "star", "kite", "drum", "leaf")
REPLICATES = 40
ROWS = 60


def data_set(seed: int = 0) -> DataSet:
    """Labels of 80 training and 60 test rows over five classes; no test row shows a leaf."""
    generator = np.random.RandomState(seed)
    shares = np.array([0.7, 0.5, 0.3, 0.15, 0.0])
    test = np.where(generator.rand(ROWS, 5) < shares, 1, -1).astype(np.int8)
    train = np.where(generator.rand(80, 5) < shares + 0.05, 1, -1).astype(np.int8)
    labels = {"train": train, "test": test}

    def open_part(name: str) -> Part:
        ids = tuple(f"{name}-{row:03d}" for row in range(len(labels[name])))
        return Part(name, ids, ArrayImages(Path("none.npy")), lambda: labels[name].copy())

    return DataSet("toy", CLASSES, ("train", "test"), open_part)


def task(unseen: tuple[str, ...] = (), pinned: bool = True, **changes: Any) -> Task:
    """A task on the toy data set."""
    seen = tuple(name for name in CLASSES if name not in unseen)
    content: dict[str, Any] = {
        "name": "toy-lt",
        "version": 1,
        "family": "zero-shot" if unseen else "ltml",
        "title": "Toy",
        "data_set": "toy",
        "train_part": "train",
        "test_part": "test",
        "classes": CLASSES,
        "unseen": unseen,
        "protocol": SeenOnly(seen=seen) if unseen else Full(),
        "groups": GroupRule.zero_shot(seen, unseen) if unseen else GroupRule(head_from=30, medium_from=10),
        "metrics": ("mAP", "CF1", "F1@3"),
    }
    made = Task(**{**content, **changes})
    if not pinned:
        return made.model_copy(update={"unpinned": {"images": "a folder of its owner"}})
    found = open_truth(made, data_set()).fingerprints
    return made.model_copy(update={"fingerprints": found})


def logits_for(truth: Truth, seed: int = 0, skill: float = 1.0) -> np.ndarray:
    """Logits float32 [n, C] that know the truth to some degree."""
    generator = np.random.RandomState(1000 + seed)
    noise = generator.randn(*truth.labels.shape)
    return np.asarray(skill * truth.labels + noise - 0.3, dtype=np.float32)


def task_facts(of: Task | None = None, fingerprints: Fingerprints | None = None) -> TaskFacts:
    """Facts of the toy task."""
    made = of or task()
    return TaskFacts.of(made, (fingerprints or made.fingerprints).model_dump())


def method_facts(**changes: Any) -> MethodFacts:
    """Facts of a recipe."""
    content: dict[str, Any] = {
        "name": "coop",
        "distribution": "ltbench",
        "version": "0.1.0",
        "variant": "paper",
        "config": {"epochs": 30, "lr": 0.002, "template": "a photo of a {}.", "nested": {"on": True, "k": [1, 2.5]}},
        "deterministic": False,
        "calibrated": True,
        "unknown_policy": "ignore",
        "code_sha256": "e" * 64,
    }
    return MethodFacts(**{**content, **changes})


def backbone_facts(**changes: Any) -> BackboneFacts:
    """Facts of a backbone."""
    content: dict[str, Any] = {
        "name": "tiny-clip",
        "offers": ("image", "global", "region", "text"),
        "dim": 128,
        "region_dim": 256,
        "image_size": 64,
        "weights": "tiny-v1",
        "weights_sha256": "a" * 64,
        "transform": "resize 64, mean 0.5, std 0.5",
        "transform_sha256": "b" * 64,
        "revision": "1 (open_clip 3.2.0)",
        "pretraining": "rendered images with captions",
        "dtype": "float32",
        "ranked": True,
        "licence": "MIT, see https://opensource.org/license/mit",
    }
    return BackboneFacts(**{**content, **changes})


ENVIRONMENT = Environment(
    python="3.11.7",
    platform="Linux x86_64",
    machine="Generic CPU",
    torch="2.6.0",
    torchvision="0.21.0",
    open_clip="3.2.0",
    mmengine="0.10.7",
    numpy="2.1.0",
    ltbench="0.1.0",
)


def cost(**changes: Any) -> Cost:
    """What a run took."""
    content: dict[str, Any] = {
        "trainable_parameters": 2048,
        "total_parameters": 2_000_000,
        "encode_seconds": 1.5,
        "train_seconds": 12.25,
        "evaluate_seconds": 0.75,
        "peak_memory_bytes": 512_000_000,
        "device": "Generic CPU",
    }
    return Cost(**{**content, **changes})


def content(**changes: Any) -> RunContent:
    """Content of a completed run with made-up scores; the key fits unless one is given."""
    made: dict[str, Any] = {
        "key": "0" * 64,
        "attempt": 1,
        "created": "2026-03-01T12:00:00Z",
        "task": changes.pop("task", None) or task_facts(),
        "method": method_facts(),
        "backbone": backbone_facts(),
        "seed": 0,
        "threads": 1,
        "device": "cpu",
        "selection": Selection(rule="last"),
        "status": "completed",
        "scores": {"mAP": {"total": 70.5, "head": 80.25, "medium": 70.0, "tail": None}},
        "intervals": {"mAP": {"total": (68.0, 73.0), "head": (78.0, 82.0), "medium": (66.0, 74.0), "tail": None}},
        "per_class_ap": {"cup": 80.25, "star": 80.25, "kite": 70.0, "drum": 51.5, "leaf": None},
        "excluded_classes": ("leaf",),
        "cost": cost(),
        "environment": ENVIRONMENT,
        "logits": LogitsFacts(sha256="c" * 64, rows=ROWS, classes=len(CLASSES)),
    }
    made.update(changes)
    old = made.get("schema_version", 3) < 3
    if old:
        made["method"] = made["method"].model_copy(update={"code_sha256": None})
    if "key" not in changes:
        made["key"] = run_key(
            task=made["task"],
            method=made["method"],
            backbone=made["backbone"],
            selection_rule=made["selection"].rule,
            threads=made["threads"],
            seed=made["seed"],
            limit=made.get("limit"),
            share=made.get("share"),
            extras=made.get("extras", ()),
            device=None if old else made["device"],
        )
    return RunContent(**made)


def record(**changes: Any) -> RunRecord:
    """A sealed record; ``mAP=71.0`` is short for scores and intervals of one figure."""
    value = changes.pop("mAP", None)
    if value is not None:
        subsets = {"total": value, "head": min(100.0, value + 5), "medium": value, "tail": max(0.0, value - 5)}
        changes["scores"] = {"mAP": subsets}
        changes["intervals"] = {"mAP": {name: (max(0.0, v - 2), min(100.0, v + 2)) for name, v in subsets.items()}}
    return seal(content(**changes))


def failure(status: str = "failed", **changes: Any) -> RunRecord:
    """A sealed record of a run that did not complete."""
    empty: dict[str, Any] = {
        "status": status,
        "reason": "loss is not finite" if status == "diverged" else "RuntimeError: shapes differ",
        "step": 17 if status == "diverged" else None,
        "scores": {},
        "intervals": {},
        "per_class_ap": {},
        "excluded_classes": (),
        "logits": None,
    }
    return seal(content(**{**empty, **changes}))


@dataclass(frozen=True)
class Run:
    """A run on disk whose record states what the judge found."""

    folder: Path
    record: RunRecord
    judgement: Judgement
    task: Task
    truth: Truth

    @property
    def path(self) -> Path:
        """The record's file."""
        return self.folder / "record.json"


def run_on_disk(folder: Path, of: Task | None = None, seed: int = 0, skill: float = 1.0, **changes: Any) -> Run:
    """Write the logits and the record of a run."""
    made = of or task()
    truth = open_truth(made, data_set()).limited(changes.get("limit"))
    logits = logits_for(truth, seed, skill)
    sha256 = write_logits(folder / "logits.safetensors", logits, truth.ids, truth.class_names)
    judgement = judge(made, truth, logits, replicates=REPLICATES)
    sealed = record(
        task=TaskFacts.of(made, truth.fingerprints.model_dump()),
        seed=seed,
        scores=judgement.scores,
        intervals=judgement.intervals,
        per_class_ap=judgement.per_class_ap,
        excluded_classes=judgement.excluded,
        logits=LogitsFacts(sha256=sha256, rows=len(logits), classes=len(CLASSES)),
        **changes,
    )
    assert sealed.key == key_of(sealed)
    folder.joinpath("record.json").write_text(sealed.to_json(), encoding="utf-8")
    return Run(folder, sealed, judgement, made, truth)
