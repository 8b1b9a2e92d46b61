"""The comparisons beside COMIC: one trainer, ten recipes; what each does with labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench.method.config import build_config
from ltbench.nn import ClassAwareSampler, MultiHeadCosine
from ltbench.plugin import UserError
from ltbench.testing import kit
from ltbench_comic.method import Comic
from ltbench_comic.plain import PlainModule, PseudoLabelled
from ltbench_comic.plain_heads import ScaledModule
from ltbench_comic.plain_recipes import LOSSES
from ltbench_comic.plugin import ltbench_methods
from tests.plugins.comic.comic_toys import batch_of, partial
from tests.plugins.comic.plain_toys import SMALL, SPECS, method_of, stages_of
from tests.plugins.single_positive.spml_toys import toy
from tests.plugins.two_stream_toys import NAMES, interrupted_and_not, make_trainable


def plain_of(stage: GradientStage) -> PlainModule:
    assert isinstance(stage.module, PlainModule)
    return stage.module


def assumed(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """What the tasks show to a recipe that does not read unknown labels itself."""
    return np.where(labels == 0, -1, labels).astype(np.int8)


@pytest.mark.parametrize("recipe", SPECS)
def test_all_are_trained_as_comics_balanced_model_is(recipe: str) -> None:
    options = {"epochs": 40}
    stage = stages_of(recipe, **options)[0]
    cls: Any = Comic
    comic = cls(build_config(Comic.Config, "comic", {}, SMALL | options | {"htb": False}))
    context = Context(
        NAMES,
        Stats.of(partial()),
        toy(),
        torch.device("cpu"),
        seed=0,
        variant="code",
        observed=torch.from_numpy(partial()),
    )
    (other,) = comic.stages(context)
    names = ("epochs", "batch_size", "optimizer", "augment", "drop_last", "sampler", "amp", "ema", "clip_norm")
    assert [getattr(stage, name) for name in names] == [getattr(other, name) for name in names]
    ours, theirs = stage.param_groups, other.param_groups
    assert [group.name for group in theirs] == ["balanced-features", "balanced-classifier"]
    for one, two in zip(ours, theirs, strict=True):
        assert (one.lr, one.weight_decay, one.schedule) == (two.lr, two.weight_decay, two.schedule)
    assert plain_of(stage).linear.weight.shape == theirs[0].params[0].shape
    if recipe != "plt-ml-gcn":
        classifier = plain_of(stage).classifier
        assert isinstance(classifier, MultiHeadCosine)
        assert classifier.weight.shape == theirs[1].params[0].shape


@pytest.mark.parametrize("recipe", SPECS)
def test_gradients_reach_every_group_and_rows_alone_stay_finite(recipe: str) -> None:
    labels = partial()
    labels[3] = 0
    for variant in SPECS[recipe].variants:
        stage = stages_of(recipe, labels, variant)[0]
        module = plain_of(stage)
        batch = batch_of(labels)
        for row in (None, 3, 0):
            part = (
                batch
                if row is None
                else Batch(batch.rows[row : row + 1], batch.features[row : row + 1], batch.observed[row : row + 1])
            )
            module.zero_grad()
            (value,) = module.loss(part).values()
            assert torch.isfinite(value)
            value.backward()
            for group in stage.param_groups:
                for parameter in group.params:
                    assert parameter.grad is not None
                    assert torch.isfinite(parameter.grad).all()
        # The whole batch moves all of them.
        module.zero_grad()
        torch.stack(list(module.loss(batch).values())).sum().backward()
        assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())


def by_hand(loss: str, logits: Tensor, present: Tensor) -> Tensor:
    """Sums over images and classes, written out."""
    p = torch.sigmoid(logits)
    if loss == "bce":
        return -torch.where(present, p.log(), (1 - p).log()).sum()
    if loss == "focal":
        return -0.25 * torch.where(present, (1 - p) ** 2 * p.log(), p**2 * (1 - p).log()).sum()
    if loss == "asl":
        m = (p - 0.05).clamp(min=0)
        return -torch.where(present, p.log(), m**4 * (1 - m).log()).sum()
    q = torch.sigmoid(logits - 1)
    return torch.where(present, -((1 - q) ** 2) * q.log(), (1.5 - p) * p**2).sum()


@pytest.mark.parametrize("loss", ["bce", "focal", "asl", "hill"])
def test_losses_are_the_sums_of_the_card(loss: str) -> None:
    module = plain_of(stages_of(f"plt-{loss}")[0])
    logits = torch.linspace(-4, 4, 40, dtype=torch.float64).reshape(8, 5)
    labels = torch.from_numpy(assumed(partial()[:8]))
    torch.testing.assert_close(module.criterion(logits, labels), by_hand(loss, logits, labels > 0))


def test_likeliest_unknown_labels_are_left_out() -> None:
    module = plain_of(stages_of("plt-p-asl", top_k=2)[0])
    labels = torch.tensor([[1, 0, 0, 0, -1]], dtype=torch.int8)
    logits = torch.tensor([[0.0, 2.0, 1.0, -1.0, 0.5]], requires_grad=True)
    module.criterion(logits, labels).backward()
    assert logits.grad is not None
    assert (logits.grad[0, [1, 2]] == 0).all()
    assert (logits.grad[0, [3, 4]] > 0).all()
    assert logits.grad[0, 0] < 0


def test_pseudo_labels_are_decided_anew_at_each_epoch() -> None:
    labels = partial()
    labels[0, 4] = -1
    module = stages_of("plt-pseudo-labels", labels, tau=0.6, pseudo_start=1)[0].module
    assert isinstance(module, PseudoLabelled)
    batch = batch_of(labels)

    def scan() -> Iterator[Batch]:
        yield batch

    module.on_epoch_start(0, scan)
    assert module.decisions() == []
    with torch.no_grad():
        module.classifier.weight.mul_(30)  # type: ignore[operator, union-attr]
    module.on_epoch_start(1, scan)
    probabilities = module.logits(batch).sigmoid()
    found = (batch.observed == 0) & (probabilities > 0.6)
    assert 0 < found.sum() < found.numel()
    assert {(row, column) for row, column in found.nonzero().tolist()} == set(module.decisions())
    # Those count as present, all other unknown labels as absent.
    present = (batch.observed > 0) | found
    (value,) = module.loss(batch).values()
    torch.testing.assert_close(value, by_hand("bce", module.logits(batch), present), rtol=1e-4, atol=0)
    with torch.no_grad():
        module.classifier.weight.neg_()  # type: ignore[operator, union-attr]
    module.on_epoch_start(2, scan)
    assert not set(module.decisions()) & {(row, column) for row, column in found.nonzero().tolist()}


def test_factors_of_classes_leave_the_first_stage_and_the_order_of_images_alone() -> None:
    first, second = stages_of("plt-lws", assumed(partial()))
    assert isinstance(second.module, ScaledModule)
    assert isinstance(second.sampler, ClassAwareSampler)
    before = {name: value.clone() for name, value in first.module.state_dict().items()}
    make_trainable(second)
    batch = batch_of(assumed(partial()))
    optimiser = torch.optim.SGD(second.param_groups[0].params, lr=0.2)
    for _ in range(5):
        optimiser.zero_grad()
        torch.stack(list(second.module.loss(batch).values())).sum().backward()
        optimiser.step()
    factors = second.module.scales.factors
    assert not torch.equal(factors, torch.ones(len(NAMES)))
    for name, value in first.module.state_dict().items():
        assert torch.equal(value, before[name]), name
    plain = plain_of(first).logits(batch)
    torch.testing.assert_close(second.module.logits(batch), plain * factors)
    with pytest.raises(UserError, match="no class has an observed positive"):
        stages_of("plt-lws", np.full((40, 5), -1, dtype=np.int8))


def test_graph_classifier_reads_class_vectors_by_the_cosine() -> None:
    module = plain_of(stages_of("plt-ml-gcn")[0])
    features = module.linear(batch_of(partial()).features)
    classifier: Any = module.classifier
    same = MultiHeadCosine(8, len(NAMES))
    with torch.no_grad():
        same.weight.copy_(classifier.graph(classifier.words, classifier.adjacency))
    torch.testing.assert_close(classifier(features), same(features))


@pytest.mark.parametrize("recipe", ["plt-bce", "plt-pseudo-labels", "plt-lws"])
def test_resume_in_the_middle_equals_no_interruption(tmp_path: Path, recipe: str) -> None:
    options = {"tau": 0.4} if recipe == "plt-pseudo-labels" else {}
    whole, resumed = interrupted_and_not(method_of(recipe, **options), tmp_path, stop_after=1)
    assert whole.decisions == resumed.decisions
    assert bool(whole.decisions) == (recipe == "plt-pseudo-labels")
    first, second = whole.capture(), resumed.capture()
    assert set(first) == set(second)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("recipe", ["plt-pseudo-labels", "plt-ml-gcn"])
def test_kit(recipe: str) -> None:
    for result in kit.check_method(recipe, weights="random"):
        assert result.status != "failed", (result.name, result.detail)


def test_needs() -> None:
    for recipe in SPECS:
        needs = method_of(recipe).needs()
        own = recipe in ("plt-hill", "plt-p-asl", "plt-pseudo-labels")
        assert (needs.input, needs.classes, needs.unknown) == ("global", "fixed", "own" if own else None), recipe
        assert needs.calibrated == (recipe in ("plt-bce", "plt-ml-gcn"))
        assert needs.text == (recipe == "plt-ml-gcn")
        space = type(method_of(recipe)).search_space()
        assert set(space) <= set(type(method_of(recipe)).Config.model_fields)
    assert {f"plt-{loss}" for loss in LOSSES} < set(SPECS)
    assert list(SPECS) == [spec.name for spec in ltbench_methods() if spec.name != "comic"]
