"""Golden vectors for the loss tests: outputs of the published implementations, outside the repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from tests.golden import golden as vectors

Arrays = Mapping[str, npt.NDArray[np.float64]]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Arrays]:
    """Arrays of one golden file by name; skips where the golden vectors are not at hand."""
    return cache(partial(vectors, "ltml"))


class Case:
    """Logits and labels of one golden input, and the facts of its data set."""

    def __init__(self, inputs: Arrays, name: str) -> None:
        self.name = name
        self.dataset = name.split("_")[0]
        self._logits = torch.from_numpy(inputs[f"{name}__x"])
        self.labels = (torch.from_numpy(inputs[f"{name}__y"]) * 2 - 1).to(torch.int8)
        self.counts = torch.from_numpy(inputs[f"class_freq_{self.dataset}"])
        self.num_images = {"voc": 1142, "coco": 1909}[self.dataset]
        self.theta = {"voc": 0.3, "coco": 0.2}[self.dataset]
        self.neg_scale = {"voc": 5.0, "coco": 2.0}[self.dataset]

    def logits(self, dtype: torch.dtype) -> Tensor:
        return self._logits.to(dtype, copy=True).requires_grad_()


@pytest.fixture(
    params=[
        "voc_b8_s0",
        "voc_b32_s1",
        "voc_b8_bern",
        "voc_allpos_row",
        "voc_allpos_batch",
        "voc_big_wrong",
        "voc_mid20",
        "voc_b1",
        "coco_b16_s0",
    ]
)
def case(request: pytest.FixtureRequest, golden: Callable[[str], Arrays]) -> Case:
    return Case(golden("inputs"), request.param)


def close(
    actual: Tensor,
    expected: npt.NDArray[np.float64] | float,
    dtype: torch.dtype,
    *,
    unit: float = 0.0,
    rtol: float | None = None,
) -> None:
    """Relative 1e-10 in float64, 1e-5 in float32.

    The absolute part only covers digits that a reference loses below its largest entry, or below `unit`: it takes
    1 - sigmoid(20) as a difference, so its nearly vanishing entries are right to 1e-16 of one, not of themselves.
    """
    wanted = torch.as_tensor(np.asarray(expected), dtype=torch.float64)
    standard, digits = (1e-10, 1e-12) if dtype == torch.float64 else (1e-5, 1e-6)
    scale = max(float(wanted.abs().max()) if wanted.numel() else 0.0, unit)
    torch.testing.assert_close(
        actual.detach().to(torch.float64), wanted, rtol=standard if rtol is None else rtol, atol=digits * scale
    )


@pytest.fixture(params=[torch.float64, torch.float32], ids=["f64", "f32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    value: torch.dtype = request.param
    return value


@pytest.fixture
def matches_reference(golden: Callable[[str], Arrays], case: Case, dtype: torch.dtype) -> Callable[..., None]:
    """Check loss and gradient, and unreduced elements where the reference has them, against one golden file."""

    def check(key: str, make: Callable[[Case, str], torch.nn.Module], scale: float = 1.0) -> None:
        arrays = golden(key)
        tag = "f64" if dtype == torch.float64 else "f32"
        logits = case.logits(dtype)
        before = logits.detach().clone()
        loss = make(case, "mean")(logits, case.labels) * scale
        (grad,) = torch.autograd.grad(loss, logits)
        expected = arrays[f"{case.name}__loss_{tag}"]
        if not np.isfinite(expected):
            # The reference overflows here; ours must be finite and equal to its float64 value.
            expected = arrays[f"{case.name}__loss_f64"]
            close(loss, expected, dtype)
            assert torch.isfinite(grad).all()
            return
        close(loss, expected, dtype)
        close(grad, arrays[f"{case.name}__grad_{tag}"], dtype, unit=1 / grad.numel())
        raw = arrays.get(f"{case.name}__raw_{tag}")
        if raw is not None:
            close(make(case, "none")(case.logits(dtype), case.labels) * scale, raw, dtype)
        assert torch.equal(logits.detach(), before)

    return check


@pytest.fixture
def assert_matches() -> Callable[..., None]:
    return close
