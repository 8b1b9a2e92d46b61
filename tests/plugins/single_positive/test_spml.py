"""Single positive labels: losses on three trainers, what unknown labels do, whose labels are rewritten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ltbench.method import Batch
from ltbench.plugin import UserError
from ltbench_baselines.single_positive.objectives import SPML_LOSSES, CorrectedLabels, OnlineLabels, SoftLabels
from ltbench_baselines.single_positive.plugin import LOSSES, ONE_FORM
from ltbench_baselines.single_positive.trainers import OpenSinglePositive
from tests.plugins.single_positive.spml_toys import (
    NAMES,
    ROWS,
    SPECS,
    batch_of,
    build,
    method_of,
    objective_of,
    single_labels,
    start,
)

SUFFIXES = ("", "-linear", "-prompts")
TRAINED = {"": {"tower", "head"}, "-linear": {"weights", "biases"}, "-prompts": {"context", "head"}}


def test_twelve_losses_on_three_trainers() -> None:
    assert tuple(LOSSES) == SPML_LOSSES
    assert list(SPECS) == [f"{loss}{suffix}" for suffix in SUFFIXES for loss in SPML_LOSSES]
    for name, spec in SPECS.items():
        assert spec.variants == (("paper",) if spec.config["loss"] in ONE_FORM else ("paper", "code")), name
        needs = method_of(name).needs()
        wanted = ("image" if name in SPML_LOSSES else "global", name.endswith("-prompts"), "own")
        assert (needs.input, needs.text, needs.unknown) == wanted
        assert (needs.classes == "open") == name.endswith("-prompts")
        assert needs.calibrated == (spec.config["loss"] in ("an", "epr", "role"))


@pytest.mark.parametrize("recipe", SPECS)
def test_gradients_reach_what_is_declared_and_nothing_else(recipe: str) -> None:
    loss = str(SPECS[recipe].config["loss"])
    suffix = recipe.removeprefix(loss)
    labels = single_labels()
    stage, module = build(recipe)
    batch = batch_of(labels, suffix)
    for epoch in (0, 6):  # before and after corrections and soft labels
        start(module, epoch, batch)
        if suffix == "-prompts" and epoch == 0:
            text = [p.clone() for p in module.scores.classifier.prompts.tower.parameters()]  # type: ignore[union-attr]
        module.zero_grad()
        (value,) = module.loss(batch).values()
        assert value.shape == ()
        assert torch.isfinite(value)
        value.backward()
        names = {group.name for group in stage.param_groups}
        assert names == TRAINED[suffix] | ({"labels"} if loss == "role" else set())
        declared = [p for group in stage.param_groups for p in group.params]
        for parameter in declared:
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all()
        assert any(bool(p.grad.any()) for p in declared if p.grad is not None)
        assert {id(p) for p in module.parameters() if p.grad is not None} == {id(p) for p in declared}
    if suffix == "-prompts":
        after = module.scores.classifier.prompts.tower.parameters()  # type: ignore[union-attr]
        assert all(torch.equal(a, b) and b.grad is None for a, b in zip(text, after, strict=True))
    with torch.no_grad():
        assert module.logits(batch).shape == labels.shape


@pytest.mark.parametrize("recipe", [f"{loss}-linear" for loss in SPML_LOSSES])
def test_a_few_steps_lower_the_loss(recipe: str) -> None:
    stage, module = build(recipe)
    batch = batch_of(single_labels(), "-linear")
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.05)
    values = []
    for _ in range(15):
        (value,) = module.loss(batch).values()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert values[-1] < values[0]


@pytest.mark.parametrize(
    ("loss", "variant"), [(loss, variant) for loss in SPML_LOSSES for variant in SPECS[loss].variants]
)
def test_rows_without_labels_and_single_rows_stay_finite(loss: str, variant: str) -> None:
    labels = single_labels()
    _, module = build(f"{loss}-linear", variant=variant)
    whole = batch_of(labels, "-linear")
    assert isinstance(whole.input, Tensor)
    for row in (9, 7):  # nothing known; an absence known
        one = Batch(whole.rows[row : row + 1], whole.input[row : row + 1], whole.observed[row : row + 1])
        for epoch in (0, 6):
            start(module, epoch, whole)
            module.zero_grad()
            (value,) = module.loss(one).values()
            value.backward()
            assert torch.isfinite(value)
            assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in module.parameters())


def unknown_gradient(loss: str, epoch: int = 0, level: float = 0.3, **options: Any) -> Tensor:
    """Gradient by the logits [N, C] of a loss, all logits being alike but for a rising end."""
    labels = single_labels()
    objective = objective_of(f"{loss}-linear", torch.from_numpy(labels), "paper", **options)
    objective.start_epoch(epoch, lambda: (torch.full(labels.shape, 0.2), torch.from_numpy(labels)))
    logits = torch.full(labels.shape, level)
    logits[:, 3] = level + torch.linspace(0, 2, ROWS)
    logits.requires_grad_()
    objective(logits, batch_of(labels, "-linear")).backward()
    assert logits.grad is not None
    return logits.grad


def test_what_unknown_labels_do() -> None:
    unknown = torch.from_numpy(single_labels() == 0)
    # Read as absent: every unknown logit is pushed down.
    for loss in ("an", "lsan", "wan", "hill"):
        assert (unknown_gradient(loss)[unknown] > 0).all(), loss
    # WAN's pushes are AN's over C - 1.
    torch.testing.assert_close(unknown_gradient("wan")[unknown], unknown_gradient("an")[unknown] / (len(NAMES) - 1))
    # EM moves them towards 0, whichever side they are on.
    assert (unknown_gradient("em", level=0.3)[unknown] > 0).all()
    assert (unknown_gradient("em", level=-3.0)[unknown] < 0).all()
    # EPR pushes all together: down when there are more than k, up when there are fewer, not at all at k.
    labels = single_labels()
    total = float(torch.full(labels.shape, 0.5).sum(dim=1).mean())
    for expected, sign in ((1.0, 1), (total, 0), (4.5, -1)):
        objective = objective_of("epr-linear", torch.from_numpy(labels), "paper", expected_positives=expected)
        logits = torch.zeros(labels.shape, requires_grad=True)
        objective(logits, batch_of(labels, "-linear")).backward()
        assert logits.grad is not None
        assert (torch.sign(logits.grad[unknown]) == sign).all()
    # SPLC pulls the confident ones up, from its epoch on.
    assert (unknown_gradient("splc", 0)[unknown] > 0).all()
    pulled = unknown_gradient("splc", 1)[unknown] < 0
    assert pulled.any()
    assert not pulled.all()
    # LargeLoss rejects (no gradient) or turns (upwards) the ones of largest loss, after the first epoch.
    assert (unknown_gradient("ll-r", 0, ll_delta=0.05)[unknown] > 0).all()
    assert (unknown_gradient("ll-r", 1, ll_delta=0.05)[unknown] == 0).sum() == 10  # ceil(40 * 5 * 0.05)
    for loss in ("ll-ct", "ll-cp"):
        assert (unknown_gradient(loss, 1, ll_delta=0.05)[unknown] < 0).sum() == 10


@pytest.mark.parametrize("loss", ["lsan", "em", "em-apl", "epr", "role", "ll-r", "ll-ct", "ll-cp", "hill", "splc"])
def test_options_reach_the_losses(loss: str) -> None:
    option: dict[str, Any] = {
        "lsan": {"smoothing": 0.3},
        "em": {"em_alpha": 0.4},
        "em-apl": {"apl_beta": 0.7},
        "epr": {"expected_positives": 3.5},
        "role": {"expected_positives": 3.5},
        "hill": {"hill_lambda": 2.0},
        "splc": {"splc_tau": 0.7},
    }.get(loss, {"ll_delta": 0.05})
    # Six epochs: soft labels from the fifth on, so that a weight of theirs shows.
    assert not torch.equal(unknown_gradient(loss, 6), unknown_gradient(loss, 6, **option))


def test_labels_of_large_loss_are_rewritten_for_good_and_reported() -> None:
    labels = single_labels()
    _, module = build("ll-cp-linear", ll_delta=0.02)
    own = module.objective
    assert isinstance(own, CorrectedLabels)
    batch = batch_of(labels, "-linear")
    with torch.no_grad():
        module.scores.weight.normal_(generator=torch.Generator().manual_seed(3))  # type: ignore[union-attr,operator]
    start(module, 0, batch)
    module.loss(batch)
    assert torch.equal(own.labels, batch.observed)
    assert module.decisions() == []
    start(module, 1, batch)
    module.eval()
    module.loss(batch)
    assert torch.equal(own.labels, batch.observed)  # not outside of training
    module.train()
    module.loss(batch)
    moved = (own.labels != batch.observed).nonzero().tolist()
    # ceil(200 * 0.02) = 4, of which those strictly above the threshold.
    assert len(moved) == 3
    assert sorted(map(list, module.decisions())) == moved
    assert (batch.observed == torch.from_numpy(single_labels())).all()
    start(module, 2, batch)
    assert module.decisions() == []
    # What the release computes rewrites nothing.
    _, released = build("ll-cp-linear", variant="code")
    assert not isinstance(released.objective, CorrectedLabels)


def test_soft_labels_come_after_the_warm_up_and_stay() -> None:
    labels = single_labels()
    _, module = build("em-apl-linear", epochs=6, apl_warmup=3)
    own = module.objective
    assert isinstance(own, SoftLabels)
    batch = batch_of(labels, "-linear")
    counts = []
    kept = own.soft.clone()
    for epoch in range(6):
        start(module, epoch, batch)
        given = ~kept.isnan()
        assert torch.equal(own.soft[given], kept[given])
        kept = own.soft.clone()
        counts.append(int((~kept.isnan()).sum()))
        assert torch.isfinite(sum(module.loss(batch).values()))
    step = sum(int(0.9 * unknown / 3) for unknown in (labels == 0).sum(axis=0).tolist())
    assert counts == [0, 0, 0, step, 2 * step, 3 * step]
    assert (labels[(~kept.isnan()).numpy()] == 0).all()
    with pytest.raises(UserError, match="apl_warmup=6"):
        build("em-apl-linear", epochs=6, apl_warmup=6)


def test_free_labels_have_their_own_rate_and_a_row_moves_its_own_only() -> None:
    stage, module = build("role", lr=1e-3)
    rates = {group.name: (group.lr, group.weight_decay) for group in stage.param_groups}
    assert rates["labels"] == (1e-2, 0.0)
    stage, _ = build("role", label_lr=0.3)
    assert {group.name: group.lr for group in stage.param_groups}["labels"] == 0.3
    own = module.objective
    assert isinstance(own, OnlineLabels)
    assert own.label_logits.shape == (ROWS, len(NAMES))
    whole = batch_of(single_labels(), "")
    assert isinstance(whole.input, Tensor)
    some = Batch(whole.rows[3:5], whole.input[3:5], whole.observed[3:5])
    sum(module.loss(some).values()).backward()
    assert own.label_logits.grad is not None
    assert own.label_logits.grad.any(dim=1).nonzero().flatten().tolist() == [3, 4]


def test_sums_are_refused_where_a_term_belongs_to_the_batch() -> None:
    for loss in ("epr", "role"):
        with pytest.raises(UserError, match="term of the whole batch"):
            build(f"{loss}-linear", reduction="sum")


def test_prompts_answer_for_other_classes_after_training() -> None:
    _, module = build("role-prompts")
    assert isinstance(module, OpenSinglePositive)
    batch = batch_of(single_labels(), "-prompts")
    start(module, 0, batch)
    # The first logits lie where the observed labels are, all others taken as absent.
    assert float(module.logits(batch).detach().mean()) == pytest.approx(np.log(39.5 / 161.5), rel=1e-4)
    module.set_classes(("tram", "zebra"))
    assert module.logits(batch).shape == (ROWS, 2)
    assert not hasattr(build("role")[1], "set_classes")


def test_first_logits_of_the_heads() -> None:
    counts = (single_labels() == 1).sum(axis=0)
    expected = np.log((counts + 0.5) / (ROWS - counts + 0.5))
    for recipe, layer in (("an", "head.linear.bias"), ("an-linear", "bias")):
        _, assumed = build(recipe, start="assumed")
        np.testing.assert_allclose(assumed.scores.state_dict()[layer].numpy(), expected, rtol=1e-5)
        _, even = build(recipe, start="even")
        assert not even.scores.state_dict()[layer].any()


def test_known_labels_tell_how_many_classes_an_image_shows() -> None:
    """Class by class, so that one of which more is known weighs no more; refused where only present ones are known."""
    truth = np.array([[1, 1, 1, -1, -1]] * 10 + [[-1, -1, -1, -1, 1]] * 30, dtype=np.int8)
    known = np.zeros_like(truth)
    known[::2] = truth[::2]  # half of the rows
    known[:, 0] = truth[:, 0]  # and all of a class
    logits = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    batch = batch_of(known, "-linear")
    given = objective_of("epr-linear", torch.from_numpy(known), "paper", expected_positives=(3 * 10 + 30) / 40)
    told = objective_of("epr-linear", torch.from_numpy(known), "paper", expected_positives=None)
    assert told(logits, batch).item() == pytest.approx(given(logits, batch).item(), rel=1e-6)
    for loss in ("epr-linear", "role-linear"):
        with pytest.raises(UserError, match="all of them are of one kind"):
            objective_of(loss, torch.from_numpy(single_labels()).clamp(min=0), "paper", expected_positives=None)


@pytest.mark.parametrize("loss", ["an", "wan", "em", "em-apl", "ll-r", "ll-ct", "ll-cp"])
def test_complete_labels_leave_cross_entropy(loss: str) -> None:
    labels = np.where(np.random.default_rng(0).random((ROWS, len(NAMES))) < 0.4, 1, -1).astype(np.int8)
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(1))
    _, module = build(f"{loss}-linear", labels, "paper")
    batch = batch_of(labels, "-linear")
    start(module, 6, batch)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(labels > 0).float())
    assert module.objective(logits, batch).item() == pytest.approx(wanted.item(), rel=1e-6)
