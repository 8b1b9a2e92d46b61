"""A user's own photographs as a data set: ``ltbench task new`` normalises folder and CSV once, runs open the result.

What lies in a task folder is said in ``ltbench.data.own.content``.
"""

from __future__ import annotations

from pathlib import Path

from ltbench.data.base import DataRoot, DataSet, Images, Part
from ltbench.data.own.content import FORMAT, labels_reader, read_json
from ltbench.data.own.folder_images import FolderImages, NoImages
from ltbench.data.own.places import task_folders
from ltbench.data.status import DataStatus, folder_bytes
from ltbench.plugin.errors import UserError


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
    source = read_json(top / "source.json", top) if images is None else {"images": str(images)}
    place = Path(source["images"]) if source.get("images") else None
    if place is not None and fallback is not None and not place.is_dir():
        place = fallback
    stamps = read_json(version / "stamps.json", top)

    def open_part(part: str) -> Part:
        ids = tuple(rows["parts"][part]["ids"])
        opened: Images = NoImages(name, ids)
        if place is not None and rows["parts"][part]["sha256"]:
            known = [(int(size), int(modified)) for size, modified in stamps.get(part, [])]
            opened = FolderImages([place / row for row in ids], rows["parts"][part]["sha256"], known, name)
        return Part(part, ids, opened, labels_reader(version / f"labels-{part}.npy", top))

    return DataSet(f"folder:{name}", tuple(rows["class_names"]), tuple(rows["parts"]), open_part)


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
    except UserError as error:
        return DataStatus(name, "missing", error.message, folder_bytes(folder), error.hint)
    if not source.get("images"):
        return DataStatus(name, "here", "features only", folder_bytes(folder))
    place = Path(source["images"])
    paths = [place / row for part in data.parts for row in data.part(part).ids]
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
    return folder, folder / f"v{read_json(folder / 'task.json', folder).get('version')}"
