"""The rendered parts on disk: made on first use, checked on every use, made anew when harmed.

A process compares the contents of a part with the published hashes when it first opens it, and stamps from then on.

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
from ltbench.plugin.errors import Damaged, Harmed, UserError
from ltbench.plugin.files import explain_os_error, remove_leftovers, write_atomic, write_with
from ltbench.plugin.reading import npy_content, read_json

VERSION: Final = "v1"
FILES: Final = ("images.npy", "labels.npy", "ids.json", "captions.json")

#: Stamps of the files of parts whose contents this process has compared with what was published.
_compared: dict[Path, dict[str, Any]] = {}

Progress = Callable[[int, int], None]
Notice = Callable[[str], None]


def ensure_shapes(
    root: Path,
    progress: Progress | None = None,
    notice: Notice | None = None,
    parts: Sequence[str] | None = None,
    mends: bool = True,
) -> Path:
    """Return the folder ``<root>/shapes/v1`` with the asked parts (default: all) rendered and intact.

    Args:
        root: cache folder; made if missing. Nothing is written when everything asked for is there.
        progress: called with images done and images in all while rendering.
        notice: receives one line per part that was found harmed and is made anew.
        parts: names out of ``PARTS``.
        mends: a part that was found harmed is made anew; else it is an error. What was never rendered is, either way.

    Raises:
        Harmed: a harmed part that is to stay.
        UserError: an unknown part; a folder that cannot be written; or a part whose rendering does not have the
            published sha256 (then this platform's arithmetic is not IEEE 754, and no score would be comparable).
    """
    wanted = tuple(PARTS) if parts is None else tuple(parts)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise UserError(f"shapes has no part {unknown[0]!r}; it has {', '.join(PARTS)}", "ltbench list datasets")
    folder = root / "shapes" / VERSION
    if all(_known(folder / name, name) for name in wanted):
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            remove_leftovers(folder)
            _repair(folder, wanted, progress, notice, mends)
            _compared.update({folder / name: _stamps(folder / name) for name in wanted})
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


def _repair(folder: Path, wanted: Sequence[str], progress: Progress | None, notice: Notice | None, mends: bool) -> None:
    stale = []
    for name in wanted:
        if _intact(folder / name, name):
            if not _unchanged(folder / name):
                _write_manifest(folder / name)
            continue
        if (folder / name).is_dir() and any((folder / name).iterdir()):
            if not mends:
                damage = "damaged or incomplete"
                raise Harmed(f"shapes, part {name}: {folder / name}", damage, "ltbench data prepare shapes --repair")
            if notice is not None:
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
        return bool(read_json(place / "manifest.json") == _stamps(place))
    except (OSError, Damaged):
        return False


def _known(place: Path, name: str) -> bool:
    """Whether a part is what was published: contents are compared once by each process, stamps from then on.

    Stamps alone would let pass what was written by something that puts time stamps back.
    """
    if not _unchanged(place):
        return False
    if _compared.get(place) != (stamps := _stamps(place)):
        if not _intact(place, name):
            return False
        _compared[place] = stamps
    return True


def _intact(place: Path, name: str) -> bool:
    """The full check: contents have the published sha256 (a copied or restored cache has other time stamps)."""
    size, published = PARTS[name].size, PART_SHA256[name]
    try:
        captions = read_json(place / "captions.json")
        return bool(
            _numbers(place / "images.npy", (size, SIZE, SIZE, 3), np.uint8) == published["images"]
            and _numbers(place / "labels.npy", (size, len(CLASS_NAMES)), np.int8) == published["labels"]
            and hashlib.sha256("\n".join(captions).encode()).hexdigest() == published["captions"]
            and read_json(place / "ids.json") == _ids(name)
        )
    except (OSError, Damaged, ValueError, TypeError):
        return False


def _numbers(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> str:
    """sha256 of the numbers of an array file, which become no array; empty where it is of another shape or type."""
    found, kind, start = npy_content(path)
    if found != shape or kind != np.dtype(dtype):
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamps(place: Path) -> dict[str, Any]:
    return {file: _stamp(place / file) for file in FILES}


def _stamp(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _write_manifest(place: Path) -> None:
    write_atomic(place / "manifest.json", json.dumps(_stamps(place), sort_keys=True))
