"""Labels that lie in the layouts of published data sets: COCO's JSON, Pascal VOC's XML, a folder a class."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from ltbench.data.own.class_names import name_problem
from ltbench.data.own.file_paths import FilePaths
from ltbench.data.own.pictures import pictures_below
from ltbench.data.own.table import PARTS, Row, Shape, Table, read_table
from ltbench.data.own.text import text_of
from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.reading import LARGEST_TEXT, read_json, read_xml

Format = Literal["csv", "matrix", "coco", "voc", "folder"]
#: Beginnings of names that say a part.
_PARTS: Final = (("train", "train"), ("val", "val"), ("dev", "val"), ("test", "test"))


def guess_format(path: Path) -> Format | None:
    """What a path seems to hold; None for a table, whose shape is told from its columns."""
    if path.is_dir():
        if any(path.glob("*.json")):
            return "coco"
        return "voc" if _annotations(path) is not None else "folder"
    return "coco" if path.suffix.lower() == ".json" else None


def read_labels(
    path: Path,
    chosen: Format | None = None,
    class_names: Sequence[str] | None = None,
    shape: Shape | None = None,
    images: Path | None = None,
) -> Table:
    """Read labels in whatever layout they have.

    Args:
        path: a table, a COCO JSON file or a folder of them, a VOC folder, a folder with a folder for each class.
        chosen: the layout; None guesses it, and notes what was guessed.
        class_names: the classes that may occur; None takes all that do.
        shape: what a user says of a table.
        images: folder of images.

    Raises:
        UserError: the labels cannot be read at all, or there are none.
    """
    shape = shape or Shape()
    guessed = guess_format(path) if chosen is None else None
    layout = chosen or guessed
    if layout in (None, "csv", "matrix"):
        return read_table(path, class_names, shape, images)
    if not path.exists():
        raise UserError(f"{path} does not exist", "ltbench task new --help")
    readers = {"coco": _coco, "voc": _voc, "folder": _folders}
    table = readers[str(layout)](path, FilePaths(images))
    if guessed is not None:
        table.notes.insert(0, f"{path.name} is read as {guessed}; --format says otherwise")
    if not table.rows and not table.problems:
        raise UserError(f"{path.name} has no images in the layout {layout}", "--format csv|matrix|coco|voc|folder")
    for name in table.class_names or dict.fromkeys(name for row in table.rows for name in row.labels):
        if problem := name_problem(name):
            table.faults.append(problem)
        if class_names is not None and name not in class_names:
            table.faults.append(f"label {name!r} is not among the classes")
    _test_from_val(table)
    return table.finish(class_names, shape.names)


def _test_from_val(table: Table) -> None:
    """Published folders often keep their test labels: then the validation part is what there is to test on."""
    parts = {row.split for row in table.rows}
    table.has_split = parts != {None} and bool(parts)
    if table.has_split and "test" not in parts and "val" in parts:
        table.rows = [Row(**{**vars(row), "split": "test"}) if row.split == "val" else row for row in table.rows]
        table.notes.append("there is no test part: part val is the test part")
    elif len(parts) == 1 and parts != {None}:
        # One part alone is no split.
        table.rows = [Row(**{**vars(row), "split": None}) for row in table.rows]
        table.has_split = False


def _part_of(name: str) -> str | None:
    """``instances_val2017`` → ``val``."""
    words = name.lower().replace("-", "_").split("_")
    return next((part for word in reversed(words) for start, part in _PARTS if word.startswith(start)), None)


# -- COCO ---------------------------------------------------------------------------------------------------------


def _coco(path: Path, paths: FilePaths) -> Table:
    table = Table(path.name)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} has no .json file", "--labels FILE.json")
    if len(files) > 1:
        # Captions and keypoints lie beside the boxes, of the same images.
        boxes = [file for file in files if file.name.startswith("instances")]
        files = boxes or files
    names: dict[str, None] = {}
    seen: set[str] = set()
    for file in files:
        part = _part_of(file.stem) if len(files) > 1 else None
        _coco_file(table, file, part, paths, names, seen)
    table.class_names = tuple(names)
    table.notes.extend(paths.notes())
    return table


def _coco_file(
    table: Table, file: Path, part: str | None, paths: FilePaths, names: dict[str, None], seen: set[str]
) -> None:
    document = _json(file)
    try:
        categories = {one["id"]: str(one["name"]).strip() for one in document["categories"]}
        pictures = {one["id"]: str(one["file_name"]) for one in document["images"]}
        shown: dict[Any, dict[str, None]] = {number: {} for number in pictures}
        for one in document["annotations"]:
            shown[one["image_id"]][categories[one["category_id"]]] = None
    except (KeyError, TypeError, AttributeError) as error:
        what = (
            f"names the unknown id {error}"
            if isinstance(error, KeyError) and not _is_field(error)
            else f"lacks {error}"
        )
        raise UserError(
            f"{file.name} is not laid out as COCO's: it {what}", "images, annotations and categories, with their ids"
        ) from error
    if len(set(categories.values())) < len(categories):
        table.faults.append(f"{file.name} has two categories of one name")
    names.update(dict.fromkeys(categories.values()))
    for number, text in pictures.items():
        problems: list[str] = []
        place = paths.below(text, problems)
        if place in seen:
            problems.append(f"duplicate file {place!r}")
        seen.add(place)
        table.problems.extend((0, f"{file.name}: {problem}") for problem in problems)
        if not problems:
            table.rows.append(Row(0, place, part, tuple(shown[number])))


def _is_field(error: KeyError) -> bool:
    return error.args[0] in (
        "categories",
        "images",
        "annotations",
        "id",
        "name",
        "file_name",
        "image_id",
        "category_id",
    )


def _json(file: Path) -> Mapping[str, Any]:
    try:
        document = read_json(file, hint="--labels FILE.json", most=LARGEST_TEXT)
    except Damaged as error:
        raise UserError(f"{file.name} is no JSON ({error.damage})", "--labels FILE.json") from error
    except OSError as error:
        raise UserError(f"{file.name} cannot be read ({error.strerror})", "--labels FILE.json") from error
    if not isinstance(document, dict):
        raise UserError(f"{file.name} is not laid out as COCO's", "images, annotations and categories, with their ids")
    return document


# -- Pascal VOC ---------------------------------------------------------------------------------------------------


def _annotations(path: Path) -> Path | None:
    """The folder with XML files, of those that a path may mean."""
    for folder in (path / "Annotations", path / "annotations", path):
        if folder.is_dir() and any(folder.glob("*.xml")):
            return folder
    return None


def _voc(path: Path, paths: FilePaths) -> Table:
    folder = _annotations(path)
    if folder is None:
        raise UserError(f"{path} has no folder Annotations with .xml files", "--labels VOCDIR")
    table = Table(path.name)
    parts = _voc_parts(folder.parent / "ImageSets" / "Main", table)
    left = 0
    for file in sorted(folder.glob("*.xml")):
        if parts and file.stem not in parts:
            left += 1
            continue
        problems: list[str] = []
        tree = ElementTree.TreeBuilder()
        try:
            read_xml(file, tree)
        except (Damaged, OSError) as error:
            table.problems.append(
                (0, error.message if isinstance(error, Damaged) else f"{file.name}: {error.strerror}")
            )
            continue
        root = tree.close()
        objects = [(one.findtext("name") or "").strip() for one in root.iter("object")]
        if not all(objects):
            problems.append("an object has no name")
        place = paths.below((root.findtext("filename") or file.stem).strip(), problems)
        table.problems.extend((0, f"{file.name}: {problem}") for problem in problems)
        if not problems:
            table.rows.append(Row(0, place, parts.get(file.stem), tuple(dict.fromkeys(objects))))
    if left:
        table.notes.append(f"{left} annotations are in no list of ImageSets/Main and were left out")
    table.notes.extend(paths.notes())
    return table


def _voc_parts(lists: Path, table: Table) -> dict[str, str]:
    """Image → part, as ImageSets/Main lists them; ``trainval`` counts where ``train`` is missing."""
    found: dict[str, str] = {}
    named = {part: lists / f"{part}.txt" for part in PARTS}
    if not named["train"].is_file():
        named["train"] = lists / "trainval.txt"
    for part, file in named.items():
        if file.is_file():
            for line in text_of(file).splitlines():
                if (words := line.split()) and found.setdefault(words[0], part) != part:
                    table.problems.append((0, f"{words[0]!r} is in {part}, and in {found[words[0]]}"))
    return found


# -- a folder a class ---------------------------------------------------------------------------------------------


def _folders(path: Path, paths: FilePaths) -> Table:
    """``DIR/CLASS/picture`` or ``DIR/PART/CLASS/picture``; pictures at the top show none of the classes."""
    table = Table(path.name)
    if not path.is_dir():
        raise UserError(f"{path} is no folder", "--format folder --images DIR")
    inside, others = pictures_below(path)
    pictures = [each.relative_to(path) for each in inside]
    if others:
        first = others[0].relative_to(path).as_posix()
        table.notes.append(
            f"{len(others)} file{'s' if len(others) > 1 else ''} without a picture left out (first: {first})"
        )
    tops = {each.parts[0] for each in pictures if len(each.parts) > 1}
    split = bool(tops) and all(top.lower() in _FOLDERS for top in tops)
    for each in pictures:
        parts = list(each.parts[:-1])
        part = _FOLDERS[parts.pop(0).lower()] if split and parts else None
        problems: list[str] = []
        place = paths.below(each.as_posix(), problems)
        table.problems.extend((0, problem) for problem in problems)
        if not problems:
            table.rows.append(Row(0, place, part, (parts[0],) if parts else ()))
    return table


_FOLDERS: Final = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test",
}  # fmt: skip
