"""Phase 1: views in, logits and decisions out. Nothing here can reach a test label or a hidden training label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ltbench.engine import checkpoint, parameters
from ltbench.engine.answer import Logits, answering
from ltbench.engine.encode import Encoder
from ltbench.engine.events import StageEvents
from ltbench.engine.failures import Diverged, OutOfTime
from ltbench.engine.inputs import Inputs, Rowset, apply_unknown_policy
from ltbench.engine.log import RunLog
from ltbench.engine.order import EpochOrder
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.engine.seeds import KeptRandomState, reseed, seed_for
from ltbench.engine.setup import Outcome, Setup
from ltbench.method import Augment, Batch, Context, FitData, FitStage, GradientStage, Stage, Stats, Validation
from ltbench.method.extras import NotAskedFor
from ltbench.tasks.views import TestView, TrainView

PREDICT_ROWS = 256
#: A stage that took more than so many seconds, and more than this share of them waited for pictures, says so.
LONG, WAITS = 30.0, 0.1


@dataclass(frozen=True)
class Spent:
    """Seconds that were spent until a checkpoint, by all processes that worked on it."""

    training: float = 0.0
    encoding: float = 0.0

    @classmethod
    def until(cls, state: checkpoint.State) -> Spent:
        """What a checkpoint says."""
        return cls(float(state.get("train_seconds", 0.0)), float(state.get("encode_seconds", 0.0)))


PLAIN = Augment()


class Phase1:
    """Trains the stages of one method, resuming from what its folder holds."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        needs = setup.method.needs()
        observed = apply_unknown_policy(setup.train.observed, setup.policy)
        self._observed = observed
        self._captions = setup.train.captions if needs.captions else None
        self._open = needs.classes == "open"
        self._encode_seconds = 0.0
        # Of the processes before this one, where an interrupted run goes on.
        self._before = Spent()
        self._inputs: dict[Augment, Inputs] = {}
        self._stats = Stats.of(np.asarray(observed.numpy(), dtype=np.int8))
        self.context = Context(
            class_names=setup.train.class_names,
            stats=self._stats,
            backbone=setup.backbone,
            device=setup.device,
            seed=seed_for(setup.seed, "model"),
            variant=setup.variant,
            # A copy: a method that writes into it must not change what batches show.
            observed=observed.clone(),
            label_groups=setup.train.label_groups if needs.groups else NotAskedFor("label_groups", "groups"),
            validation=self._validation() if needs.validation else None,
        )
        reseed(setup.seed, "init")
        self.stages: list[Stage] = list(setup.method.stages(self.context))
        self.decisions: list[tuple[int, int, int]] = []

    def _validation(self) -> Validation | None:
        view = self.setup.train.validation
        if view is None:
            return None
        observed = apply_unknown_policy(view.observed, self.setup.policy)
        rows: list[Rowset] = []

        def scan() -> Iterator[Batch]:
            if not rows:  # encoded when they are first looked at
                rows.append(Rowset(self.test_inputs(view, "encoding validation images"), observed))
            return rows[0].scan(PREDICT_ROWS, self.setup.device)

        return Validation(len(view), view.class_names, scan)

    @property
    def module(self) -> nn.Module:
        """The module that predicts."""
        return self.stages[-1].module

    def training_rows(self, augment: Augment = PLAIN, further: tuple[Augment, ...] = ()) -> Rowset:
        """The training view as batches are cut from it; images are encoded on first use.

        Args:
            augment, further: views that training shows; see :class:`~ltbench.method.GradientStage`.
        """
        beside = tuple(self._training_inputs(each) for each in further)
        return Rowset(self._training_inputs(augment), self._observed, self._captions, beside)

    def _training_inputs(self, augment: Augment) -> Inputs:
        if augment not in self._inputs:
            started = time.perf_counter()
            view = self.setup.train
            self._inputs[augment] = self._encoder(self.setup.ranks).inputs(
                view.images, view.ids, augment, "encoding training images"
            )
            self._encode_seconds += time.perf_counter() - started
        return self._inputs[augment]

    def rows_of(self, stage: Stage) -> Rowset:
        """The training view as a stage sees it."""
        return (
            self.training_rows(stage.augment, stage.further)
            if isinstance(stage, GradientStage)
            else self.training_rows()
        )

    def capture(self) -> dict[str, Tensor]:
        """State of all stages' modules, ``<stage number>.<name>``, without the frozen towers they refer to."""
        trained = parameters.addresses(self.stages)
        return {
            f"{number}.{name}": tensor
            for number, stage in enumerate(self.stages)
            for name, tensor in checkpoint.own_state(stage.module, self.setup.backbone, trained).items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`capture` gave."""
        for number, stage in enumerate(self.stages):
            prefix = f"{number}."
            own = {name[len(prefix) :]: t for name, t in state.items() if name.startswith(prefix)}
            checkpoint.load_own_state(stage.module, own)

    def run(self) -> Outcome:
        """Run all stages.

        Raises:
            Diverged: a loss stopped being finite.
        """
        folder = self.setup.folder / "checkpoints"
        log = RunLog(self.setup.folder / "log.jsonl")
        ranks = self.setup.ranks
        seconds = 0.0
        for number, stage in enumerate(self.stages):
            stage.module.to(self.setup.device)
            path = folder / f"stage-{number}.pt"
            state = ranks.agree(partial(checkpoint.load, path, self.setup.reporter.line))
            if state is not None:
                self._before, seconds = Spent.until(state), 0.0
            if state is not None and state["done"]:
                self._take(stage, state)
                continue
            if isinstance(stage, FitStage) and stage.fit is None:
                # Nothing looks at the training rows, so they are not even encoded.
                self._start_fit(stage)
                continue
            rowset = self.rows_of(stage)
            started = time.perf_counter()
            if isinstance(stage, GradientStage) and (not ranks.several or stage.parallel == "rows"):
                self.train(number, stage, rowset, path, state, log, seconds)
            elif isinstance(stage, GradientStage):
                self._by_first(stage, partial(self.train, number, stage, rowset, path, state, log, seconds))
            else:
                self._by_first(stage, partial(self.fit, stage, rowset))
            seconds += time.perf_counter() - started
            if ranks.first:
                done = {"done": True, "module": self.capture(), "decisions": self.decisions}
                checkpoint.save(path, {**done, **self._spent(seconds)})
                log.write({"stage": stage.name, "done": True, "seconds": time.perf_counter() - started})
        self.module.eval()
        return Outcome(
            module=self.module,
            trainable=parameters.learned(self.stages),
            total=parameters.used(self.stages, self.setup.backbone),
            encode_seconds=self._before.encoding + self._encode_seconds,
            train_seconds=self._before.training + seconds,
            decisions=self.decisions,
            epochs=max((stage.epochs for stage in self.stages if isinstance(stage, GradientStage)), default=0),
            looks=last.epochs if isinstance(last := self.stages[-1], GradientStage) else 0,
        )

    def _take(self, stage: Stage, state: checkpoint.State) -> None:
        """Take over what a stage left."""
        # What a module makes when its fit starts (a buffer of that size) is there again before it is filled.
        self._start_fit(stage)
        self.restore(state["module"])
        self.decisions = [tuple(triple) for triple in state["decisions"]]

    def _by_first(self, stage: Stage, work: Callable[[], None]) -> None:
        """Have rank 0 alone work on a stage, and the others take over what it left.

        Raises:
            Diverged: on all ranks.
        """
        if not self.setup.ranks.several:
            work()
            return

        def left() -> checkpoint.State | Diverged:
            try:
                work()
            except Diverged as error:
                return error
            return {"module": self.capture(), "decisions": self.decisions}

        found = self.setup.ranks.agree(left)
        if isinstance(found, Diverged):
            raise found
        if not self.setup.ranks.first:
            self._take(stage, found)

    def encoded(self, seconds: float) -> None:
        """Count seconds that the caller spent on encoding for this run."""
        self._encode_seconds += seconds

    def _spent(self, training: float) -> dict[str, float]:
        """What a checkpoint says was spent until now; ``training`` is this process's."""
        return {
            "train_seconds": self._before.training + training,
            "encode_seconds": self._before.encoding + self._encode_seconds,
        }

    def fit(self, stage: FitStage, rowset: Rowset) -> None:
        """Fit a stage that has something to fit."""
        assert stage.fit is not None
        device = self.setup.device
        self._start_fit(stage)
        reseed(self.setup.seed, "stage", stage.name)
        stage.fit(
            FitData(
                scan=lambda: rowset.scan(PREDICT_ROWS, device),
                rows=len(rowset),
                seed=seed_for(self.setup.seed, "stage", stage.name),
                stats=self._stats,
                reporter=self.setup.reporter,
            )
        )

    def _start_fit(self, stage: Stage) -> None:
        start = getattr(stage.module, "on_fit_start", None)
        if callable(start):
            reseed(self.setup.seed, "stage", stage.name)
            start(self._stats)
            stage.module.to(self.setup.device)

    def train(
        self,
        number: int,
        stage: GradientStage,
        rowset: Rowset,
        path: Path,
        state: checkpoint.State | None,
        log: RunLog,
        spent: float = 0.0,
    ) -> None:
        """Train one stage by gradient.

        Args:
            path: of its checkpoints.
            state: a checkpoint to go on from; None begins.
            spent: seconds that this process trained stages before it.

        Raises:
            Diverged: a loss stopped being finite.
            OutOfTime: the deadline passed.
        """
        # Imported here because mmengine's runner takes seconds to import and not every method trains by gradient.
        from ltbench.engine._mmengine import run_gradient_stage

        self._start_fit(stage)
        if state is not None:
            self.decisions = [tuple(triple) for triple in state["decisions"]]
            self.setup.reporter.line(f"resuming stage {stage.name} after epoch {state['epoch']} of {stage.epochs}")
        for parameter in stage.module.parameters():
            parameter.requires_grad_(False)
        for group in stage.param_groups:
            for parameter in group.params:
                parameter.requires_grad_(True)

        # A stage that rank 0 trains alone is no business of the others.
        ranks = self.setup.ranks if stage.parallel == "rows" else ALONE

        spans: list[tuple[float, float]] = []

        def on_epoch(epoch: int, means: dict[str, float], lr: float, took: float, waited: float) -> None:
            spans.append((took, waited))
            decide = getattr(stage.module, "decisions", None)
            if callable(decide):
                pairs = [(int(row), int(column)) for row, column in decide()]
                # Of rows that were dealt, each rank decided on its own; of all rows, all on the same.
                merged = dict.fromkeys(pair for found in ranks.gather(pairs) for pair in found)
                self.decisions.extend((row, column, epoch) for row, column in (merged if ranks.several else pairs))
            if not ranks.first:
                return
            log.write({"stage": stage.name, "epoch": epoch, "lr": lr, "seconds": took, "waited": waited, **means})
            if self.setup.after_epoch and number == len(self.stages) - 1:
                with KeptRandomState():
                    for look in self.setup.after_epoch:
                        look(number, epoch)

        def on_step(number: int) -> None:
            advance(number)
            if self.setup.after_step is not None:
                self.setup.after_step()
            if self.setup.deadline is not None and time.monotonic() > self.setup.deadline:
                raise OutOfTime(f"stage {stage.name!r} was still training at the time cap")

        done = int(state["epoch"]) if state is not None else 0
        # A sampler may draw more or fewer rows than there are.
        order = EpochOrder(stage, len(rowset), self.setup.seed)
        steps = len(order) * (stage.epochs - done)
        started = time.perf_counter()

        def save(found: checkpoint.State) -> None:
            if not ranks.first:
                return
            seconds = self._spent(spent + time.perf_counter() - started)
            checkpoint.save(path, {**found, "decisions": self.decisions, **seconds})

        with self.setup.reporter.task(f"training {stage.name}", steps) as advance:
            run_gradient_stage(
                stage,
                rowset,
                order,
                seed=self.setup.seed,
                device=self.setup.device,
                work_dir=path.parent / "runner",
                ranks=ranks,
                accumulation=self.setup.accumulation if stage.parallel == "rows" else 1,
                events=StageEvents(on_step, on_epoch, save),
                resume=state,
                capture=self.capture,
                restore=self.restore,
                frozen=checkpoint.frozen_towers(self.setup.backbone, parameters.addresses(self.stages)),
            )
        took, waited = (sum(span[number] for span in spans) for number in (0, 1))
        if ranks.first and rowset.workers and took > LONG and waited > WAITS * took:
            found = f"training {stage.name} waited for pictures in {100 * waited / took:.0f} % of {took:.0f} s"
            self.setup.reporter.line(f"{found}; {rowset.workers} workers load them (--workers)")

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over the final state of a finished run, as :meth:`capture` gave it, in place of training.

        Raises:
            RuntimeError: a tensor is missing, unknown, or of another shape.
        """
        for stage in self.stages:
            stage.module.to(self.setup.device)
            self._start_fit(stage)
        missing = sorted(self.capture().keys() - state.keys())
        if missing:
            raise RuntimeError(f"the state has no {missing[0]}")
        self.restore(state)
        self.module.eval()

    def answering(self, class_names: tuple[str, ...]) -> AbstractContextManager[Callable[[Batch], Logits]]:
        """A function from batches to logits float32 [n, C] for these classes; see :func:`answer.answering`."""
        back_to = self.setup.train.class_names if self._open else None
        return answering(self.module, self.setup.device, class_names, back_to)

    def predict(self, inputs: Inputs, class_names: tuple[str, ...]) -> Logits:
        """Logits float32 [n, C] for these classes; open class sets learn the names here and not before."""
        rowset = Rowset(inputs, torch.zeros((len(inputs), 0), dtype=torch.int8))
        with self.answering(class_names) as logits_of:
            parts = [logits_of(batch) for batch in rowset.scan(PREDICT_ROWS, self.setup.device)]
        return np.concatenate(parts) if parts else np.zeros((0, len(class_names)), np.float32)

    def test_inputs(self, view: TestView | TrainView, label: str, ranks: Ranks = ALONE) -> Inputs:
        """Inputs of a view that is only predicted on.

        Args:
            ranks: who encodes together; all of them are here then.
        """
        return self._encoder(ranks).inputs(view.images, view.ids, PLAIN, label)

    def _encoder(self, ranks: Ranks) -> Encoder:
        return replace(self.setup.encoder, ranks=ranks) if ranks.several else self.setup.encoder
