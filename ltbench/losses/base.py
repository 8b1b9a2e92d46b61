"""What every loss shares: the checks of its input, the precision it computes in, and the reduction.

Label encoding of the whole package: a tensor [B, C] of a signed integer or floating type with ``+1`` present, ``-1``
absent and ``0`` unknown. An unknown entry contributes nothing: its loss is 0 and its gradient is exactly 0, whatever
its logit. Labels written as 0/1 must be translated first (:func:`labels_from_binary`): a 0 read here means "unknown",
not "absent".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

Reduction: TypeAlias = Literal["mean", "sum", "none"]
#: What a "mean" over a batch divides by: its rows (or a number of entries for each), its known labels; or "batch",
#: where parts of a batch do not add up to the loss of all of it.
Over: TypeAlias = Literal["rows", "known", "batch"]
Counts: TypeAlias = "Sequence[int] | npt.NDArray[Any] | Tensor"

_Option = TypeVar("_Option", bound=str)


def check_option(name: str, value: _Option, allowed: Sequence[str]) -> _Option:
    """Return `value`, or raise ValueError naming the argument and what it may be."""
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def check_number(name: str, value: float, *, minimum: float = 0.0, strict: bool = False) -> float:
    """Return `value` as a float, or raise ValueError unless it is finite and >= `minimum` (> when `strict`)."""
    number = float(value)
    if not (number > minimum if strict else number >= minimum) or number == float("inf"):
        raise ValueError(f"{name}: expected a finite number {'>' if strict else '>='} {minimum:g}, got {value!r}")
    return number


def check_counts(class_counts: Counts, num_images: int | None = None) -> Tensor:
    """Positive training images per class as int64 [C].

    Kept as integers so that casting a module to half precision cannot round them, and so that the weights derived from
    them have the precision of the logits.

    Raises:
        TypeError: the counts are bool or complex.
        ValueError: not one-dimensional, empty, not whole numbers, a count below 1, or one above `num_images`.
    """
    raw = torch.as_tensor(class_counts).detach()
    if raw.dtype == torch.bool or raw.is_complex():
        raise TypeError(f"class_counts: expected whole numbers of shape [C], got dtype {raw.dtype}")
    if raw.ndim != 1 or raw.numel() == 0:
        raise ValueError(f"class_counts: expected shape [C] with C >= 1, got {list(raw.shape)}")
    counts = raw.to(torch.int64)
    if not bool((counts == raw).all()):
        raise ValueError("class_counts: expected whole numbers (images per class), got fractions or non-finite values")
    if bool((counts < 1).any()):
        bad = torch.nonzero(counts < 1).flatten().tolist()
        raise ValueError(
            f"class_counts: every class needs at least 1 positive image, got {int(counts[bad[0]])} at index {bad}"
        )
    if num_images is not None:
        if isinstance(num_images, bool) or int(num_images) != num_images or num_images < 1:
            raise ValueError(f"num_images: expected a whole number >= 1, got {num_images!r}")
        if int(counts.max()) > num_images:
            raise ValueError(
                f"class_counts: {int(counts.max())} positive images in a class, but num_images is {num_images}"
            )
    return counts


def check_classes(class_counts: Tensor, num_classes: int) -> None:
    """Raise ValueError unless the counts a loss was built with fit the C of its input."""
    if class_counts.numel() != num_classes:
        raise ValueError(f"class_counts: expected shape [{num_classes}] for this input, got {list(class_counts.shape)}")


def check_values(name: str, values: Tensor, labels: Tensor, *, ndim: int = 2, soft: bool = False) -> None:
    """Check a floating-point input [B, C, …] against labels [B, C].

    Args:
        soft: admit every label in [-1, +1], not only its ends and 0.

    Raises:
        TypeError: `values` is no float16, bfloat16, float32 or float64 tensor, or `labels` is bool, unsigned or
            complex.
        ValueError: another number of axes, other shapes, no class, devices that differ, or a label outside {-1, 0, +1}
            (when `soft`: outside [-1, +1]).
    """
    shown = "[B, C]" if ndim == 2 else "[B, C, L]"
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise TypeError(f"{name}: expected a floating-point tensor of shape {shown}, got {_describe(values)}")
    if not isinstance(labels, Tensor) or labels.dtype in (torch.bool, torch.uint8) or labels.is_complex():
        raise TypeError(
            f"labels: expected int8 or floating-point values in {{-1, 0, +1}} of shape [B, C], "
            f"got {_describe(labels)}; labels_from_binary() translates 0/1 and bool labels"
        )
    if values.ndim != ndim or values.shape[1] == 0:
        raise ValueError(f"{name}: expected shape {shown} with C >= 1, got {list(values.shape)}")
    if labels.shape != values.shape[:2]:
        raise ValueError(
            f"labels: expected shape {list(values.shape[:2])} (the first two axes of {name}), got {list(labels.shape)}"
        )
    if labels.device != values.device:
        raise ValueError(f"labels: expected device {values.device} (that of {name}), got {labels.device}")
    legal = labels.abs() <= 1 if soft else (labels == 0) | (labels == 1) | (labels == -1)
    expected = "[-1, +1]" if soft else "{-1, 0, +1}"
    if labels.device.type == "cuda":
        # Looked at where they are: to ask for the answer would hold the processor up at every step.
        torch._assert_async(legal.all(), f"labels: expected values in {expected}")
    elif not bool(legal.all()):
        raise ValueError(f"labels: expected values in {expected}, got {labels[~legal][0].item():g}")


def compute_dtype(values: Tensor) -> torch.dtype:
    """float64 stays float64, everything narrower is computed in float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def autocast_off(values: Tensor) -> torch.autocast:
    """Context in which autocast does not apply on the device of `values`."""
    return torch.autocast(device_type=values.device.type, enabled=False)


def labels_from_binary(labels: Tensor) -> Tensor:
    """Translate complete 0/1 (or bool) labels of any shape to int8 -1/+1.

    Raises:
        ValueError: a value other than 0 and 1.
    """
    if labels.dtype != torch.bool and not bool(((labels == 0) | (labels == 1)).all()):
        raise ValueError("labels: expected only 0 and 1 (or bool)")
    return labels.to(torch.int8) * 2 - 1


def known_scores(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and labels in the computing dtype, the logits of unknown entries replaced by 0.

    Replaced before anything is computed from them: a mask behind the loss would give 0 * inf = NaN in the backward
    pass.
    """
    dtype = compute_dtype(logits)
    signs = labels.to(dtype)
    return torch.where(signs == 0, 0.0, logits.to(dtype)), signs


def bce_elements(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each element: ``-log sigmoid(y s)``, shape [B, C]; 0 where the label is 0.

    Stable for any finite logit; computed in float32 (float64 for float64 logits), under autocast too.
    """
    with autocast_off(logits):
        scores, signs = known_scores(logits, labels)
        return torch.where(signs == 0, 0.0, -logsigmoid(signs * scores))


def reduce_elements(elements: Tensor, labels: Tensor, reduction: Reduction) -> Tensor:
    """Reduce element losses [B, C]: "mean" over the *known* elements (0 if there are none), "sum", or "none"."""
    if reduction == "none":
        return elements
    total = elements.sum()
    return total if reduction == "sum" else total / (labels != 0).sum().clamp(min=1)


class MultiLabelLoss(nn.Module, ABC):
    """Base of the losses that compare logits [B, C] with labels [B, C] in {-1, 0, +1}.

    `forward` checks the input, raises the logits to float32 at least (autocast is switched off inside), replaces the
    logits of unknown entries by 0 so that no gradient reaches them, and calls :meth:`compute`. Inputs are never
    changed in place.

    Args:
        reduction: "mean", "sum" or "none". What "mean" divides by is said by each family.

    Attributes:
        over: the same for machines; "batch" unless a loss says otherwise.
    """

    over: Over = "batch"

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = check_option("reduction", reduction, get_args(Reduction))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [B, C] (float16, bfloat16, float32 or float64) against labels [B, C] in {-1, 0, +1}.

        Returns:
            A scalar, or with reduction "none" the tensor the family describes; float32, or float64 for float64 logits.

        Raises:
            TypeError, ValueError: see :func:`check_values`; counts of another length than C.
        """
        check_values("logits", logits, labels)
        counts = getattr(self, "class_counts", None)
        if counts is not None:
            check_classes(counts, logits.shape[1])
        with autocast_off(logits):
            return self.compute(*known_scores(logits, labels))

    @abstractmethod
    def compute(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of checked input: logits and labels [B, C] of one floating type, unknown logits replaced by 0."""


def goes_over(criterion: nn.Module) -> Literal["rows", "known", "sum", "batch"]:
    """How a loss goes over a batch: a mean over rows or known labels, a sum, or ("batch") as a whole only."""
    over: Over = getattr(criterion, "over", "batch")
    reduction = getattr(criterion, "reduction", "none")
    if over == "batch" or reduction == "none":
        return "batch"
    return "sum" if reduction == "sum" else over


def _describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a {value.dtype} tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__}"
