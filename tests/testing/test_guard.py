"""The search for labels finds them wherever they hide, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltbench.testing.guard import find_labels

RNG = np.random.default_rng(3)
LABELS = np.where(RNG.random((31, 7)) < 0.4, 1, -1).astype(np.int8)


def forbidden() -> dict[str, np.ndarray]:
    return {"test labels": LABELS}


class Holder:
    def __init__(self, thing: object) -> None:
        self.thing = {"deep": [thing]}


HIDING = {
    "array": lambda: LABELS.copy(),
    "zero and one": lambda: (LABELS == 1).astype(np.int64),
    "bools": lambda: LABELS == 1,
    "floats": lambda: LABELS.astype(np.float32),
    "transposed": lambda: np.ascontiguousarray(LABELS.T),
    "flat": lambda: LABELS.ravel().copy(),
    "view of a copy": lambda: LABELS.copy()[:5],
    "tensor": lambda: torch.from_numpy(LABELS.copy()),
    "half tensor": lambda: torch.from_numpy(LABELS.copy()).to(torch.bfloat16),
    "parameter": lambda: torch.nn.Parameter(torch.from_numpy(LABELS.copy()).float()),
    "rows": lambda: [tuple(np.flatnonzero(row == 1).tolist()) for row in LABELS],
}


def test_labels_are_found_in_any_form_and_gone_when_they_are_gone() -> None:
    holder = {how: Holder(make()) for how, make in HIDING.items()}
    leaks = find_labels(forbidden())
    assert len(leaks) == len(holder), "each form is found once"
    assert {leak.labels for leak in leaks} == {"test labels"}
    kinds = [leak.kind for leak in leaks]
    assert kinds.count("torch.Tensor") == 2
    assert "torch.nn.parameter.Parameter" in kinds
    assert "builtins.list" in kinds
    holder.clear()
    leaks.clear()  # a leak holds what it found
    assert find_labels(forbidden()) == []


def test_labels_are_found_in_a_modules_buffer_and_in_a_closure() -> None:
    module = torch.nn.Module()
    module.register_buffer("labels", torch.from_numpy(LABELS.copy()))
    assert [leak.kind for leak in find_labels(forbidden())] == ["torch.Tensor"]
    del module

    def closure(hidden: np.ndarray) -> object:
        return lambda: hidden

    kept = closure(LABELS.copy())
    assert [leak.kind for leak in find_labels(forbidden())] == ["numpy.ndarray"]
    del kept


def test_labels_are_found_in_a_running_function() -> None:
    def running() -> list:
        local = LABELS.copy()
        return find_labels(forbidden()) if local.size else []

    assert running()
    assert not find_labels(forbidden())


def test_what_was_known_before_is_not_found_again() -> None:
    held = LABELS.copy()
    before = find_labels(forbidden())
    assert [leak.thing is held for leak in before] == [True]
    assert find_labels(forbidden(), before) == []
    more = LABELS.copy()
    assert [leak.thing is more for leak in find_labels(forbidden(), before)] == [True]


def test_other_matrices_of_the_same_shape_are_no_leak() -> None:
    other = LABELS.copy()
    other[4, 4] *= -1
    half = LABELS[:10].copy()
    assert find_labels(forbidden()) == []
    assert other.shape == LABELS.shape
    assert half.shape != LABELS.shape


def test_constant_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="all alike"):
        find_labels({"nothing": np.ones((3, 2), dtype=np.int8)})
