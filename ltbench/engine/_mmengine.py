"""The one module that knows mmengine: runs a gradient stage on its ``Runner``.

What it works around in mmengine 0.10.7: resuming loads checkpoints in a way that torch 2.6 and later refuse (state is
ours, see ``checkpoint.py``); its collate returns lists (batches arrive ready-made); its registries and named
singletons are global (every runner gets a name of its own, everything is passed as an object, and the singletons are
dropped afterwards); it collects the environment by calling compilers, keeps log files open and draws with matplotlib
(all switched off); it moves a model to a GPU whatever device was asked for, reads the gradient norm back at each step,
and meets other processes while a runner is made (models stay where they are, steps are our own, and only
:mod:`ltbench.engine.ranks` speaks to other processes). Its wrapper for several processes wants models of its own
interface, so gradients are averaged by torch's, around the loss. It imports other libraries' optimisers only to list
them (they are kept from it).
"""

from __future__ import annotations

import inspect
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ltbench.engine.absent import absent
from ltbench.engine.ahead import Waited
from ltbench.engine.averages import Swapped, average_of, float_buffers
from ltbench.engine.checkpoint import State
from ltbench.engine.events import StageEvents
from ltbench.engine.failures import Diverged
from ltbench.engine.inputs import Rowset
from ltbench.engine.optimizers import optimizer_of, set_rates
from ltbench.engine.order import EpochOrder, Rows, restore, state_of
from ltbench.engine.parts import Cut, Step, steps
from ltbench.engine.prefetch import on_device
from ltbench.engine.ranks import ALONE, Ranks
from ltbench.engine.seeds import reseed
from ltbench.engine.terms import Terms, reads_every
from ltbench.method import Batch, GradientStage

# Optimisers of other libraries, which nothing here asks for and mmengine does without where they are not installed.
# They take longer to import than most else of mmengine.
with absent("transformers", "torch.distributed.optim"):
    from mmengine.hooks import Hook
    from mmengine.logging import MessageHub, MMLogger
    from mmengine.optim import OptimWrapper
    from mmengine.runner import Runner

_counter = itertools.count()


class _Losses(nn.Module):
    """The loss of a batch as a forward pass, which is what torch averages the gradients of."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module_ = module

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What is minimised, and all terms without gradients."""
        terms = self.module_.loss(batch)  # type: ignore[operator]
        parts = [value for name, value in terms.items() if name.startswith("loss")]
        if not parts:
            raise ValueError(f"loss() gave {sorted(terms)}, no term whose name starts with 'loss'")
        return torch.stack(parts).sum(), {name: value.detach() for name, value in terms.items()}


class _Trained(nn.Module):
    """Gives a method's module the ``train_step`` that mmengine calls."""

    def __init__(
        self, stage: GradientStage, device: torch.device, frozen: Sequence[nn.Module], ranks: Ranks, checks: bool
    ) -> None:
        super().__init__()
        self.losses = _Losses(stage.module)
        self._device = device
        self._frozen = tuple(frozen)
        self._ranks = ranks
        self._checks = checks
        # Buffers are each rank's own: what of them is by row is shared after each step, the rest is equal anyway.
        self._shared = stage.row_state if ranks.several else ()
        # In a tuple, so that the module is no part of this one twice.
        self._called: tuple[nn.Module] = (_averaging(self.losses) if ranks.several else self.losses,)

    def train(self, mode: bool = True) -> _Trained:
        """Training mode for all but the frozen towers, whose batch statistics must stay those of their weights."""
        super().train(mode)
        self._called[0].train(mode)
        for tower in self._frozen:
            tower.eval()
        return self

    def train_step(self, data: Step, optim_wrapper: _Stepper) -> dict[str, Tensor]:
        """One step of the optimiser; the terms of the batch, or this rank's shares in them."""
        found: dict[str, Tensor] = {}
        last = len(data.batches) - 1
        for number, (batch, share) in enumerate(zip(data.batches, data.shares, strict=True)):
            with self._apart(number < last), optim_wrapper.arithmetic():
                total, terms = self._called[0](batch)
                # Terms before their sum: the first value that is not finite is the one that an error names.
                terms = {**terms, "total": total.detach()}
                if share is not None:
                    # Gradients of ranks are averaged, and have to be added.
                    total = total * (share * self._ranks.world)
                    terms = {name: value * share for name, value in terms.items()}
            for name, value in terms.items():
                found[name] = found[name] + value if name in found else value
            if self._checks and not bool(torch.isfinite(total)):
                optim_wrapper.drop()
                return found
            optim_wrapper.backward(total)
        optim_wrapper.finish()
        for name in self._shared:
            self._ranks.share(self.losses.module_.get_buffer(name), data.rows)
        return found

    def _apart(self, more: bool) -> AbstractContextManager[Any]:
        """Context of a pass whose gradients need not be averaged yet, because more of the same step follow."""
        called = self._called[0]
        return called.no_sync() if more and isinstance(called, DistributedDataParallel) else nullcontext()


def _averaging(losses: _Losses) -> DistributedDataParallel:
    """The loss, whose backward pass gives each rank the mean of all gradients; a parameter may be unused in a step."""
    names = inspect.signature(DistributedDataParallel.__init__).parameters
    # Newer versions of torch have another name for it.
    buffers: Any = {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}
    return DistributedDataParallel(losses, find_unused_parameters=True, **buffers)


class _Stepper(OptimWrapper):  # type: ignore[misc]
    """Backward pass and step of an optimiser, in half precision where asked for, without waiting for the device.

    Args:
        optimizer: it steps.
        device: where.
        half: type to cast to automatically; float16 is scaled, bfloat16 has the range of float32; None casts nothing.
        clip_norm: limit of the norm of all gradients; None for none.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, device: torch.device, half: torch.dtype | None, clip_norm: float | None
    ) -> None:
        super().__init__(optimizer)
        self._device = device
        self._half = half
        self._clip_norm = clip_norm
        self.loss_scaler = torch.amp.GradScaler(device.type) if half is torch.float16 else None

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Context of a forward pass."""
        return nullcontext() if self._half is None else torch.autocast(self._device.type, dtype=self._half)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add the gradients of a loss."""
        scaled: Tensor = loss if self.loss_scaler is None else self.loss_scaler.scale(loss)
        scaled.backward(**kwargs)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Move the parameters by their gradients, and forget these."""
        if self._clip_norm is not None:
            if self.loss_scaler is not None:
                self.loss_scaler.unscale_(self.optimizer)
            held = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            if held:
                clip_grad_norm_(held, self._clip_norm)
        if self.loss_scaler is None:
            self.optimizer.step()
        else:
            self.loss_scaler.step(self.optimizer)
            self.loss_scaler.update()
        self.drop()

    def drop(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()


def half_of(stage: GradientStage, device: torch.device) -> torch.dtype | None:
    """The type of automatic mixed precision: bfloat16 where the card computes in it, else float16; None without."""
    if not stage.amp or device.type != "cuda":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


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
        terms: Terms,
        waited: Waited,
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
        self._terms = terms
        self._waited = waited
        self._started = 0.0
        self.average: AveragedModel | None = None
        self._buffers: list[str] = []

    def before_train(self, runner: Runner) -> None:
        if self._stage.ema is not None:
            self._make_average()
        if self._resume is None:
            return
        state = self._resume
        self._restore(state["module"])
        runner.optim_wrapper.optimizer.load_state_dict(state["optimizer"])
        scaler = runner.optim_wrapper.loss_scaler
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
        self.average = average_of(self._averaged(), self._stage.ema)

    def _averaged(self) -> list[nn.Parameter]:
        """What the average is of, as it is now: trained parameters, and buffers where asked for."""
        module = self._stage.module
        buffers = [nn.Parameter(module.get_buffer(name), requires_grad=False) for name in self._buffers]
        return [*(p for group in self._stage.param_groups for p in group.params), *buffers]

    def before_train_epoch(self, runner: Runner) -> None:
        epoch = runner.epoch
        rng = reseed(self._seed, self._name, epoch)
        self._order.start(epoch, rng)
        self._terms.start()
        self._waited.start()
        self._started = time.perf_counter()
        start = getattr(self._stage.module, "on_epoch_start", None)
        if callable(start):
            self._stage.module.eval()
            rowset = self._data.rowset
            start(epoch, lambda: rowset.scan(max(256, self._stage.batch_size), self._device))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        set_rates(runner.optim_wrapper.optimizer, self._stage, runner.iter, len(self._order))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._terms.add(runner.iter + 1, outputs)
        if self.average is not None:
            self.average.update_parameters(nn.ParameterList(self._averaged()))
        self._events.on_step(1)

    def after_train_epoch(self, runner: Runner) -> None:
        self._terms.read()
        self._check_parameters(runner.iter)
        optimizer = runner.optim_wrapper.optimizer
        scaler = runner.optim_wrapper.loss_scaler
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
        means = self._terms.means()
        seconds = time.perf_counter() - self._started
        with self.averaged():
            lr = float(optimizer.param_groups[0]["lr"])
            self._events.on_epoch(runner.epoch, means, lr, seconds, self._waited.seconds)
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
    """Steps in the sampler's order on the device, their pictures loaded by the rowset's threads."""

    def __init__(self, data: Rows, order: EpochOrder, cut: Cut, device: torch.device, waited: Waited) -> None:
        # batch_size=None: the sampler yields whole batches, so mmengine's list-making collate never runs.
        super().__init__(data, batch_size=None, sampler=order, num_workers=0)
        self._ours = data, cut, device, waited

    def __iter__(self) -> Any:
        # Asked for and let go: it draws a number from torch's generator, as it did when all records were made.
        super().__iter__()
        data, cut, device, waited = self._ours
        return on_device(steps(self.sampler, cut, partial(data.batches, waited=waited)), device)


class _QuietRunner(Runner):  # type: ignore[misc]
    """Runner that neither calls compilers to describe the machine nor dumps configuration files."""

    def setup_env(self, env_cfg: Any) -> None:
        """Nothing of the process is changed, and no other process is spoken to."""
        self._rank, self._world_size = 0, 1
        self._timestamp = time.strftime("%Y%m%d_%H%M%S")

    def wrap_model(self, model_wrapper_cfg: Any, model: nn.Module) -> nn.Module:
        """Models stay on their device."""
        return model

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
    order: EpochOrder,
    *,
    seed: int,
    device: torch.device,
    work_dir: Path,
    events: StageEvents,
    resume: State | None,
    capture: Callable[[], dict[str, Tensor]],
    restore: Callable[[dict[str, Tensor]], None],
    frozen: Sequence[nn.Module] = (),
    ranks: Ranks = ALONE,
    accumulation: int = 1,
) -> None:
    """Train one stage, from its last finished epoch if there is a state to resume from.

    At the end the trained parameters hold their moving averages where averaging is on. Modules in ``frozen`` stay in
    evaluation mode throughout. Several ranks train on their rows of each batch and end with the same values.

    Args:
        order: of the rowset's rows, from the same seed.
        accumulation: passes that a rank's rows of a batch are cut into, where they do not fit at once.

    Raises:
        Diverged: the loss stopped being finite; on all ranks.
        ValueError: rows are dealt, and a parameter that is trained is no part of the stage's module.
    """
    if ranks.several:
        _check_owned(stage)
    data = Rows(rowset)
    waited = Waited()
    loader = _Ahead(data, order, Cut(stage, rowset.observed, ranks, accumulation), device, waited)
    terms = Terms(stage.name, reads_every(device, ranks), ranks)
    optimizer = optimizer_of(stage, fused=device.type == "cuda")
    lifecycle = _Lifecycle(
        stage, order, data, (seed, stage.name), device, events, resume, capture, restore, frozen, terms, waited
    )
    logging.getLogger("mmengine").setLevel(logging.ERROR)
    runner = _QuietRunner(
        # Values that are read at each step are looked at before they move parameters.
        model=_Trained(stage, device, frozen, ranks, checks=terms.every == 1),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": stage.epochs, "val_interval": 10**9},
        optim_wrapper=_Stepper(optimizer, device, half_of(stage, device), stage.clip_norm),
        default_hooks=dict.fromkeys(
            ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
        ),
        custom_hooks=[lifecycle],
        log_level="ERROR",
        experiment_name=f"ltbench-{next(_counter)}",
        randomness={"seed": seed % 2**31},
    )
    try:
        runner.train()
    except Diverged:
        raise
    except Exception:
        # Values that are not finite may have led to it before they were read.
        if not ranks.several:
            terms.read()
        raise
    finally:
        runner.forget()
    with lifecycle.averaged() as swapped:
        swapped.keep()


def _check_owned(stage: GradientStage) -> None:
    owned = {id(parameter) for parameter in stage.module.parameters()}
    for group in stage.param_groups:
        if any(id(parameter) not in owned for parameter in group.params):
            raise ValueError(
                f"stage {stage.name!r} trains a parameter of group {group.name!r} that is no part of its module, so "
                "that its gradients would not be averaged; say parallel='none'"
            )
