"""The one reader of feature files: what ``ltbench task new`` checks is what the backbone ``precomputed:`` opens."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import load_npz

_SHAPE: Final = "an .npz file with arrays files [N] (file names) and features [N, D]"


def read_features(path: Path) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Names [N] and features float32 [N, D]; names stored as bytes are decoded, float16 is widened.

    Raises:
        UserError: the file is missing or malformed, a file name occurs twice, or a feature is not finite (named).
    """
    if not path.is_file():
        raise UserError(f"feature file {path.name} does not exist", "--backbone precomputed:FILE.npz")
    try:
        with path.open("rb") as file:
            single = file.read(6) == b"\x93NUMPY"
        if single:
            raise UserError(
                f"feature file {path.name} is one array without names (.npy)",
                "np.savez('features.npz', files=NAMES, features=ARRAY)",
            )
        arrays = load_npz(path, names=("files", "features"), name=f"feature file {path.name}", hint=_SHAPE)
    except OSError as error:
        raise UserError(f"feature file {path.name} cannot be read ({error})", _SHAPE) from error
    absent = [key for key in ("files", "features") if key not in arrays]
    if absent:
        raise UserError(f"feature file {path.name} has no array {absent[0]!r}", _SHAPE)
    files, features = arrays["files"], arrays["features"]
    if files.ndim != 1 or files.dtype.kind not in "US":
        raise UserError(
            f"feature file {path.name}: files must be a list of names, not {files.dtype}{files.shape}", _SHAPE
        )
    if features.ndim != 2 or features.dtype.kind != "f" or len(features) != len(files) or not features.shape[1]:
        raise UserError(
            f"feature file {path.name}: features must be float [{len(files)}, D], not {features.dtype}{features.shape}",
            _SHAPE,
        )
    try:
        names = [item.decode() if isinstance(item, bytes) else str(item) for item in files.tolist()]
        # Surrogates decode and are no text.
        "".join(names).encode()
    except UnicodeDecodeError as error:
        raise UserError(f"feature file {path.name}: a name is not UTF-8 ({error.object!r})", _SHAPE) from error
    except ValueError as error:
        raise UserError(f"feature file {path.name}: a file name is no text ({error})", _SHAPE) from error
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(
            f"feature file {path.name} lists {len(twice)} names twice, first {twice[0]}", "keep one row each"
        )
    with np.errstate(over="ignore"):
        wide = features.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(wide).all(axis=1))
    if len(bad):
        row = int(bad[0])
        raise UserError(
            f"feature file {path.name}: {len(bad)} rows are not finite, first row {row} ({names[row]})",
            "compute them again",
        )
    return names, wide
