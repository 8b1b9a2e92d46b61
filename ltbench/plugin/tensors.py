"""Small safetensors files with a statement of what they hold, and a hash of both that is compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import one_line, parse_json, read_content
from ltbench.plugin.sealed import FIELD

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[Any]]

#: The one key of the file's own metadata: safetensors writes several in random order.
_KEY: Final = "ltbench"
#: Bytes of a file.
LARGEST: Final = 16 * 2**30


def write_tensors(path: Path, tensors: Arrays, stated: Mapping[str, Any]) -> None:
    """Write arrays and a JSON object about them, atomically; the same input gives the same bytes.

    Raises:
        UserError: the file cannot be written.
    """
    import numpy as np
    from safetensors.numpy import save

    plain: dict[str, Any] = json.loads(json.dumps(stated))
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    text = json.dumps({**plain, FIELD: _seal(whole, plain)}, sort_keys=True, ensure_ascii=False)
    write_atomic(path, save(whole, {_KEY: text}))


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Arrays and what is stated of them, once their hash is compared. A file without a hash is of an older ltbench, and
    is taken.

    Raises:
        Damaged: it is no such file, or not what was written.
        OSError: it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    content = read_content(path, most=LARGEST)
    try:
        tensors = load(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")], name=path.name)
        stated = parse_json(header["__metadata__"][_KEY].encode("utf-8"), name=path.name)
        seal = stated.pop(FIELD, None)
    except Damaged:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(path.name, f"{type(error).__name__}: {one_line(error)}") from error
    if seal is not None and seal != _seal(tensors, stated):
        raise Damaged(path.name, "its content has another sha256 than when it was written")
    return tensors, stated


def _seal(tensors: Arrays, stated: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(stated, sort_keys=True).encode("utf-8"))
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
