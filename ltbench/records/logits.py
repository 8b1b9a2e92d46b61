"""Logits on disk: safetensors, row-aligned with the task's test ids, with what is needed to check that.

The metric contract says what type they are stored as (:mod:`ltbench.metrics.versions`), and what is judged is what was
stored, so that a file gives the figures of its record again, to the last digit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from ltbench.metrics.versions import LogitsDtype
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import parse_json
from ltbench.tasks.protocols import fingerprint

Logits = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LogitsFile:
    """An opened file of logits.

    Attributes:
        sha256: of the whole file.
        logits: float32 [n, C]; stored float16 is widened, which is exact.
        ids_sha256: sha256 of the row ids joined by newlines.
        classes_sha256: sha256 of the class names joined by newlines.
        validation: float32 [m, C] of the validation rows, or ``None``.
        dtype: as stored.
    """

    path: Path
    sha256: str
    logits: Logits
    ids_sha256: str
    classes_sha256: str
    validation: Logits | None = None
    dtype: LogitsDtype = "float32"


def write_logits(
    path: Path,
    logits: Logits,
    ids: Sequence[str],
    class_names: Sequence[str],
    validation: Logits | None = None,
    dtype: LogitsDtype = "float32",
) -> str:
    """Write logits atomically; the same input gives the same bytes.

    As float16, logits are rounded to the nearest (ties to even); finite ones beyond its range become its ends, ±65504,
    so that no order is turned round and no sign changes.

    Args:
        logits: float32 [n, C].
        ids: [n], ids of the test rows, in order.
        class_names: [C].
        validation: float32 [m, C], logits of the validation rows.
        dtype: what they are stored as, see :func:`ltbench.metrics.versions.logits_dtype`.

    Returns:
        sha256 (hex) of the file.

    Raises:
        ValueError: dtype or shape do not fit.
        UserError: the file cannot be written.
    """
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {"logits": logits}
    if validation is not None:
        tensors["validation_logits"] = validation
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or tensor.ndim != 2 or tensor.shape[1] != len(class_names):
            raise ValueError(f"{name} must be float32 [n, {len(class_names)}], got {tensor.dtype} {tensor.shape}")
    if len(ids) != len(logits):
        raise ValueError(f"{len(ids)} ids for {len(logits)} rows of logits")
    stated = {"classes_sha256": fingerprint(list(class_names)), "ids_sha256": fingerprint(list(ids))}
    # One key only: safetensors writes several in random order, and the file's hash would differ from run to run.
    metadata = {"ltbench": json.dumps(stated, sort_keys=True)}
    stored = {
        name: np.ascontiguousarray(_narrowed(tensor) if dtype == "float16" else tensor)
        for name, tensor in tensors.items()
    }
    content = save(stored, metadata)
    write_atomic(path, content)
    return hashlib.sha256(content).hexdigest()


def read_logits(path: Path) -> LogitsFile:
    """Read and hash a file of logits.

    Raises:
        UserError: it is missing, damaged, or was not written by ltbench.
    """
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"logits {path} cannot be read ({error.strerror})", "ltbench list runs") from error
    try:
        tensors = load(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")], name=path.name)
        stated = parse_json(header["__metadata__"]["ltbench"].encode("utf-8"), name=path.name)
        logits = tensors["logits"]
        return LogitsFile(
            path=path,
            sha256=hashlib.sha256(content).hexdigest(),
            logits=_matrix(logits),
            ids_sha256=str(stated["ids_sha256"]),
            classes_sha256=str(stated["classes_sha256"]),
            validation=_matrix(tensors["validation_logits"]) if "validation_logits" in tensors else None,
            dtype="float16" if logits.dtype == np.float16 else "float32",
        )
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"logits {path} are damaged or were not written by ltbench ({type(error).__name__}: {error})",
            "ltbench run --overwrite always …",
        ) from error


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _narrowed(tensor: Logits) -> NDArray[np.float16]:
    end = np.float32(np.finfo(np.float16).max)
    # What is not finite stays so: judging names it. Else 65520 would round to infinity.
    return np.where(np.isfinite(tensor), np.clip(tensor, -end, end), tensor).astype(np.float16)


def _matrix(tensor: NDArray[Any]) -> Logits:
    if tensor.dtype not in (np.float32, np.float16) or tensor.ndim != 2:
        raise ValueError(f"not a matrix of float32 or float16 but {tensor.dtype} {tensor.shape}")
    return tensor.astype(np.float32, copy=False)
