"""What several processes, or several passes of one, need before anybody trains: parts, shares, readings, devices."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine import toys
from engine.harness import make_world, run
from ltbench.cli import main
from ltbench.engine import _mmengine, parts
from ltbench.engine.averages import average_of
from ltbench.engine.failures import Diverged, is_the_machines
from ltbench.engine.launched import Launched, launched
from ltbench.engine.order import Draw
from ltbench.engine.parts import Cut, steps
from ltbench.engine.prefetch import ahead, on_device
from ltbench.engine.prepare import pick_device
from ltbench.engine.ranks import Ranks, device_of
from ltbench.engine.terms import EVERY, Terms, reads_every
from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    ClassSpecificEmbeddingLoss,
    DistributionallyRobustLoss,
    HillLoss,
    LargeLoss,
    LSEPLoss,
    SelectiveAsymmetricLoss,
    goes_over,
)
from ltbench.method import Batch, GradientStage, ParamGroup, dealt
from ltbench.plugin import UserError

CPU = torch.device("cpu")


class Of(Ranks):
    """A rank that nobody is connected to."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world


def stage_with(module: torch.nn.Module | None = None, **facts: Any) -> GradientStage:
    module = module or torch.nn.Linear(2, 2)
    return GradientStage("train", module, [ParamGroup(list(module.parameters()), 0.1)], epochs=1, **facts)


def draw_of(rows: Sequence[int]) -> Draw:
    return Draw(np.array(rows), np.arange(len(rows)), key=7)


@pytest.mark.parametrize("reduction", ["rows", "known", "labelled"])
@pytest.mark.parametrize(("world", "accumulation"), [(1, 3), (2, 1), (3, 2), (4, 9)])
def test_parts_are_the_batch_and_their_shares_are_one(reduction: Any, world: int, accumulation: int) -> None:
    observed = torch.zeros(20, 4, dtype=torch.int8)
    observed[::2, :3] = 1
    observed[5] = -1
    draw = draw_of([3, 4, 5, 8, 13, 2, 0, 19, 1, 6])
    seen: list[tuple[int, int]] = []
    total = 0.0
    for rank in range(world):
        cut = Cut(stage_with(reduction=reduction), observed, Of(rank, world), accumulation)
        found, shares, every = cut.parts(draw)
        assert np.concatenate(every).tolist() == np.concatenate([draw.rows[r::world] for r in range(world)]).tolist()
        assert len(found) == min(accumulation, len(every[rank]))
        # Views go by row and turn, which stay together.
        seen += [(int(row), int(turn)) for part in found for row, turn in zip(part.rows, part.turns, strict=True)]
        total += sum(share for share in shares if share is not None)
    assert sorted(seen) == sorted(zip(draw.rows.tolist(), draw.turns.tolist(), strict=True))
    assert total == pytest.approx(1.0)


def test_a_batch_of_fewer_rows_than_ranks_is_everybody_s() -> None:
    for rank in range(3):
        (part,), (share,), every = Cut(stage_with(), torch.ones(9, 2), Of(rank, 3)).parts(draw_of([4, 2]))
        assert part.rows.tolist() == [4, 2]
        assert share == pytest.approx(1 / 3)
        assert [rows.tolist() for rows in every] == [[4, 2]] * 3


def test_a_sum_weighs_every_part_alike_and_no_known_label_divides_by_nothing() -> None:
    observed = torch.zeros(6, 2, dtype=torch.int8)
    assert Cut(stage_with(reduction="sum"), observed, accumulation=2).parts(draw_of([0, 1, 2]))[1] == [1.0, 1.0]
    shares = Cut(stage_with(reduction="known"), observed, accumulation=2).parts(draw_of([0, 1, 2]))[1]
    assert shares == [pytest.approx(2 / 3), pytest.approx(1 / 3)]


def test_steps_keep_their_batches_and_load_ahead() -> None:
    asked: list[int] = []

    def load(draws: Any) -> Any:
        for draw in draws:
            asked.append(len(draw.rows))
            yield Batch(torch.from_numpy(draw.rows), torch.zeros(len(draw.rows), 1), torch.zeros(0))

    cut = Cut(stage_with(), torch.ones(9, 2), accumulation=2)
    found = list(steps([draw_of([0, 1, 2]), draw_of([7]), draw_of([5, 6])], cut, load))
    assert [[batch.rows.tolist() for batch in step.batches] for step in found] == [[[0, 2], [1]], [[7]], [[5], [6]]]
    assert asked == [2, 1, 1, 1, 1]
    assert [step.batches for step in on_device(found, CPU)] != []


@pytest.mark.parametrize(
    ("criterion", "goes"),
    [
        (BCELoss(), "known"),
        (AsymmetricLoss(reduction="sum"), "sum"),
        (HillLoss(), "rows"),
        (LSEPLoss(), "rows"),
        (LSEPLoss(axis="class"), "batch"),
        (DistributionallyRobustLoss(), "batch"),
        (LargeLoss("R"), "batch"),
        (HillLoss(reduction="none"), "batch"),
        (SelectiveAsymmetricLoss(variant="code"), "batch"),
        (SelectiveAsymmetricLoss(variant="paper"), "rows"),
        (ClassSpecificEmbeddingLoss(None, variant="code"), "known"),
        (torch.nn.Identity(), "batch"),
    ],
)
def test_a_loss_says_how_it_goes_over_a_batch(criterion: torch.nn.Module, goes: str) -> None:
    assert goes_over(criterion) == goes
    stage = dealt(stage_with(), criterion)
    assert (stage.parallel, stage.reduction) == (("none", "rows") if goes == "batch" else ("rows", goes))


def test_rows_stay_together_where_a_module_looks_at_others_or_losses_differ() -> None:
    normed = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)).eval()
    assert dealt(stage_with(normed), BCELoss()).parallel == "none"
    assert not any(part.training for part in normed.modules())
    for share, parallel in ((0.1, "none"), (0.0, "rows")):
        thinned = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(share))
        assert dealt(stage_with(thinned), BCELoss()).parallel == parallel
    assert dealt(stage_with(), BCELoss(), HillLoss()).parallel == "none"
    assert dealt(stage_with(), BCELoss(), HillLoss(), complete=True).reduction == "rows"


def test_what_is_read_late_is_read_the_same() -> None:
    now, late = Terms("train", 1), Terms("train", 5)
    for step in range(1, 13):
        terms = {"loss": torch.tensor(0.1 * step), "total": torch.tensor(0.3 / step, dtype=torch.float64)}
        now.add(step, terms)
        late.add(step, terms)
    late.read()
    assert now.means() == late.means()
    late.add(13, {"loss": torch.tensor(1.0)})
    late.add(14, {"loss": torch.tensor(torch.inf), "total": torch.tensor(torch.nan)})
    late.add(15, {"loss": torch.tensor(torch.nan)})
    with pytest.raises(Diverged, match="loss is inf in stage 'train' at step 14") as caught:
        late.read()
    assert caught.value.step == 14
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.step) == (str(caught.value), 14)


def test_terms_are_read_at_once_where_nobody_waits() -> None:
    assert reads_every(CPU, Ranks()) == 1
    assert reads_every(CPU, Of(0, 2)) == EVERY
    assert reads_every(torch.device("cuda"), Ranks()) == EVERY


@pytest.mark.parametrize(("options", "step"), [({"at": 5}, 5), ({"at": 5, "how": "gradient"}, 6)])
def test_divergence_is_found_with_its_step_however_late(
    options: dict[str, Any], step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_mmengine, "reads_every", lambda device, ranks: EVERY)
    with pytest.raises(Diverged) as caught:
        run(toys.Diverging(toys.Diverging.Config(**options)), make_world(), tmp_path)
    assert caught.value.step == step


class Synchronised(TorchDispatchMode):
    """Counts how often a tensor's value is asked for, which on a GPU makes the processor wait."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_the_device_and_results_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules, clipping, averages and all: between two readings nothing asks a tensor for its value."""
    method = toys.Grouped(toys.Grouped.Config(epochs=2, batch_size=4))
    plain = run(method, make_world(), tmp_path / "plain")
    monkeypatch.setattr(_mmengine, "reads_every", lambda device, ranks: EVERY)
    mode = Synchronised()
    counts: list[int] = []
    # Toys look at their labels by mask, which no method of a GPU should.
    monkeypatch.setattr("engine.toy_modules.known_bce", _masked_bce)
    before = _mmengine._Trained.train_step

    def counted(self: Any, data: Any, optim_wrapper: Any) -> Any:
        mode.count = 0
        with mode:
            found = before(self, data, optim_wrapper)
        counts.append(mode.count)
        return found

    monkeypatch.setattr(_mmengine._Trained, "train_step", counted)
    late = run(method, make_world(), tmp_path / "late")
    assert len(counts) > 10
    assert set(counts) == {0}
    np.testing.assert_allclose(late.logits, plain.logits, rtol=1e-5, atol=1e-6)
    again = run(method, make_world(), tmp_path / "again")
    np.testing.assert_array_equal(late.logits, again.logits)


def _masked_bce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    known = labels != 0
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, (labels > 0).float(), reduction="none")
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)


@pytest.mark.parametrize("name", ["OpenNames", "Remembering"])
def test_passes_over_parts_of_a_batch_add_up(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = getattr(toys, name)(toys.Plain.Config(epochs=2))
    whole = run(method, make_world(), tmp_path / "whole")
    seen: list[int] = []
    taken = parts.Cut.parts

    def counted(self: Cut, draw: Draw) -> Any:
        found = taken(self, draw)
        seen.append(len(found[0]))
        return found

    monkeypatch.setattr(parts.Cut, "parts", counted)
    cut = run(method, make_world(), tmp_path / "cut", accumulation=3)
    assert set(seen) == {3}
    largest = np.abs(whole.logits).max()
    assert 0 < np.abs(cut.logits - whole.logits).max() <= 1e-5 * largest or np.array_equal(cut.logits, whole.logits)
    assert sorted(cut.outcome.decisions) == sorted(whole.outcome.decisions)


def test_the_average_is_that_of_mmengine_to_the_bit() -> None:
    from mmengine.model import ExponentialMovingAverage
    from torch import nn

    torch.manual_seed(0)
    values = [nn.Parameter(torch.randn(40, 3)), nn.Parameter(torch.randn(7))]
    ours = average_of(values, 0.997)
    theirs = ExponentialMovingAverage(nn.ParameterList(values), momentum=1.0 - 0.997)
    theirs.steps.fill_(1)
    for _ in range(20):
        with torch.no_grad():
            for value in values:
                value.add_(torch.randn_like(value))
        ours.update_parameters(nn.ParameterList(values))
        theirs.update_parameters(nn.ParameterList(values))
    for one, other in zip(ours.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_things_are_sent_one_ahead_and_come_in_order() -> None:
    told: list[str] = []

    def send(thing: int) -> int:
        told.append(f"send {thing}")
        return thing

    def receive(thing: int) -> int:
        told.append(f"receive {thing}")
        return thing

    assert list(ahead([1, 2, 3], send, receive)) == [1, 2, 3]
    assert told == ["send 1", "send 2", "receive 1", "send 3", "receive 2", "receive 3"]
    assert list(ahead([], send, receive)) == []


@pytest.mark.parametrize(("half", "scaled"), [(None, False), (torch.bfloat16, False), (torch.float16, True)])
def test_a_step_in_half_precision_scales_what_would_underflow(half: torch.dtype | None, scaled: bool) -> None:
    module = torch.nn.Linear(4, 2)
    before = module.weight.detach().clone()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    stepper = _mmengine._Stepper(optimizer, CPU, half, clip_norm=1.0)
    assert (stepper.loss_scaler is not None) == scaled
    with stepper.arithmetic():
        answer = module(torch.ones(3, 4))
        loss = answer.float().square().mean()
    assert answer.dtype == (half or torch.float32)
    stepper.backward(loss)
    stepper.finish()
    moved = (module.weight.detach() - before).norm()
    # Clipped in the loss's own units, whatever the scale.
    assert 0 < moved <= 0.1 * 1.0001
    assert module.weight.grad is None


@pytest.mark.parametrize(("card", "type_"), [(True, torch.bfloat16), (False, torch.float16)])
def test_half_precision_is_what_the_card_computes_in(
    card: bool, type_: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: card)
    cuda = torch.device("cuda")
    assert _mmengine.half_of(stage_with(), cuda) is type_
    assert _mmengine.half_of(stage_with(amp=False), cuda) is None
    assert _mmengine.half_of(stage_with(), CPU) is None


TOLD = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


def test_the_environment_says_who_works_together() -> None:
    assert launched(TOLD) == Launched(1, 2, 1)
    assert launched({}) == Launched()
    assert launched({name: value for name, value in TOLD.items() if name != "MASTER_PORT"}) == Launched()
    for wrong in ({"RANK": "2"}, {"RANK": "one"}, {"WORLD_SIZE": "0"}):
        with pytest.raises(UserError, match="not so that it could be"):
            launched(TOLD | wrong)


def test_each_process_has_a_gpu_of_its_own_or_is_told_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Launched(1, 2, 1)
    assert device_of("cuda:1", Launched()) == "cuda:1"
    assert device_of("cpu", second) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of("auto", second) == device_of("cuda", second) == "cuda:1"
    with pytest.raises(UserError, match="more processes on this machine than its 2 GPUs"):
        device_of("cuda", Launched(2, 3, 2))
    with pytest.raises(UserError, match="device cuda:0 is one, and there are 2 processes"):
        device_of("cuda:0", second)


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[Any] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]
    with pytest.raises(UserError, match="device cuda:2 was asked for, and there are 2"):
        pick_device("cuda:2")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch finds none"):
        pick_device("mps")
    with pytest.raises(UserError, match="is no device"):
        pick_device("gpu")


def test_a_process_that_is_gone_is_the_machine_s_fault() -> None:
    assert is_the_machines(RuntimeError("[../gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]"))
    assert is_the_machines(torch.distributed.DistBackendError("NCCL error"))
    assert not is_the_machines(RuntimeError("size mismatch"))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:one", "cpu:0"])
def test_a_device_that_is_none_is_refused_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--task", "shapes-micro", "--method", "coop", "--device", name]) == 2
    assert "is none of auto, cpu, cuda, cuda:N, mps" in capsys.readouterr().err
