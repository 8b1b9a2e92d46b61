"""A user's own photographs as a data set: ``ltbench task new`` normalises folder and CSV once, runs open the result.

What lies in a task folder is said in ``ltbench.data.own.content``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltbench.data.base import DataRoot, DataSet, Images, Part
from ltbench.data.own.content import FORMAT, labels_reader, read_json
from ltbench.data.own.folder_images import FolderImages, NoImages
from ltbench.data.own.places import task_folders
from ltbench.data.status import DataStatus, folder_bytes
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.names import leads_out, name_problem, shown


def open_folder(folder: Path, images: Path | None = None, fallback: Path | None = None) -> DataSet:
    """Open a task folder as a data set.

    Args:
        folder: a task folder (its newest version) or one of its version folders.
        images: folder of images; None takes the one noted when the task was made.
        fallback: folder of images for when the noted one is gone.

    Raises:
        UserError: the folder is no task folder, is damaged, or was written by another version of ltbench.
    """
    top, version = _locate(folder)
    name = top.name
    rows = read_json(version / "rows.json", top)
    if rows.get("format") != FORMAT:
        raise UserError(
            f"task folder {name} has format {rows.get('format')!r}, this ltbench reads {FORMAT}",
            "type the same ltbench task new … again",
        )
    class_names, parts = _content(rows, name)
    place = _images(read_json(top / "source.json", top), name) if images is None else images
    if place is not None and fallback is not None and not place.is_dir():
        place = fallback
    stamps = read_json(version / "stamps.json", top)

    def open_part(part: str) -> Part:
        ids, hashes = parts[part]
        opened: Images = NoImages(name, ids)
        if place is not None and hashes:
            opened = FolderImages([place / row for row in ids], hashes, _stamps(stamps.get(part), len(ids)), name)
        labels = labels_reader(version / f"labels-{part}.npy", top, (len(ids), len(class_names)))
        return Part(part, ids, opened, labels)

    return DataSet(f"folder:{name}", class_names, tuple(parts), open_part)


_Rows = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


def _content(document: dict[str, Any], name: str) -> tuple[tuple[str, ...], _Rows]:
    """Class names, and ids and image hashes of each part.

    Raises:
        Damaged: the document says something else, or an image would lie outside of its folder.
    """

    def texts(value: object, what: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Damaged(f"task folder {name}: rows.json", f"{what} are no list of texts", _again(name))
        return tuple(value)

    names = texts(document.get("class_names"), "class names")
    parts = document.get("parts")
    if not isinstance(parts, dict) or not all(isinstance(each, dict) for each in parts.values()):
        raise Damaged(f"task folder {name}: rows.json", "it has no parts", _again(name))
    found: _Rows = {}
    for part, rows in parts.items():
        if problem := name_problem(part):
            raise Damaged(f"task folder {name}: rows.json", f"a part has no name: {problem}", _again(name))
        ids, hashes = texts(rows.get("ids"), f"ids of {part}"), texts(rows.get("sha256"), f"hashes of {part}")
        stray = next((row for row in ids if leads_out(row)), None)
        if stray is not None:
            raise Damaged(f"task folder {name}: rows.json", f"{shown(stray)} leads out of the folder", _again(name))
        if len(hashes) not in (0, len(ids)):
            raise Damaged(f"task folder {name}: rows.json", f"{len(hashes)} hashes of {len(ids)} images", _again(name))
        found[part] = ids, hashes
    return names, found


def _images(source: dict[str, Any], name: str) -> Path | None:
    noted = source.get("images")
    if noted is not None and (not isinstance(noted, str) or "\0" in noted):
        raise Damaged(f"task folder {name}: source.json", "images are no path", _again(name))
    return Path(noted) if noted else None


def _stamps(noted: object, rows: int) -> list[tuple[int, int]]:
    """Stamps of images; none where they cannot be read, so that images are hashed again."""
    try:
        known = [(int(size), int(modified)) for size, modified in noted]  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        return []
    return known if len(known) == rows else []


def _again(name: str) -> str:
    return f"type the same ltbench task new {name} … again"


def open_rooted(root: DataRoot) -> DataSet:
    """Open the task folder that ``--data-root`` names.

    Raises:
        UserError: no folder is named.
    """
    if root.root is None:
        raise UserError("data set folder needs a task folder", "--data-root DIR, or ltbench run --task DIR …")
    return open_folder(root.root)


def folder_status(root: DataRoot) -> list[DataStatus]:
    """One line for each task folder in the usual places: are the images still there?"""
    return [_status(folder) for folder in task_folders()]


def _status(folder: Path) -> DataStatus:
    name = f"folder:{folder.name}"
    try:
        data = open_folder(folder)
        source = read_json(folder / "source.json", folder)
        place = _images(source, folder.name)
        if place is not None:
            paths = [place / row for part in data.parts for row in data.part(part).ids]
    except UserError as error:
        return DataStatus(name, "missing", error.message, folder_bytes(folder), error.hint)
    if place is None:
        return DataStatus(name, "here", "features only", folder_bytes(folder))
    there = [path for path in paths if path.is_file()]
    size = folder_bytes(folder) + sum(path.stat().st_size for path in there)
    if len(there) == len(paths):
        return DataStatus(name, "here", f"{len(paths)} images", size)
    detail = f"{len(paths) - len(there)} of {len(paths)} images are gone"
    return DataStatus(
        name, "partly" if there else "missing", detail, size, f"ltbench task new {folder.name} --images DIR …"
    )


def _locate(folder: Path) -> tuple[Path, Path]:
    """Top folder and version folder."""
    if (folder / "rows.json").is_file():
        return folder.parent, folder
    version = read_json(folder / "task.json", folder).get("version")
    if not isinstance(version, int):
        raise Damaged(f"task folder {folder.name}: task.json", "it has no version", _again(folder.name))
    return folder, folder / f"v{version}"
