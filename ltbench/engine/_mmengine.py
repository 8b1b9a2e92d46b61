"""The one module that knows mmengine: runs a gradient stage on its ``Runner``.

What it works around in mmengine 0.10.7: resuming loads checkpoints in a way that torch 2.6 and later refuse (state is
ours, see ``checkpoint.py``); its collate returns lists (batches arrive ready-made); its registries and named
singletons are global (every runner gets a name of its own, everything is passed as an object, and the singletons are
dropped afterwards); it collects the environment by calling compilers, keeps log files open and draws with matplotlib
(all switched off).
"""

from __future__ import annotations

import itertools
import logging
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ltbench.engine.averages import Swapped, float_buffers
from ltbench.engine.checkpoint import State
from ltbench.engine.events import StageEvents
from ltbench.engine.failures import Diverged
from ltbench.engine.inputs import Rowset
from ltbench.engine.optimizers import optimizer_of, set_rates
from ltbench.engine.order import EpochOrder, Rows, restore, state_of
from ltbench.engine.seeds import reseed
from ltbench.method import Batch, GradientStage

_counter = itertools.count()


class _Trained(nn.Module):
    """Gives a method's module the ``train_step`` that mmengine calls."""

    def __init__(self, module: nn.Module, device: torch.device, frozen: Sequence[nn.Module]) -> None:
        super().__init__()
        self.module_ = module
        self._device = device
        self._frozen = tuple(frozen)

    def train(self, mode: bool = True) -> _Trained:
        """Training mode for all but the frozen towers, whose batch statistics must stay those of their weights."""
        super().train(mode)
        for tower in self._frozen:
            tower.eval()
        return self

    def train_step(self, data: Batch, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        with optim_wrapper.optim_context(self):
            terms = self.module_.loss(data.to(self._device))  # type: ignore[operator]
            parts = [value for name, value in terms.items() if name.startswith("loss")]
            if not parts:
                raise ValueError(f"loss() gave {sorted(terms)}, no term whose name starts with 'loss'")
            total = torch.stack(parts).sum()
        if bool(torch.isfinite(total)):
            optim_wrapper.update_params(total)
        # Terms before their sum: the first value that is not finite is the one that an error names.
        return {**{name: value.detach() for name, value in terms.items()}, "total": total.detach()}


class _Lifecycle(Hook):  # type: ignore[misc]
    """Seeds, learning rates, divergence, averages, checkpoints and progress of one stage."""

    def __init__(
        self,
        stage: GradientStage,
        order: EpochOrder,
        data: Rows,
        seed_axes: tuple[int, str],
        device: torch.device,
        events: StageEvents,
        resume: State | None,
        capture: Callable[[], dict[str, Tensor]],
        restore: Callable[[dict[str, Tensor]], None],
        frozen: Sequence[nn.Module],
    ) -> None:
        self._stage = stage
        self._frozen = frozen
        self._order = order
        self._data = data
        self._seed, self._name = seed_axes
        self._device = device
        self._events = events
        self._resume = resume
        self._capture = capture
        self._restore = restore
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._started = 0.0
        self.average: ExponentialMovingAverage | None = None
        self._buffers: list[str] = []

    def before_train(self, runner: Runner) -> None:
        if self._stage.ema is not None:
            self._make_average()
        if self._resume is None:
            return
        state = self._resume
        self._restore(state["module"])
        runner.optim_wrapper.optimizer.load_state_dict(state["optimizer"])
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        if scaler is not None and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        restore(self._stage.sampler, state.get("sampler"))
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        epoch = int(state["epoch"])
        runner.train_loop._epoch = epoch
        # Not epoch times length: a sampler may give epochs of different lengths.
        runner.train_loop._iter = int(state["iter"])
        runner.optim_wrapper.initialize_count_status(runner.model, runner.train_loop._iter, runner.train_loop.max_iters)

    def _make_average(self) -> None:
        if self._stage.ema_buffers:
            self._buffers = float_buffers(self._stage.module, self._frozen)
        assert self._stage.ema is not None
        self.average = ExponentialMovingAverage(nn.ParameterList(self._averaged()), momentum=1.0 - self._stage.ema)
        # Left at 0, the average would begin with the values after the first step, not with the initial ones.
        self.average.steps.fill_(1)

    def _averaged(self) -> list[nn.Parameter]:
        """What the average is of, as it is now: trained parameters, and buffers where asked for."""
        module = self._stage.module
        buffers = [nn.Parameter(module.get_buffer(name), requires_grad=False) for name in self._buffers]
        return [*(p for group in self._stage.param_groups for p in group.params), *buffers]

    def before_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch
        rng = reseed(self._seed, self._name, epoch)
        self._order.start(epoch, rng)
        self._sums, self._steps, self._started = {}, 0, time.perf_counter()
        start = getattr(self._stage.module, "on_epoch_start", None)
        if callable(start):
            self._stage.module.eval()
            rowset = self._data.rowset
            start(epoch, lambda: rowset.scan(max(256, self._stage.batch_size), self._device))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        set_rates(runner.optim_wrapper.optimizer, self._stage, runner.iter, len(self._order))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for name, value in outputs.items():
            number = float(value)
            if not math.isfinite(number):
                raise Diverged(self._stage.name, runner.iter + 1, f"{name} is {number}")
            self._sums[name] = self._sums.get(name, 0.0) + number
        self._steps += 1
        if self.average is not None:
            self.average.update_parameters(nn.ParameterList(self._averaged()))
        self._events.on_step(1)

    def after_train_epoch(self, runner: Runner) -> None:
        self._check_parameters(runner.iter)
        optimizer = runner.optim_wrapper.optimizer
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        state: State = {
            "epoch": runner.epoch + 1,
            "iter": runner.iter,
            "module": self._capture(),
            "optimizer": optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else {},
            "sampler": state_of(self._stage.sampler),
            "average": self.average.state_dict() if self.average is not None else {},
            "done": False,
        }
        means = {name: total / max(1, self._steps) for name, total in self._sums.items()}
        seconds = time.perf_counter() - self._started
        with self.averaged():
            self._events.on_epoch(runner.epoch, means, float(optimizer.param_groups[0]["lr"]), seconds)
        self._events.save(state)

    def _check_parameters(self, step: int) -> None:
        """A gradient can overflow while the loss is finite; after a last step no loss would show it."""
        for group in self._stage.param_groups:
            if not all(bool(torch.isfinite(parameter).all()) for parameter in group.params):
                raise Diverged(self._stage.name, step, f"a parameter of group {group.name!r} is not finite")

    def averaged(self) -> Swapped:
        """Context in which trained parameters, and buffers if asked for, hold their averages, where averaging is on."""
        averages = list(self.average.module.parameters()) if self.average is not None else None
        return Swapped(self._averaged(), averages)


class _Ahead(DataLoader[Batch]):
    """Batches in the sampler's order, their pictures loaded by the rowset's threads."""

    def __iter__(self) -> Any:
        # Asked for and let go: it draws a number from torch's generator, as it did when all records were made.
        super().__iter__()
        data = self.dataset
        assert isinstance(data, Rows)
        return data.batches(self.sampler)


class _QuietRunner(Runner):  # type: ignore[misc]
    """Runner that neither calls compilers to describe the machine nor dumps configuration files."""

    def _log_env(self, env_cfg: Any) -> None:
        return

    def dump_config(self) -> None:
        return

    def build_logger(self, log_level: Any = "ERROR", log_file: str | None = None, **_: Any) -> MMLogger:
        # Without a file: mmengine would keep one open for every stage ever run in this process.
        return MMLogger.get_instance(self._experiment_name, log_level=log_level)

    def build_visualizer(self, visualizer: Any = None) -> None:
        # mmengine's would import matplotlib and draw an empty figure for every stage.
        return

    def forget(self) -> None:
        """Take this runner's named singletons out of mmengine's global tables."""
        for kind in (MMLogger, MessageHub):
            kind._instance_dict.pop(self._experiment_name, None)


def run_gradient_stage(
    stage: GradientStage,
    rowset: Rowset,
    *,
    seed: int,
    device: torch.device,
    work_dir: Path,
    events: StageEvents,
    resume: State | None,
    capture: Callable[[], dict[str, Tensor]],
    restore: Callable[[dict[str, Tensor]], None],
    frozen: Sequence[nn.Module] = (),
) -> None:
    """Train one stage, from its last finished epoch if there is a state to resume from.

    At the end the trained parameters hold their moving averages where averaging is on. Modules in ``frozen`` stay in
    evaluation mode throughout.

    Raises:
        Diverged: the loss stopped being finite.
    """
    data = Rows(rowset)
    order = EpochOrder(stage, len(rowset), seed)
    # batch_size=None: the sampler yields whole batches, so mmengine's list-making collate never runs.
    loader = _Ahead(data, batch_size=None, sampler=order, num_workers=0)
    amp = stage.amp and device.type == "cuda"
    clip = None if stage.clip_norm is None else {"max_norm": stage.clip_norm}
    wrapper: OptimWrapper = (
        AmpOptimWrapper(optimizer=optimizer_of(stage), clip_grad=clip)
        if amp
        else OptimWrapper(optimizer=optimizer_of(stage), clip_grad=clip)
    )
    lifecycle = _Lifecycle(stage, order, data, (seed, stage.name), device, events, resume, capture, restore, frozen)
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    runner = _QuietRunner(
        model=_Trained(stage.module, device, frozen),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": stage.epochs, "val_interval": 10**9},
        optim_wrapper=wrapper,
        default_hooks=dict.fromkeys(
            ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
        ),
        custom_hooks=[lifecycle],
        log_level="ERROR",
        experiment_name=f"ltbench-{next(_counter)}",
        randomness={"seed": seed % 2**31},
        # Left alone, mmengine forces "fork" on the whole process, also on a sweep that spawns its workers.
        env_cfg={"mp_cfg": {"mp_start_method": multiprocessing.get_start_method()}, "dist_cfg": {"backend": "nccl"}},
    )
    try:
        runner.train()
    finally:
        runner.forget()
    with lifecycle.averaged() as swapped:
        swapped.keep()
