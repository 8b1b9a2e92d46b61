"""What every loss keeps: gradients, unknown labels, large logits, half precision, reductions, input it refuses."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from tests.losses.contract_losses import (
    LABELS,
    LEAVING_OUT,
    LOSSES,
    LOWEST,
    MEAN_ONLY,
    OVER_ALL,
    READING,
    grad_of,
)


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_gradients(name: str, logits: Tensor) -> None:
    for reduction in ("mean",) if name in MEAN_ONLY else ("mean", "sum", "none"):
        loss = LOSSES[name](reduction=reduction)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, LABELS), logits.requires_grad_())


@pytest.mark.parametrize("name", LEAVING_OUT)
def test_unknown_labels_contribute_nothing(name: str, logits: Tensor) -> None:
    loss = LOSSES[name]()
    value, grad = grad_of(loss, logits, LABELS)
    unknown = LABELS == 0
    assert (grad[unknown] == 0).all()
    assert (grad[~unknown] != 0).any()
    for hostile in (0.0, 1e30, float("inf"), float("nan")):
        other, other_grad = grad_of(loss, logits.masked_fill(unknown, hostile), LABELS)
        assert torch.equal(other, value)
        assert torch.equal(other_grad, grad)


@pytest.mark.parametrize("name", READING)
def test_unknown_labels_are_read_where_the_loss_is_about_them(name: str, logits: Tensor) -> None:
    value, grad = grad_of(LOSSES[name](), logits, LABELS)
    assert (grad[LABELS == 0] != 0).any()
    moved, _ = grad_of(LOSSES[name](), logits + (LABELS == 0), LABELS)
    assert moved != value


@pytest.mark.parametrize("name", LEAVING_OUT)
def test_nothing_known_is_zero(name: str, logits: Tensor) -> None:
    value, grad = grad_of(LOSSES[name](), logits, torch.zeros_like(LABELS))
    assert value == 0
    assert (grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_finite_at_large_logits(name: str, dtype: torch.dtype) -> None:
    # Right, wrong and mixed signs at ±100, with images that show every class, none, and some.
    for sign, labels in itertools.product((1, -1), (LABELS, torch.ones_like(LABELS), -torch.ones_like(LABELS))):
        for pattern in (labels.to(dtype), torch.ones(4, 5, dtype=dtype)):
            value, grad = grad_of(LOSSES[name](), sign * 100 * pattern, labels)
            assert torch.isfinite(value).all()
            assert torch.isfinite(grad).all()
            assert value.dtype == torch.float32
            assert grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computes_in_float32_under_autocast(name: str, logits: Tensor, dtype: torch.dtype) -> None:
    low = (8 * logits).to(dtype)
    loss = LOSSES[name]()
    expected, expected_grad = grad_of(loss, low.float(), LABELS)
    with torch.autocast("cpu", dtype=dtype):
        value, grad = grad_of(loss, low, LABELS)
        full, full_grad = grad_of(loss, low.float(), LABELS)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(grad, expected_grad.to(dtype))
    assert torch.equal(full, expected)
    assert torch.equal(full_grad, expected_grad)


def test_half_precision_modules_keep_their_counts(name: str, logits: Tensor) -> None:
    assert torch.equal(LOSSES[name]().half()(logits, LABELS), LOSSES[name]()(logits, LABELS))


def test_inputs_are_left_alone(name: str, logits: Tensor) -> None:
    before, labels = logits.clone(), LABELS.clone()
    grad_of(LOSSES[name](), logits, labels)
    assert torch.equal(logits, before)
    assert torch.equal(labels, LABELS)


def test_label_types_agree(name: str, logits: Tensor) -> None:
    loss = LOSSES[name]()
    values = [loss(logits, LABELS.to(kind)) for kind in (torch.int8, torch.int64, torch.float16, torch.float64)]
    assert all(torch.equal(value, values[0]) for value in values)


def test_state_survives_a_round_trip(name: str, logits: Tensor) -> None:
    loss, other = LOSSES[name](), LOSSES[name]()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss(logits, LABELS), other(logits, LABELS))


def test_elementwise_reductions(name: str, logits: Tensor) -> None:
    if name in MEAN_ONLY:
        with pytest.raises(ValueError, match="reduction"):
            LOSSES[name](reduction="sum")
        return
    elements = LOSSES[name](reduction="none")(logits, LABELS)
    assert (elements >= LOWEST.get(name, 0.0)).all()
    torch.testing.assert_close(LOSSES[name](reduction="sum")(logits, LABELS), elements.sum())
    if elements.ndim == 1 or name in OVER_ALL:  # one loss an image or a class
        torch.testing.assert_close(LOSSES[name]()(logits, LABELS), elements.mean())
    else:
        known = LABELS != 0
        assert (elements[~known] == 0).all()
        torch.testing.assert_close(LOSSES[name]()(logits, LABELS), elements.sum() / known.sum())


def test_empty_batch(name: str) -> None:
    assert LOSSES[name]()(torch.zeros(0, 5), torch.zeros(0, 5)) == 0


BAD_INPUT = {
    "zero-one-two labels": (torch.zeros(2, 5), torch.full((2, 5), 2.0), ValueError, r"labels: .*\{-1, 0, \+1\}, got 2"),
    "soft labels": (torch.zeros(2, 5), torch.full((2, 5), 0.5), ValueError, "labels: .*got 0.5"),
    "NaN labels": (torch.zeros(2, 5), torch.full((2, 5), torch.nan), ValueError, "labels: .*got nan"),
    "bool labels": (torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.bool), TypeError, "labels: .*torch.bool"),
    "unsigned labels": (torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.uint8), TypeError, "labels: .*torch.uint8"),
    "label list": (torch.zeros(2, 5), [[1] * 5] * 2, TypeError, "labels: .*a list"),
    "integer logits": (torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5), TypeError, "logits: .*torch.int64"),
    "bool logits": (torch.zeros(2, 5, dtype=torch.bool), torch.ones(2, 5), TypeError, "logits: .*torch.bool"),
    "flat logits": (torch.zeros(5), torch.ones(5), ValueError, r"logits: expected shape \[B, C\].*got \[5\]"),
    "no class": (torch.zeros(2, 0), torch.ones(2, 0), ValueError, r"logits: .*got \[2, 0\]"),
    "other batch": (torch.zeros(2, 5), torch.ones(1, 5), ValueError, r"labels: expected shape \[2, 5\].*got \[1, 5\]"),
    "label indices": (torch.zeros(2, 5), torch.ones(2), ValueError, r"labels: expected shape \[2, 5\].*got \[2\]"),
}


@pytest.mark.parametrize("bad", BAD_INPUT)
def test_bad_input_is_named(name: str, bad: str) -> None:
    logits, labels, error, message = BAD_INPUT[bad]
    if name == "soft-partial":
        if bad == "soft labels":
            return  # legal there
        message = message.replace(r"\{-1, 0, \+1\}", r"\[-1, \+1\]")
    with pytest.raises(error, match=message):
        LOSSES[name]()(logits, labels)


def test_another_class_count_is_named(name: str) -> None:
    loss = LOSSES[name]()
    logits, labels = torch.zeros(2, 6), torch.ones(2, 6)
    if any(key.endswith("class_counts") for key, _ in loss.named_buffers()):
        with pytest.raises(ValueError, match=r"class_counts: expected shape \[6\] for this input, got \[5\]"):
            loss(logits, labels)
    else:
        assert torch.isfinite(loss(logits, labels))
