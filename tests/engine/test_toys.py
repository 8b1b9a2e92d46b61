"""Each toy method trains and predicts as it should: the contract's parts, one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import toys
from engine.harness import DIM, EXTRA, NAMES, Labels, Result, make_world, mean_ap, run
from ltbench.engine.failures import Diverged
from ltbench.engine.seeds import reseed
from ltbench.method import Method
from ltbench.method.stages import Schedule


def build(name: str, **options: object) -> Method:
    cls = toys.ALL.get(name, toys.Diverging)
    return cls(cls.Config(**options))


def hide(share: float, seed: int = 9) -> object:
    def observed(complete: Labels) -> Labels:
        hidden = np.random.default_rng(seed).random(complete.shape) < share
        return np.where(hidden, 0, complete).astype(np.int8)

    return observed


@pytest.mark.parametrize("name", sorted(set(toys.ALL) - {"captioned"}))
def test_toy_learns(name: str, tmp_path: Path) -> None:
    world = make_world()
    options = {} if name == "nearest" else {"epochs": 8}
    found = run(build(name, **options), world, tmp_path)
    assert found.logits.dtype == np.float32
    assert found.logits.shape == world.truth.shape
    assert mean_ap(found.logits, world.truth) > 0.85


def test_a_run_is_a_function_of_its_seed(tmp_path: Path) -> None:
    world = make_world()
    first, again, other = (
        run(build("noisy"), world, tmp_path / str(k), seed=seed).logits for k, seed in enumerate((0, 0, 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_second_stage_uses_the_first_and_leaves_it_alone(tmp_path: Path) -> None:
    from ltbench.engine import checkpoint

    found = run(build("two-stages"), make_world(), tmp_path)
    first, second = (stage.module for stage in found.phase.stages)
    assert second.first is first
    after_first = checkpoint.load(tmp_path / "checkpoints" / "stage-0.pt")
    after_second = checkpoint.load(tmp_path / "checkpoints" / "stage-1.pt")
    assert after_first is not None
    assert after_second is not None
    kept = {k: v for k, v in after_second["module"].items() if k.startswith("0.")}
    assert kept
    for key, value in kept.items():
        torch.testing.assert_close(value, after_first["module"][key], rtol=0, atol=0)
    assert not torch.equal(after_first["module"]["1.head.weight"], after_second["module"]["1.head.weight"])
    assert all(not p.requires_grad for p in first.parameters())
    trained = [*first.parameters(), *second.head.parameters()]
    assert found.outcome.trainable == sum(p.numel() for p in trained)


def test_per_row_parameters_follow_their_rows(tmp_path: Path) -> None:
    wrong = np.arange(0, 44, 6)

    def observed(complete: Labels) -> Labels:
        labels = complete.copy()
        labels[wrong] *= -1
        return labels

    found = run(build("per-row", epochs=40), make_world(observed), tmp_path)
    trust = found.phase.module.trust.detach().numpy()
    right = np.setdiff1d(np.arange(44), wrong)
    assert trust[wrong].max() < np.median(trust[right])


def test_rewritten_labels_live_in_a_buffer_and_are_reported(tmp_path: Path) -> None:
    world = make_world(hide(0.4))
    found = run(build("rewriting", epochs=12, lr=1.0), world, tmp_path)
    labels = found.phase.module.labels.numpy()
    rows, columns = np.nonzero(labels != world.train.observed)
    assert len(rows) > 10
    assert (world.train.observed[rows, columns] == 0).all()
    assert {(r, c) for r, c, _ in found.outcome.decisions} == set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found.outcome.decisions) == len(rows), "each rewriting is reported once"
    assert {epoch for _, _, epoch in found.outcome.decisions} <= set(range(1, 12))
    complete = make_world().train.observed
    assert (complete[rows, columns] == 1).mean() > 0.8


def test_class_aware_sampler_gives_each_class_its_turn() -> None:
    observed = torch.tensor([[1, -1], [1, -1], [1, -1], [1, 1]], dtype=torch.int8)
    sampler = toys.ClassAwareSampler(observed, 8)
    rows = sampler.epoch(0, np.random.default_rng(0))
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 3, 3, 3, 3]
    assert sampler.state_dict() == {"cursors": [4, 4]}


def test_sampler_state_moves_once_an_epoch(tmp_path: Path) -> None:
    found = run(build("class-aware", epochs=3), make_world(), tmp_path)
    stage = found.phase.stages[0]
    # 37 draws over 5 classes: 8, 8, 7, 7, 7 an epoch; looking the length up beforehand must leave no trace.
    assert stage.sampler.state_dict()["cursors"] == [24, 24, 21, 21, 21]


def test_the_bar_is_as_long_as_the_work(tmp_path: Path) -> None:
    """By the rows that the sampler draws: with three in place of two for each row it stood at its end from 67 % on."""
    found = run(build("class-aware", epochs=3, batch_size=4), make_world(), tmp_path)
    assert len(make_world().train) == 44
    assert found.reporter.moments.count("step") == 3 * -(-37 // 4)
    assert found.reporter.announced == [3 * -(-37 // 4)]


def test_nearest_remembers_rows(tmp_path: Path) -> None:
    world = make_world()
    found = run(build("nearest"), world, tmp_path)
    assert found.outcome.trainable == 0
    np.testing.assert_array_equal(found.phase.module.values.numpy(), world.train.observed)
    assert np.isin(found.logits, np.arange(-5, 6, 2, dtype=np.float32) / 5).all()


def test_classes_that_appear_at_test_only(tmp_path: Path) -> None:
    world = make_world(unseen=EXTRA)
    found = run(build("open-names", epochs=10), world, tmp_path)
    assert found.logits.shape == (60, len(NAMES) + len(EXTRA))
    base = (world.truth[:, -2:] == 1).mean()
    assert mean_ap(found.logits[:, -2:], world.truth[:, -2:]) > base + 0.25
    assert found.phase.module.classes.shape == (len(NAMES), DIM), "the training names are back after predicting"


def test_fixed_method_cannot_answer_for_more_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"logits have shape \(60, 5\), expected \(60, 7\)"):
        run(build("plain"), make_world(unseen=EXTRA), tmp_path)


def test_captions_reach_their_rows_and_only_those_who_ask(tmp_path: Path) -> None:
    world = make_world()
    asked = run(build("captioned", epochs=8), world, tmp_path / "asked")
    present = (world.train.observed == 1).sum(axis=0)
    np.testing.assert_array_equal(asked.phase.module.named.numpy(), 8.0 * present)
    assert mean_ap(asked.logits, world.truth) > 0.85
    silent = run(build("plain", epochs=1), world, tmp_path / "silent")
    batch = silent.phase.training_rows().batch(np.arange(3))
    assert batch.captions is None


def test_optional_hooks_are_called_in_order(tmp_path: Path) -> None:
    found = run(build("prepared", epochs=2), make_world(), tmp_path)
    assert found.phase.stages[0].module.heard == ["fit", "epoch 0", "epoch 1"]
    assert found.outcome.decisions == [(0, 0, 0), (1, 1, 1)]


@pytest.mark.parametrize(("policy", "expected"), [("ignore", 0), ("own", 0), ("assume-negative", -1)])
def test_unknown_policy_reaches_stats_sampler_batches_and_scan(policy: str, expected: int, tmp_path: Path) -> None:
    world = make_world(hide(0.5))
    found = run(build("plain", epochs=1), world, tmp_path, policy=policy)
    rowset = found.phase.training_rows()
    seen = torch.cat([batch.observed for batch in rowset.scan(7, torch.device("cpu"))]).numpy()
    np.testing.assert_array_equal(seen, np.where(world.train.observed == 0, expected, world.train.observed))
    np.testing.assert_array_equal(found.phase.context.observed.numpy(), seen)
    np.testing.assert_array_equal(found.phase.context.stats.negatives, (seen == -1).sum(axis=0))
    np.testing.assert_array_equal(rowset.batch(np.array([5, 3])).observed.numpy(), seen[[5, 3]])


def test_validation_rows_come_to_those_who_ask(tmp_path: Path) -> None:
    world = make_world()
    found = run(build("watchful", epochs=6, lr=3.0), world, tmp_path / "asked")
    module = found.phase.module
    assert len(module.looks) == 6
    assert float(module.best) == min(module.looks) < module.looks[0]
    validation = found.phase.context.validation
    assert validation is not None
    assert (validation.rows, validation.class_names) == (30, NAMES)
    (batch,) = validation.scan()
    assert world.train.validation is not None
    np.testing.assert_array_equal(batch.observed.numpy(), world.train.validation.observed)
    np.testing.assert_array_equal(batch.input.numpy(), [world.table[row][0] for row in world.train.validation.ids])
    assert run(build("plain", epochs=1), world, tmp_path / "silent").phase.context.validation is None


def _by_hand(epochs: int, world: object, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """What ``Grouped`` should do, in plain torch; returns weight and bias averages."""
    rows = len(world.train)
    inputs = torch.from_numpy(np.stack([world.table[i][0] for i in world.train.ids]))
    labels = torch.from_numpy(world.train.observed)
    reseed(seed, "init")
    linear = torch.nn.Linear(DIM, len(NAMES))
    optimizer = torch.optim.SGD(
        [{"params": [linear.weight], "weight_decay": 1e-3}, {"params": [linear.bias]}], lr=0.0, momentum=0.9
    )
    schedules = [Schedule("cosine", warmup_steps=3), Schedule("multistep", milestones=(1, 2), gamma=0.5)]
    averages = [p.detach().clone() for p in (linear.weight, linear.bias)]
    step, per_epoch = 0, -(-rows // 16)
    for epoch in range(epochs):
        order = reseed(seed, "train", epoch).permutation(rows)
        for start in range(0, rows, 16):
            at = order[start : start + 16]
            for group, base, schedule in zip(optimizer.param_groups, (0.5, 0.1), schedules, strict=True):
                group["lr"] = base * schedule.factor(step, per_epoch, epochs)
            optimizer.zero_grad()
            toys.known_bce(linear(inputs[at]), labels[at]).backward()
            torch.nn.utils.clip_grad_norm_(linear.parameters(), 0.2)
            optimizer.step()
            now = [p.detach() for p in (linear.weight, linear.bias)]
            averages = [0.9 * a + 0.1 * p for a, p in zip(averages, now, strict=True)]
            step += 1
    return averages[0], averages[1]


def test_groups_schedules_clipping_and_average_equal_plain_torch(tmp_path: Path) -> None:
    world = make_world()
    found = run(build("grouped", epochs=3), world, tmp_path)
    weight, bias = _by_hand(3, world)
    torch.testing.assert_close(found.phase.module.linear.weight.detach(), weight, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.phase.module.linear.bias.detach(), bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "step", "what"),
    [
        ({"at": 5}, 5, "loss_big is inf"),
        ({"at": 5, "how": "gradient"}, 6, "loss is nan"),
        ({"at": 9, "how": "gradient"}, 9, "a parameter of group 'params' is not finite"),
    ],
)
def test_divergence_names_its_step(options: dict[str, object], step: int, what: str, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=what) as caught:
        run(build("diverging", **options), make_world(), tmp_path)
    assert caught.value.step == step


def test_auditing_each_epoch_changes_nothing(tmp_path: Path) -> None:
    world = make_world()
    for name in ("noisy", "two-stages", "open-names", "grouped"):
        seen: list[np.ndarray] = []

        def audit(phase: object, stage: int, epoch: int, world: object = world, seen: list = seen) -> None:
            torch.randn(3)
            np.random.rand()
            seen.append(phase.predict(phase.test_inputs(world.test, "audit"), world.test.class_names))

        plain: Result = run(build(name), world, tmp_path / name / "plain")
        audited: Result = run(build(name), world, tmp_path / name / "audited", after_epoch=audit)
        np.testing.assert_array_equal(plain.logits, audited.logits)
        assert len(seen) == 3
        np.testing.assert_array_equal(seen[-1], audited.logits)
        assert not np.array_equal(seen[0], seen[1])
