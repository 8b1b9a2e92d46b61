"""Label protocols: how complete labels become observed ones. A small frozen union; the draws are in ``masks``.

No module here imports numpy before a protocol is applied, so that listing tasks stays quick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ltbench.tasks.errors import ProtocolError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Labels = NDArray[np.int8]

__all__ = [
    "Full",
    "LabelProtocol",
    "Partial",
    "Plt",
    "ProtocolError",
    "SeenOnly",
    "SinglePositive",
    "fingerprint",
]


class _Protocol(BaseModel):
    """Common to all protocols; frozen, and extra keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unknown_policy: ClassVar[Literal["ignore", "assume-negative"]] = "ignore"

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        raise NotImplementedError

    def kept_columns(self, class_names: Sequence[str]) -> tuple[int, ...]:
        """Column numbers of the complete labels that the observed labels keep, in order."""
        return tuple(range(len(class_names)))

    def apply(
        self,
        complete: NDArray[np.signedinteger[Any]],
        ids: Sequence[str],
        class_names: Sequence[str],
        namespace: str,
        seed: int,
    ) -> Labels:
        """Observed labels.

        Args:
            complete: signed integers [N, C] in {+1, -1}; 0 (unknown even here) stays 0.
            ids: [N] image ids, each once.
            class_names: [C], each once.
            namespace: name under which our own masks are drawn, fixed by the task version (often the data set's name).
            seed: mask seed, fixed by the task version.

        Returns:
            int8 [N, C'], C' being the number of :meth:`kept_columns`; a new array.

        Raises:
            ProtocolError: labels, ids and names do not fit together, or a label is outside {-1, 0, 1}.
        """
        from ltbench.tasks.protocols import masks

        if "|" in namespace:
            raise ProtocolError(f"namespace {namespace!r} must not hold '|', which separates the parts of a key")
        labels = masks.checked(complete, ids, class_names)
        return self._observed(labels, ids, class_names, namespace, seed)

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        raise NotImplementedError


class Full(_Protocol):
    """Everything is observed: +1 and -1."""

    kind: Literal["full"] = "full"

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        return "all labels observed"

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        return complete


class Partial(_Protocol):
    """Each label is known with probability ``share``, present and absent alike: +1, -1 and 0.

    Attributes:
        share: probability of being known, in (0, 1].
        draw: ``hashed`` (our own; independent of the order of rows) or ``hcp`` (SST and SARB's published draw, which
            goes by row order; its seed is 0). Both are nested in the share.
    """

    kind: Literal["partial"] = "partial"
    share: float = Field(gt=0, le=1)
    draw: Literal["hashed", "hcp"] = "hashed"

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        return f"{100 * self.share:g} % of all labels known ({self.draw} draw)"

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        from ltbench.tasks.protocols import masks

        if self.draw == "hcp":
            return masks.hcp_partial(complete, seed, self.share)
        return masks.partial(complete, ids, class_names, namespace, seed, self.share)


class SinglePositive(_Protocol):
    """One present label an image, all else unknown: +1 and 0.

    Attributes:
        draw: ``hashed`` (our own; independent of the order of rows), ``cole`` (the published draw, which goes by row
            order; its seed is 1200) or ``published`` (the labels of a file that the task names).
    """

    kind: Literal["single-positive"] = "single-positive"
    draw: Literal["hashed", "cole", "published"] = "hashed"
    unknown_policy: ClassVar[Literal["ignore", "assume-negative"]] = "assume-negative"

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        return f"one present label an image ({self.draw} draw)"

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        from ltbench.tasks.protocols import masks

        if self.draw == "published":
            raise ProtocolError("these labels come from a published file; nothing here can draw them")
        if self.draw == "cole":
            return masks.cole_observed(complete, seed)
        return masks.single_positive(complete, ids, class_names, namespace, seed)


class Plt(_Protocol):
    """A share of each class's present labels is hidden, and so are all absent ones: +1 and 0 (``plt-mask-v1``).

    Attributes:
        missing: share hidden per class before images without a label get one back, in [0, 1).
    """

    kind: Literal["plt"] = "plt"
    missing: float = Field(ge=0, lt=1)
    unknown_policy: ClassVar[Literal["ignore", "assume-negative"]] = "assume-negative"

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        return f"{100 * self.missing:g} % of each class's present labels hidden (plt-mask-v1)"

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        from ltbench.tasks.protocols import masks

        return masks.plt_mask(complete, ids, namespace, seed, self.missing)


class SeenOnly(_Protocol):
    """Zero-shot: the columns of unseen classes are dropped, the others are observed in full.

    Attributes:
        seen: names of the classes that training may know.
    """

    kind: Literal["seen-only"] = "seen-only"
    seen: tuple[str, ...] = Field(min_length=1)

    @property
    def summary(self) -> str:
        """One line for lists and cards."""
        return f"all labels of {len(self.seen)} seen classes observed, no other class named"

    def kept_columns(self, class_names: Sequence[str]) -> tuple[int, ...]:
        """Columns of the seen classes, in the order of ``class_names``.

        Raises:
            ProtocolError: a seen class is not among them.
        """
        stray = [name for name in self.seen if name not in set(class_names)]
        if stray:
            raise ProtocolError(f"seen classes {stray} are not among the {len(class_names)} class names")
        seen = set(self.seen)
        return tuple(column for column, name in enumerate(class_names) if name in seen)

    def _observed(
        self, complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
    ) -> Labels:
        return complete[:, list(self.kept_columns(class_names))]


#: Any label protocol; ``kind`` tells them apart.
LabelProtocol = Annotated[Full | Partial | SinglePositive | Plt | SeenOnly, Field(discriminator="kind")]


def fingerprint(what: NDArray[Any] | Sequence[str]) -> str:
    """sha256 (hex) over a canonical byte form, the same on every platform.

    A list of names is its names in UTF-8, joined by newlines, with none at the end. An array is the line
    ``dtype shape`` (little-endian dtype code, sizes joined by ``x``; ``|i1 1142x20``), a newline, and its bytes in C
    order, little-endian.

    Args:
        what: numbers or booleans as an array, or names.

    Raises:
        ProtocolError: neither of the two, or a name that holds a newline.
    """
    import numpy as np

    if isinstance(what, np.ndarray) and what.dtype.kind in "biuf":
        little = np.ascontiguousarray(what, dtype=what.dtype.newbyteorder("<"))
        head = f"{little.dtype.str} {'x'.join(str(size) for size in what.shape)}\n"
        return hashlib.sha256(head.encode() + little.tobytes()).hexdigest()
    if isinstance(what, np.ndarray) and what.dtype.kind == "U" and what.ndim == 1:
        what = what.tolist()
    if isinstance(what, (str, bytes)) or not all(isinstance(name, str) for name in what):
        raise ProtocolError("only an array of numbers or a list of names has a fingerprint")
    broken = next((name for name in what if "\n" in name), None)
    if broken is not None:
        raise ProtocolError(f"name {broken!r} holds a newline")
    return hashlib.sha256("\n".join(what).encode()).hexdigest()
