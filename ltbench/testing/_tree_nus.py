"""NUS-WIDE trees: official lists with backslashes, one label file a concept, a line of 1,000 tags an image."""

from __future__ import annotations

from pathlib import Path

from ltbench.data.formats.nus_names import NUS_CONCEPTS, NUS_TAGS
from ltbench.testing._tree_plan import Plan

_NO_TAGS = {"computer", "fire", "map", "swimmers", "tattoo", "whales"}


def write_nus_wide(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Write the tree; no label of NUS-WIDE is disputed."""
    folder = plan.root / "NUS-WIDE"
    # The official list of all images is in the order of the names, whatever the parts.
    every = sorted(plan.labels)
    lists = {part.capitalize(): ids for part, ids in plan.ids.items()}
    plan.ids["all"] = tuple(every)
    for title, ids in {"": tuple(every), **lists}.items():
        _write(folder / "ImageList" / f"{title}Imagelist.txt", [name.replace("/", "\\") for name in ids])
    _write(folder / "ConceptsList" / "Concepts81.txt", NUS_CONCEPTS, "\r\n")
    _write_labels(plan, folder / "Groundtruth" / "AllLabels", every, "")
    for title, ids in lists.items():
        _write_labels(plan, folder / "Groundtruth" / "TrainTestLabels", ids, f"_{title}")
    # Concepts that are tags as well stand among the others in the official file; where does not matter here.
    tags = [*NUS_TAGS, *(name for name in NUS_CONCEPTS if name not in _NO_TAGS)]
    _write(folder / "NUS_WID_Tags" / "TagList1k.txt", tags, "\r\n")
    shown = [set(plan.labels[name]) for name in every]
    lines = ["\t".join("1" if tag in names else "0" for tag in tags) + "\t" for names in shown]
    _write(folder / "NUS_WID_Tags" / "AllTags1k.txt", lines, "\r\n")
    for name in every:
        plan.write_image(folder / "Flickr" / name, name)
    return {}


def _write_labels(plan: Plan, folder: Path, ids: tuple[str, ...] | list[str], suffix: str) -> None:
    shown = [set(plan.labels[name]) for name in ids]
    for concept in NUS_CONCEPTS:
        values = ["1" if concept in names else "0" for names in shown]
        _write(folder / f"Labels_{concept}{suffix}.txt", values)


def _write(path: Path, lines: list[str] | tuple[str, ...], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
