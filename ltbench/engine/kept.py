"""What a trained run keeps of its training view, so that its modules can be built again without the data set.

One safetensors file beside the weights: the observed labels, two bits a label, and names and sizes as JSON. It holds
no test label and no hidden one, because the training view holds none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt

from ltbench.data.base import Labels
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.tensors import read_tensors, write_tensors
from ltbench.tasks.views import TrainView

if TYPE_CHECKING:
    from PIL.Image import Image

FORMAT = 1
#: Rows that a view may state.
MOST_ROWS = 100_000_000


class NoImages:
    """Stands for training images where only their number is known."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def load(self, row: int) -> Image:
        """Not there: raises RuntimeError."""
        self._refuse()

    def sha256(self, row: int) -> str:
        """Not there: raises RuntimeError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise RuntimeError("a trained run keeps no training images; a method may look at them while it is fitted only")


@dataclass(frozen=True)
class Kept:
    """A training view without its images.

    Attributes:
        view: observed labels, class names and label groups are there; ids are row numbers, images refuse.
        answers: classes that the run answered for at test.
        weights_sha256: sha256 of the file of weights; None for a method whose modules have no state.
    """

    view: TrainView
    answers: tuple[str, ...]
    weights_sha256: str | None


def write_kept(path: Path, view: TrainView, answers: tuple[str, ...], weights_sha256: str | None) -> None:
    """Write the file, atomically; the same input gives the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    validation = view.validation
    stated = {
        "format": FORMAT,
        "rows": len(view),
        "class_names": view.class_names,
        "label_groups": dict(view.label_groups),
        "validation": None if validation is None else {"rows": len(validation), "class_names": validation.class_names},
        "answers": answers,
        "weights_sha256": weights_sha256,
    }
    write_tensors(
        path, {"present": np.packbits(view.observed == 1), "absent": np.packbits(view.observed == -1)}, stated
    )


def read_kept(path: Path) -> Kept:
    """Read the file.

    Raises:
        UserError: it is missing, damaged, or was written by another ltbench.
    """
    try:
        tensors, stated = read_tensors(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except Damaged as error:
        raise UserError(f"{path} is damaged ({error.damage})") from error
    try:
        if stated["format"] != FORMAT:
            raise ValueError(f"format {stated['format']!r}, this ltbench reads {FORMAT}")
        rows, names = int(stated["rows"]), tuple(stated["class_names"])
        validation = stated["validation"]
        _check_sizes(rows, len(names), tensors["present"], tensors["absent"])
        if validation is not None and not 0 <= int(validation["rows"]) <= MOST_ROWS:
            raise ValueError(f"{validation['rows']} validation rows")
        return Kept(
            view=TrainView(
                ids=_numbers(rows),
                images=NoImages(rows),
                observed=_observed(tensors["present"], tensors["absent"], rows, len(names)),
                class_names=names,
                label_groups={group: tuple(members) for group, members in stated["label_groups"].items()},
                validation=None if validation is None else _nameless(validation["rows"], validation["class_names"]),
            ),
            answers=tuple(stated["answers"]),
            weights_sha256=stated["weights_sha256"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}: {error})") from error


def _check_sizes(rows: int, classes: int, *bits: npt.NDArray[np.uint8]) -> None:
    """Before anything of that size is made: two bits a label, no more and no fewer."""
    for packed in bits:
        if not 0 <= rows <= MOST_ROWS or packed.dtype != np.uint8 or packed.shape != (-(-rows * classes // 8),):
            raise ValueError(f"labels of {rows} rows and {classes} classes are not {packed.dtype}{packed.shape}")


def _observed(present: npt.NDArray[np.uint8], absent: npt.NDArray[np.uint8], rows: int, classes: int) -> Labels:
    positive, negative = (np.unpackbits(bits, count=rows * classes).astype(np.int8) for bits in (present, absent))
    return (positive - negative).reshape(rows, classes)


def _nameless(rows: int, class_names: list[str]) -> TrainView:
    """A validation view of that size; a method looks at its labels while it is fitted only."""
    names = tuple(class_names)
    return TrainView(_numbers(rows), NoImages(rows), np.zeros((rows, len(names)), np.int8), names)


def _numbers(rows: int) -> tuple[str, ...]:
    return tuple(str(row) for row in range(rows))
