"""MS-COCO trees: ``coco/annotations`` with instances and captions, ``coco/train<year>`` and ``coco/val<year>``."""

from __future__ import annotations

import json
from typing import Any

from ltbench.data.formats.names import COCO_CATEGORY_IDS, COCO_CLASSES, COCO_GROUPS
from ltbench.testing._tree_plan import Plan

_CAPTIONS = ("A photo of {}.", "{} in a picture. ", "There is {}.", "Someone photographed {}.", "A view\nof {}.")


def write_coco(plan: Plan, year: str) -> dict[str, tuple[str, ...]]:
    """Write the tree; returns the classes of each image that only boxes without area show."""
    folder = plan.root / "coco"
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    disputed: dict[str, tuple[str, ...]] = {}
    for part, ids in plan.ids.items():
        images, annotations, captions = [], [], []
        for name in ids:
            number = int(name.removesuffix(".jpg").rpartition("_")[2])
            flat = _flat(plan, name)
            if flat:
                disputed[name] = flat
            images.append(_image(plan, name, number, part + year))
            annotations += [
                _annotation(plan, name, number, class_name, class_name in flat) for class_name in plan.labels[name]
            ]
            captions += [{"image_id": number, "caption": text} for text in _captions(plan.labels[name])]
            plan.write_image(folder / f"{part}{year}" / name, name)
        common: dict[str, Any] = {
            "info": {"description": f"texture in the format of COCO {year}", "year": int(year)},
            "licenses": [{"id": 1, "name": "none", "url": ""}],
            "images": images,
        }
        instances = {**common, "type": "instances", "annotations": _number(annotations), "categories": _categories()}
        _write(folder / "annotations" / f"instances_{part}{year}.json", instances)
        _write(
            folder / "annotations" / f"captions_{part}{year}.json",
            {**common, "type": "captions", "annotations": _number(captions)},
        )
    return disputed


def _write(path: Any, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document), encoding="utf-8", newline="\n")


def _number(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**annotation, "id": place} for place, annotation in enumerate(annotations, 1)]


def _flat(plan: Plan, name: str) -> tuple[str, ...]:
    """About one class in eight, but never all classes of an image."""
    if not plan.drawn:
        return ()
    draw = plan.random("flat", name)
    return tuple(class_name for class_name in plan.labels[name][1:] if draw.random() < 0.125)


def _image(plan: Plan, name: str, number: int, split: str) -> dict[str, Any]:
    width, height = plan.image_size
    return {
        "license": 1,
        "file_name": name,
        "coco_url": f"http://images.cocodataset.org/{split}/{name}",
        "height": height,
        "width": width,
        "date_captured": "2013-11-14 11:18:45",
        "flickr_url": "",
        "id": number,
    }


def _annotation(plan: Plan, name: str, number: int, class_name: str, flat: bool) -> dict[str, Any]:
    """One annotation; one in ten is a crowd, whose outline is run lengths instead of a polygon."""
    width, height = plan.image_size
    draw = plan.random("box", name, class_name)
    left, top = float(draw.integers(0, width // 2)), float(draw.integers(0, height // 2))
    wide, high = (
        (0.5, 0.5) if flat else (float(draw.integers(1, width // 2 + 1)), float(draw.integers(1, height // 2 + 1)))
    )
    crowd = bool(draw.random() < 0.1)
    right, bottom = left + wide, top + high
    polygon = [[left, top, right, top, right, bottom, left, bottom]]
    outline: Any = {"counts": [0, width * height], "size": [height, width]} if crowd else polygon
    return {
        "segmentation": outline,
        "area": wide * high,
        "iscrowd": int(crowd),
        "image_id": number,
        "bbox": [left, top, wide, high],
        "category_id": COCO_CATEGORY_IDS[COCO_CLASSES.index(class_name)],
    }


def _captions(names: tuple[str, ...]) -> list[str]:
    shown = " and ".join(f"a {name}" for name in names) or "a scene"
    return [text.format(shown) for text in _CAPTIONS]


def _categories() -> list[dict[str, Any]]:
    group = {name: title for title, members in COCO_GROUPS.items() for name in members}
    return [
        {"supercategory": group[name], "id": number, "name": name}
        for number, name in zip(COCO_CATEGORY_IDS, COCO_CLASSES, strict=True)
    ]
