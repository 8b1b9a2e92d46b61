"""COMIC's options that no headline uses: other losses inside, linear classifiers, and what P_c is a mean of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ltbench.method.config import choose_preset, load_presets
from ltbench.plugin.errors import UserError
from ltbench_comic.corrector import ReflectiveLabelCorrector
from ltbench_comic.method import Comic
from ltbench_comic.module import HEAD, AssumedAbsent, LinearClassifier
from ltbench_comic.plugin import ltbench_methods
from tests.plugins.comic.comic_toys import batch_of, method_of, module_of, partial, stage_of, total
from tests.plugins.comic.plain_toys import stages_of

(SPEC,) = [spec for spec in ltbench_methods() if spec.name == "comic"]
PRESETS = load_presets(SPEC)


@pytest.mark.parametrize("loss", ["bce", "focal", "asl", "db", "db-focal", "hill"])
def test_another_loss_takes_every_place_of_the_multi_focal_one(loss: str) -> None:
    labels = partial()
    module = module_of(stage_of(labels, loss=loss))
    assert isinstance(module.criterion, AssumedAbsent)
    assert module.balancer is not None
    assert module.balancer.criterion is module.criterion
    batch = batch_of(labels)
    terms = module.loss(batch)
    logits = module.eval().outputs(module.inputs(batch)).plain[HEAD]
    # The loss of the comparison of that name, as COMIC's trainer has it, of labels without unknown ones.
    criterion = stages_of(f"plt-{loss}", labels, "code" if loss in ("asl", "db", "db-focal") else "paper")[0].module
    absent = torch.where(batch.observed > 0, 1, -1)
    expected = criterion.criterion(logits, absent)  # type: ignore[operator]
    torch.testing.assert_close(module.criterion(logits, batch.observed), expected)
    total(terms).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.stream(HEAD).parameters())


def test_the_corrector_computes_the_other_loss_of_corrected_labels() -> None:
    corrector = module_of(stage_of(partial(), loss="bce")).stream(HEAD).corrector
    assert corrector is not None
    logits = torch.full((4, 5), -3.0)
    labels = torch.zeros(4, 5, dtype=torch.int8)
    labels[0, 0] = 1
    logits[1, 1] = 4.0
    loss, found = corrector(logits, labels)
    assert found.nonzero().tolist() == [[1, 1]]
    shifted = logits.clone()
    shifted[0, 0] -= corrector.margin
    present = (labels > 0) | found
    plain = torch.nn.functional.binary_cross_entropy_with_logits(shifted, present.float(), reduction="sum")
    torch.testing.assert_close(loss, plain * 32 / 2)


def test_a_loss_of_its_own_leaves_no_part_of_the_multi_focal_one() -> None:
    with pytest.raises((UserError, ValueError), match="takes the place of"):
        method_of(loss="asl", mfm="pn")


def test_linear_classifiers_and_the_part_of_the_moving_vector() -> None:
    labels = partial()
    module = module_of(stage_of(labels, classifier="linear"))
    model = module.stream(HEAD)
    assert isinstance(model.classifier, LinearClassifier)
    module.loss(batch_of(labels))
    features = torch.randn(3, 8)
    e = model.moving.value / model.moving.value.norm()
    assert e.norm() > 0
    plain = model.classifier(features)
    expected = plain - (features @ e)[:, None] * (model.classifier.weight @ e)
    torch.testing.assert_close(model.moved(features, plain), expected)


def corrector_with(average: Any) -> ReflectiveLabelCorrector:
    found = module_of(stage_of(partial(), "paper", average=average, tau=0.5)).stream(HEAD).corrector
    assert found is not None
    return found


def test_past_probabilities_decide_in_the_next_batch() -> None:
    """Of 0.9 first and 0.7 then, 0.7 is above the mean of its batch and below that of what came before."""
    high, low = torch.logit(torch.tensor([[0.9], [0.9]])), torch.logit(torch.tensor([[0.7], [0.6]]))
    high, low = high.expand(2, 5), low.expand(2, 5)
    unknown = torch.zeros(2, 5, dtype=torch.int8)
    found = {}
    for average in ("batch", "past", "past-present"):
        corrector = corrector_with(average)
        first = corrector(high, unknown).found
        # Equal within the batch, so none exceeds its mean; of no past the mean is 0.
        assert bool(first.all()) is (average != "batch")
        found[average] = corrector(low, unknown).found[:, 0].tolist()
    assert found == {"batch": [True, False], "past": [False, False], "past-present": [False, False]}
    corrector = corrector_with("past-present")
    absent = torch.full((2, 5), -1, dtype=torch.int8)
    corrector(high, absent)
    assert corrector(low, unknown).found.all(), "rows without the class are no part of its mean"
    assert corrector_with("past").seen.dtype == torch.int64


def test_past_probabilities_are_state() -> None:
    corrector, other = corrector_with("past"), corrector_with("past")
    corrector(torch.randn(4, 5), torch.zeros(4, 5, dtype=torch.int8))
    other.load_state_dict(corrector.state_dict())
    np.testing.assert_array_equal(other.total.numpy(), corrector.total.numpy())
    assert other.seen.tolist() == [4] * 5


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((f"fig4a-{loss}", {"loss": loss}) for loss in ("bce", "focal", "asl", "db", "db-focal", "hill")),
        ("table6-no-dl", {"htb_weight": 0.0}),
        ("table6-no-nc", {"classifier": "linear"}),
        ("table6-no-amv", {"head_effect": 0.0, "tail_effect": 0.0}),
        ("past", {"average": "past"}),
        ("past-present", {"average": "past-present"}),
    ],
)
def test_presets_change_one_part(name: str, changes: dict[str, Any], variant: Any) -> None:
    for task, prefix, backbone in (
        ("plt-coco", "", "timm:resnet50.tv_in1k"),
        # On shapes the parts were taken from the code's formulas alone.
        *([("shapes-plt", "shapes-", "tiny-clip")] if variant == "code" else []),
    ):
        short = name.removeprefix("fig4a-").removeprefix("table6-") if prefix else name
        base = choose_preset(PRESETS, None, task, "mr40", backbone, variant)
        preset = choose_preset(PRESETS, prefix + short, task, "mr40", backbone, variant)
        assert base is not None
        assert preset is not None
        whole, part = (Comic.Config(**each.overrides).model_dump() for each in (base, preset))
        assert {field: value for field, value in part.items() if value != whole[field]} == changes


def test_its_probabilities_decide_nothing() -> None:
    assert method_of().needs().calibrated is False
