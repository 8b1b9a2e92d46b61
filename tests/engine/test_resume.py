"""A run that is interrupted at any moment and started again ends bit for bit as if nothing had happened."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import toys
from engine.harness import Interrupted, Labels, World, make_world, run, scramble_random_state
from ltbench.engine import checkpoint


def hidden(complete: Labels) -> Labels:
    unknown = np.random.default_rng(9).random(complete.shape) < 0.4
    return np.where(unknown, 0, complete).astype(np.int8)


def method(name: str) -> toys.Method:
    return toys.ALL[name](toys.ALL[name].Config())


def world_of(name: str) -> World:
    return make_world(hidden if name == "rewriting" else lambda labels: labels)


def final_state(folder: Path) -> dict[str, torch.Tensor]:
    last = max((folder / "checkpoints").glob("stage-*.pt"))
    state = checkpoint.load(last)
    assert state is not None
    assert state["done"]
    return state["module"]


def chosen_moments(name: str, moments: list[str]) -> list[int]:
    """One moment of each sort, the beginning of every later stage, and the last one of all; drawn by the toy's name."""
    rng = random.Random(name)
    sorts: dict[str, list[int]] = {}
    for number, moment in enumerate(moments, 1):
        sorts.setdefault(moment, []).append(number)
    later_stages = sorts.get("open", [])[1:]
    return sorted({*later_stages, len(moments), *(rng.choice(numbers) for numbers in sorts.values())})


@pytest.mark.parametrize("name", sorted(toys.ALL))
def test_resume_from_any_moment_is_bit_equal(name: str, tmp_path: Path) -> None:
    world = world_of(name)
    whole = run(method(name), world, tmp_path / "whole")
    wanted = final_state(tmp_path / "whole")
    moments = chosen_moments(name, whole.reporter.moments)
    assert len(moments) >= 2
    for at in moments:
        folder = tmp_path / f"at-{at}"
        with pytest.raises(Interrupted):
            run(method(name), world, folder, interrupt_at=at)
        scramble_random_state()
        again = run(method(name), world, folder)
        np.testing.assert_array_equal(again.logits, whole.logits, err_msg=f"interrupted at {at}")
        assert again.outcome.decisions == whole.outcome.decisions
        found = final_state(folder)
        assert found.keys() == wanted.keys()
        for key, tensor in wanted.items():
            assert torch.equal(found[key], tensor), f"{key} differs after an interruption at {at}"


def test_a_run_interrupted_again_and_again_still_ends_equal(tmp_path: Path) -> None:
    world = make_world()
    whole = run(method("noisy"), world, tmp_path / "whole")
    folder = tmp_path / "often"
    for at in (5, 2, 7, 1, 6, 4):
        scramble_random_state()
        try:
            run(method("noisy"), world, folder, interrupt_at=at)
        except Interrupted:
            continue
    np.testing.assert_array_equal(run(method("noisy"), world, folder).logits, whole.logits)


def test_a_resumed_run_says_so_and_does_not_train_again(tmp_path: Path) -> None:
    world = make_world()
    whole = run(method("plain"), world, tmp_path)
    again = run(method("plain"), world, tmp_path)
    assert "step" in whole.reporter.moments
    assert again.reporter.moments == []
    np.testing.assert_array_equal(again.logits, whole.logits)


def test_an_interrupted_stage_goes_on_after_its_last_epoch(tmp_path: Path) -> None:
    world = make_world()
    # open, 3 steps an epoch, and two moments of saving: the eighth moment is the second step of the second epoch.
    with pytest.raises(Interrupted):
        run(method("plain"), world, tmp_path, interrupt_at=8)
    again = run(method("plain"), world, tmp_path)
    assert again.reporter.lines == ["resuming stage train after epoch 1 of 3"]
    assert again.reporter.moments.count("step") == 6
    epochs = [json.loads(line).get("epoch") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert epochs == [0, 1, 2, None]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    world = make_world()
    whole = run(method("noisy"), world, tmp_path / "whole")
    folder = tmp_path / "harmed"
    with pytest.raises(Interrupted):
        run(method("noisy"), world, folder, interrupt_at=13)
    path = folder / "checkpoints" / "stage-0.pt"
    assert checkpoint.load(path)["epoch"] == 2
    path.write_bytes(path.read_bytes()[:300])
    assert checkpoint.load(path)["epoch"] == 1
    np.testing.assert_array_equal(run(method("noisy"), world, folder).logits, whole.logits)


def test_state_that_could_not_be_read_back_is_refused_when_it_is_written(tmp_path: Path) -> None:
    class Numbers(toys.ClassAwareSampler):
        def state_dict(self) -> dict[str, object]:
            return {"cursors": np.array(self._cursors)}

    class Unsafe(toys.Plain):
        def stages(self, context: toys.Context) -> list[toys.Stage]:
            return [self.stage(context, self.module(context), sampler=Numbers(context.observed, 20))]

    with pytest.raises(TypeError, match=r"sampler\.cursors is a numpy\.ndarray"):
        run(Unsafe(Unsafe.Config()), make_world(), tmp_path)
    assert not (tmp_path / "checkpoints" / "stage-0.pt").exists()


def test_training_leaves_no_files_open(tmp_path: Path) -> None:
    fds = Path("/proc/self/fd")
    if not fds.is_dir():
        pytest.skip("needs /proc")
    world = make_world()
    run(method("plain"), world, tmp_path / "warm")
    before = len(list(fds.iterdir()))
    for k in range(3):
        run(method("two-stages"), world, tmp_path / str(k))
    assert len(list(fds.iterdir())) <= before
