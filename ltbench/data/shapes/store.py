"""The rendered parts on disk: made on first use, checked on every use, made anew when harmed.

Layout: ``<root>/shapes/v1/<part>/images.npy`` (uint8 [N, 64, 64, 3]), ``labels.npy`` (int8 [N, 20], complete; a file of
its own, so that images can be opened where labels must not be), ``ids.json``, ``captions.json`` (lists of N strings),
and ``manifest.json`` (size and time stamp of these four), which is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ltbench.data.shapes.canvas import SIZE
from ltbench.data.shapes.hashes import PART_SHA256
from ltbench.data.shapes.names import CLASS_NAMES
from ltbench.data.shapes.parts import PARTS, compose, labels_of, scene
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import explain_os_error, write_atomic, write_with

VERSION: Final = "v1"
FILES: Final = ("images.npy", "labels.npy", "ids.json", "captions.json")

Progress = Callable[[int, int], None]
Notice = Callable[[str], None]


def ensure_shapes(
    root: Path,
    progress: Progress | None = None,
    notice: Notice | None = None,
    parts: Sequence[str] | None = None,
) -> Path:
    """Return the folder ``<root>/shapes/v1`` with the asked parts (default: all) rendered and intact.

    Args:
        root: cache folder; made if missing. Nothing is written when everything asked for is there.
        progress: called with images done and images in all while rendering.
        notice: receives one line per part that was found harmed and is made anew.
        parts: names out of ``PARTS``.

    Raises:
        UserError: an unknown part; a folder that cannot be written; or a part whose rendering does not have the
            published sha256 (then this platform's arithmetic is not IEEE 754, and no score would be comparable).
    """
    wanted = tuple(PARTS) if parts is None else tuple(parts)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise UserError(f"shapes has no part {unknown[0]!r}; it has {', '.join(PARTS)}", "ltbench list datasets")
    folder = root / "shapes" / VERSION
    if all(_unchanged(folder / name) for name in wanted):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            _repair(folder, wanted, progress, notice)
    except OSError as error:
        raise explain_os_error(error, "the data set shapes") from error
    return folder


def content_sha256(images: NDArray[np.uint8], labels: NDArray[np.int8], captions: Sequence[str]) -> dict[str, str]:
    """sha256 of pixels, of labels (both as raw bytes, C order) and of captions (UTF-8, one a line)."""
    return {
        "images": hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest(),
        "labels": hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest(),
        "captions": hashlib.sha256("\n".join(captions).encode()).hexdigest(),
    }


def render_part(
    name: str, advance: Callable[[], None] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int8], tuple[str, ...]]:
    """All images (uint8 [N, 64, 64, 3]), complete labels (int8 [N, 20]) and captions of one part."""
    images = np.empty((PARTS[name].size, SIZE, SIZE, 3), dtype=np.uint8)
    captions = []
    for index in range(len(compose(name))):
        drawn, text = scene(name, index)
        images[index] = drawn.image
        captions.append(text)
        if advance is not None:
            advance()
    return images, labels_of(name), tuple(captions)


def _repair(folder: Path, wanted: Sequence[str], progress: Progress | None, notice: Notice | None) -> None:
    stale = []
    for name in wanted:
        if _unchanged(folder / name):
            continue
        if _intact(folder / name, name):
            _write_manifest(folder / name)
            continue
        if (folder / name).is_dir() and any((folder / name).iterdir()) and notice is not None:
            notice(f"shapes: the cached part {name} is damaged or incomplete; it is rendered again")
        stale.append(name)
    total, done = sum(PARTS[name].size for name in stale), 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for name in stale:
        _write_part(folder / name, name, advance)


def _write_part(place: Path, name: str, advance: Callable[[], None]) -> None:
    images, labels, captions = render_part(name, advance)
    # The composition is the complete labels in other words; a run that renders must not hold it while it trains.
    compose.cache_clear()
    found, expected = content_sha256(images, labels, captions), PART_SHA256[name]
    for what, digest in expected.items():
        if found[what] != digest:
            raise UserError(
                f"shapes: {what} of {name} rendered with sha256 {found[what][:12]}, published {digest[:12]}; "
                "this platform's arithmetic differs",
                "ltbench doctor",
            )
    (place / "manifest.json").unlink(missing_ok=True)
    for file, array in (("images.npy", images), ("labels.npy", labels)):
        write_with(place / file, lambda handle, array=array: np.save(handle, array))  # type: ignore[misc]
    write_atomic(place / "ids.json", json.dumps(_ids(name)))
    write_atomic(place / "captions.json", json.dumps(list(captions)))
    _write_manifest(place)


def _ids(name: str) -> list[str]:
    return [f"{name}-{index:05d}" for index in range(PARTS[name].size)]


def _unchanged(place: Path) -> bool:
    """The cheap check: the manifest's sizes and time stamps are the files'."""
    try:
        manifest = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
        return bool(manifest == {file: _stamp(place / file) for file in FILES})
    except (OSError, ValueError):
        return False


def _intact(place: Path, name: str) -> bool:
    """The full check: contents have the published sha256 (a copied or restored cache has other time stamps)."""
    try:
        images = np.load(place / "images.npy", mmap_mode="r")
        labels = np.load(place / "labels.npy")
        ids = json.loads((place / "ids.json").read_text(encoding="utf-8"))
        captions = json.loads((place / "captions.json").read_text(encoding="utf-8"))
        shapes = images.shape[1:] == (SIZE, SIZE, 3) and labels.shape[1:] == (len(CLASS_NAMES),)
        return bool(shapes and ids == _ids(name) and content_sha256(images, labels, captions) == PART_SHA256[name])
    except (OSError, ValueError, TypeError, EOFError):
        return False


def _stamp(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _write_manifest(place: Path) -> None:
    write_atomic(place / "manifest.json", json.dumps({file: _stamp(place / file) for file in FILES}, sort_keys=True))
