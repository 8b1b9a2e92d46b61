"""Runs a method on variants of ``shapes-micro``, the way the engine does, with interruptions and watchers on demand."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from ltbench.backbones.base import Backbone
from ltbench.backbones.registry import open_backbone
from ltbench.data.base import DataRoot, DataSet
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.answer import Logits
from ltbench.engine.encode import Encoder
from ltbench.engine.needs import behind_preprocessing, check_fit, unknown_policy
from ltbench.engine.phase1 import Phase1
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.engine.request import Resolved, RunRequest, resolve_method
from ltbench.engine.setup import Outcome, Setup
from ltbench.method import GradientStage, Method, Needs, Stage
from ltbench.method.config import Variant
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.protocols import Partial, Plt, SeenOnly
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.task import Task, Validation
from ltbench.tasks.views import TrainView, open_test, open_train
from ltbench.testing.short import Short, StageHook, Watcher

TASK = "shapes-micro"


@dataclass
class Trained:
    """A finished phase 1.

    Attributes:
        logits: float32 [n, C] of the test view.
        steps: gradient steps taken in this process.
    """

    phase: Phase1
    outcome: Outcome
    logits: Logits
    steps: int
    folder: Path

    @property
    def log(self) -> list[dict[str, Any]]:
        """Lines of the run's log: one an epoch and one a stage, none where nothing was trained."""
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@dataclass
class Bench:
    """One recipe, one encoder, ``shapes-micro``, and a folder for runs; use it as a context.

    Raises (on entering):
        UserError: the recipe or the encoder is unknown, or they do not fit.
    """

    name: str
    backbone_name: str = "tiny-clip"
    weights: str | None = None
    variant: Variant | None = None
    reporter: Reporter = SILENT
    _temporary: Any = field(default=None, repr=False)
    _trains_tower: bool = False

    def __enter__(self) -> Bench:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._temporary = tempfile.TemporaryDirectory(prefix="ltbench-check-")
        self.folder = Path(self._temporary.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temporary.cleanup()
        torch.set_num_threads(self._threads)

    @cached_property
    def root(self) -> DataRoot:
        """The user's cache: rendered images and features are shared with real runs."""
        return DataRoot(reporter=self.reporter)

    @cached_property
    def task(self) -> Task:
        """``shapes-micro`` as it is: complete labels."""
        return load_task(TASK)

    @cached_property
    def data(self) -> DataSet:
        """The data set ``shapes``."""
        return open_data_set(self.task, self.root)

    @cached_property
    def resolved(self) -> Resolved:
        """The recipe under its base configuration, without a preset."""
        request = RunRequest(self.task, self.name, self.backbone_name, preset="none", variant=self.variant)
        return resolve_method(request)

    @cached_property
    def backbone(self) -> Backbone:
        """The encoder that all checks share."""
        return self.fresh_backbone()

    def fresh_backbone(self) -> Backbone:
        """The encoder, opened again."""
        backbone = open_backbone(self.backbone_name, weights=self.weights, device="cpu")
        return behind_preprocessing(backbone, self.needs)

    def method(self) -> Method:
        """A fresh instance."""
        return type(self.resolved.method)(self.resolved.config)

    @cached_property
    def needs(self) -> Needs:
        """What the method asks for."""
        return self.resolved.method.needs()

    def partial_task(self) -> Task:
        """Half of the labels known; unknown ones are ignored."""
        return self._varied(protocol=Partial(share=0.5), unknown_policy=Partial.unknown_policy)

    def plt_task(self) -> Task:
        """Some present labels observed, nothing else; unknown ones count as absent."""
        return self._varied(protocol=Plt(missing=0.4), unknown_policy=Plt.unknown_policy)

    def fewer_classes_task(self) -> Task:
        """Four of the six classes; methods for open class sets meet the other two at test."""
        kept, left = self.task.classes[:4], self.task.classes[4:]
        if self.needs.classes == "fixed":
            return self._varied(classes=kept)
        return self._varied(
            protocol=SeenOnly(seen=kept), unseen=left, train_rows="seen-only", groups=GroupRule.zero_shot(kept, left)
        )

    def _varied(self, **changes: Any) -> Task:
        facts = {name: getattr(self.task, name) for name in Task.model_fields}
        # Captions come from observed labels wherever a method asks for them and the given ones would tell too much.
        facts |= {"captions": "observed", "fingerprints": type(self.task.fingerprints)()}
        facts |= {"validation": Validation(kind="holdout", fraction=0.25, labels="clean")}
        return Task(**{**facts, **changes})

    def check_fit(self, task: Task) -> None:
        """Refuse what the engine would refuse.

        Raises:
            UserError: the task or the encoder lacks what the method needs.
        """
        card = self.backbone.card
        check_fit(self.name, self.needs, task, bool(self.data.label_groups), self.backbone_name, card.offers)

    def run(
        self,
        task: Task | None = None,
        *,
        folder: str,
        seed: int = 0,
        watcher: Watcher | None = None,
        on_stages: StageHook | None = None,
        backbone: Backbone | None = None,
        ranks: Ranks = ALONE,
    ) -> Trained:
        """Phase 1 on a variant of the task, from nothing or from what the folder holds.

        Args:
            ranks: who trains together; each has a folder of its own.

        The state of the global random generators is another one each time, as it is in another process.

        Raises:
            Interrupted: the watcher stopped the run.
        """
        asked = task or self.task
        if backbone is None and self._trains_tower:
            backbone = self.fresh_backbone()
        train, test = open_train(asked, self.data), open_test(asked, self.data)
        watcher = watcher or Watcher()
        scramble()
        setup = self._setup(asked, train, self.folder / folder, seed, watcher, on_stages, backbone)
        setup.ranks = ranks
        phase = Phase1(setup)
        inputs = phase.test_inputs(test, "encoding test images")
        self._trains_tower = self._trains_tower or _trains_tower(phase)
        if self._trains_tower:
            self.__dict__.pop("backbone", None)  # what a method trained is no encoder for the next run
        outcome = phase.run()
        return Trained(phase, outcome, phase.predict(inputs, test.class_names), watcher.steps, self.folder / folder)

    def _setup(
        self,
        task: Task,
        train: TrainView,
        folder: Path,
        seed: int,
        watcher: Watcher,
        on_stages: StageHook | None,
        backbone: Backbone | None,
    ) -> Setup:
        encoder = backbone or self.backbone
        device = torch.device("cpu")
        return Setup(
            method=Short(self.method(), on_stages),
            variant=self.resolved.variant,
            backbone=encoder,
            train=train,
            seed=seed,
            device=device,
            policy=unknown_policy(self.needs, task),
            encoder=Encoder(encoder, self.needs, self.root.cache / "features", device, SILENT),
            folder=folder,
            reporter=watcher,
        )


def scramble() -> None:
    """Put the global random generators into a state that no seed of a run led to."""
    value = int.from_bytes(np.random.default_rng().bytes(4), "big")
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def _trains_tower(phase: Phase1) -> bool:
    encoder = phase.setup.backbone
    towers = [tower for tower in (encoder.visual, encoder.text) if tower is not None]
    inside = {id(parameter) for tower in towers for parameter in tower.parameters()}
    return any(
        id(parameter) in inside
        for stage in gradient_stages(phase.stages)
        for group in stage.param_groups
        for parameter in group.params
    )


def gradient_stages(stages: Sequence[Stage]) -> list[GradientStage]:
    """The stages that are trained by gradient."""
    return [stage for stage in stages if isinstance(stage, GradientStage)]


__all__ = ["Bench", "Trained", "gradient_stages"]
