"""The bundled data set ``shapes`` as a :class:`DataSet`: parts are rendered when they are first opened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ltbench.data.base import ArrayImages, DataRoot, DataSet, Labels, Part
from ltbench.data.progress import Advance
from ltbench.data.shapes import CLASS_NAMES, LABEL_GROUPS, PARTS, ensure_shapes
from ltbench.data.shapes.store import FILES, VERSION
from ltbench.data.status import DataStatus, folder_bytes
from ltbench.plugin.reading import load_npy, read_json


def open_shapes(root: DataRoot) -> DataSet:
    """Open ``shapes``; a part that is not in the cache yet is rendered when it is opened.

    Args:
        root: its ``cache`` holds the rendered parts, its ``reporter`` follows the rendering.
    """
    return DataSet(
        name="shapes",
        class_names=CLASS_NAMES,
        parts=tuple(PARTS),
        open_part=lambda name: _open_part(root, name),
        label_groups=dict(LABEL_GROUPS),
    )


def _open_part(root: DataRoot, name: str) -> Part:
    place = _ensure(root, name) / name
    return Part(
        name=name,
        ids=_read_lines(place / "ids.json"),
        images=ArrayImages(place / "images.npy"),
        read_labels=_labels_reader(place / "labels.npy"),
        read_captions=lambda: _read_lines(place / "captions.json"),
    )


def _ensure(root: DataRoot, name: str) -> Path:
    """Render the part if need be; the progress bar opens with the first image, so that a warm cache says nothing."""
    bar: list[Advance] = []
    done = 0

    with ExitStack() as stack:

        def progress(now: int, total: int) -> None:
            nonlocal done
            if not bar:
                bar.append(stack.enter_context(root.reporter.task(f"rendering shapes {name}", total)))
            bar[0](now - done)
            done = now

        return ensure_shapes(root.cache, progress, root.reporter.line, parts=[name], mends=root.mends)


def _labels_reader(path: Path) -> Callable[[], Labels]:
    def read() -> Labels:
        labels: Labels = load_npy(path)
        return labels

    return read


def _read_lines(path: Path) -> tuple[str, ...]:
    return tuple(read_json(path))


def shapes_status(root: DataRoot) -> list[DataStatus]:
    """One line: how many parts are rendered."""
    folder = root.cache / "shapes" / VERSION
    ready = [name for name in PARTS if all((folder / name / file).exists() for file in (*FILES, "manifest.json"))]
    if len(ready) == len(PARTS):
        return [DataStatus("shapes", "here", f"{len(PARTS)} parts rendered", folder_bytes(folder))]
    absent = ", ".join(name for name in PARTS if name not in ready)
    detail = f"{len(ready)} of {len(PARTS)} parts rendered; the first run that needs them makes {absent}"
    return [DataStatus("shapes", "on demand", detail, folder_bytes(folder))]
