"""What a tree of :mod:`ltbench.testing.trees` is to hold: ids, labels and texture, drawn from a seed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
from PIL import Image

from ltbench.data.formats.cub_names import CUB_ATTRIBUTES, CUB_CLASSES
from ltbench.data.formats.names import COCO_CLASSES, VG200_CLASSES, VOC_CLASSES
from ltbench.data.formats.nus_names import NUS_CLASSES, NUS_CONCEPTS, NUS_TAGS
from ltbench.plugin.errors import UserError

CLASSES: dict[str, tuple[str, ...]] = {
    "voc2007": VOC_CLASSES,
    "voc2012": VOC_CLASSES,
    "coco2014": COCO_CLASSES,
    "coco2017": COCO_CLASSES,
    "nus-wide": NUS_CLASSES,
    "vg-200": VG200_CLASSES,
    "cub": CUB_CLASSES,
}

FORMS = {
    "voc2007": r"\d{6}",
    "voc2012": r"\d{4}_\d{6}",
    "coco2014": r"COCO_(train|val)2014_\d{12}\.jpg",
    "coco2017": r"\d{12}\.jpg",
    "nus-wide": r"\w+/\w+\.jpg",
    "vg-200": r"\d+\.jpg",
    "cub": r"\d{3}\.[\w-]+/[\w-]+\.jpg",
}

_BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross", "004.Groove_billed_Ani")
_SUBJECTS = ("actor", "airplane", "beach", "castle", "zebra")


@dataclass(frozen=True)
class Plan:
    """Content of a tree.

    Attributes:
        ids: part → row ids.
        labels: row id → classes present, in column order.
        drawn: labels were drawn, so that some may be disputed.
        given: parts whose ids were given; they keep their order.
    """

    data_set: str
    root: Path
    ids: dict[str, tuple[str, ...]]
    labels: dict[str, tuple[str, ...]]
    drawn: bool
    image_size: tuple[int, int]
    seed: int
    given: frozenset[str] = frozenset()

    def random(self, *words: str) -> np.random.Generator:
        """Numbers of one image or file, whatever else the tree holds."""
        text = "|".join((self.data_set, str(self.seed), *words))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))

    def write_image(self, path: Path, name: str) -> None:
        """Random texture of an image as JPEG; the same seed and name give the same bytes."""
        width, height = self.image_size
        coarse = self.random("texture", name).integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(self.image_size, Image.Resampling.BICUBIC).save(path, "JPEG", quality=85)


def draw_plan(
    data_set: str,
    root: Path,
    images: Mapping[str, int | Sequence[str]],
    seed: int,
    labels: Mapping[str, Sequence[str]] | None,
    image_size: tuple[int, int],
) -> Plan:
    """Draw what is not given.

    Raises:
        UserError: an id has not the data set's form or stands twice, or a class is unknown.
    """
    fixed = {part: tuple(wanted) for part, wanted in images.items() if not isinstance(wanted, int)}
    taken = {name for names in fixed.values() for name in names}
    numbers = count(1)
    ids: dict[str, tuple[str, ...]] = {}
    for part, wanted in images.items():
        if isinstance(wanted, int):
            free = (name for number in numbers if (name := _draw_id(data_set, part, number, seed)) not in taken)
            ids[part] = tuple(islice(free, wanted))
        else:
            ids[part] = fixed[part]
    every = [name for names in ids.values() for name in names]
    wrong = [name for name in every if not re.fullmatch(FORMS[data_set], name)]
    if wrong or len(set(every)) != len(every):
        raise UserError(f"{data_set}: {wrong[0]!r} is no id of it" if wrong else f"{data_set}: an id stands twice")
    plan = Plan(data_set, root, ids, {}, labels is None, image_size, seed, frozenset(fixed))
    for place, name in enumerate(every):
        given = None if labels is None else labels.get(name)
        plan.labels[name] = _ordered(data_set, given) if given is not None else _draw_labels(plan, name, place)
    if labels is None and data_set.startswith("coco") and len(ids.get("val", ())) > 3:
        # As in the genuine data set, where 48 images of val2017 show none of the categories.
        plan.labels[ids["val"][-1]] = ()
    return plan


def _ordered(data_set: str, names: Sequence[str]) -> tuple[str, ...]:
    position = {name: column for column, name in enumerate(CLASSES[data_set])}
    strange = [name for name in names if name not in position]
    if strange:
        raise UserError(f"{data_set} has no class {strange[0]!r}")
    return tuple(sorted(set(names), key=position.__getitem__))


def _draw_labels(plan: Plan, name: str, place: int) -> tuple[str, ...]:
    """A few classes; classes take turns, so that each occurs once there are as many images as classes."""
    draw = plan.random("labels", name)
    classes = CLASSES[plan.data_set]
    if plan.data_set == "cub":
        return _ordered("cub", _draw_attributes(draw, place))
    main = NUS_CONCEPTS if plan.data_set == "nus-wide" else classes
    chosen = {main[place % len(main)], *draw.choice(main, size=int(draw.integers(0, 4))).tolist()}
    if plan.data_set == "nus-wide":
        chosen |= {NUS_TAGS[place % len(NUS_TAGS)], *draw.choice(NUS_TAGS, size=5).tolist()}
    return _ordered(plan.data_set, sorted(chosen))


def _draw_attributes(draw: np.random.Generator, place: int) -> list[str]:
    """One value of each kind of attribute, and one more that takes turns."""
    kinds: dict[str, list[str]] = {}
    for attribute, name in zip(CUB_ATTRIBUTES, CUB_CLASSES, strict=True):
        kinds.setdefault(attribute.partition("::")[0], []).append(name)
    return [str(draw.choice(values)) for values in kinds.values()] + [CUB_CLASSES[place % len(CUB_CLASSES)]]


def _draw_id(data_set: str, part: str, number: int, seed: int) -> str:
    """An id as the data set has them; ``number`` counts through the tree, so ids do not repeat."""
    photo = int(hashlib.sha256(f"{data_set}|{seed}|{number}".encode()).hexdigest()[:8], 16)
    if data_set == "voc2007":
        return f"{number:06d}"
    if data_set == "voc2012":
        return f"{2008 + photo % 4}_{number:06d}"
    if data_set == "coco2014":
        return f"COCO_{part}2014_{number * 17:012d}.jpg"
    if data_set == "coco2017":
        return f"{number * 17:012d}.jpg"
    if data_set == "nus-wide":
        return f"{_SUBJECTS[photo % len(_SUBJECTS)]}/{number:04d}_{photo}.jpg"
    if data_set == "vg-200":
        return f"{2315000 + number}.jpg"
    bird = _BIRDS[photo % len(_BIRDS)]
    return f"{bird}/{bird[4:]}_{number:04d}_{photo % 999999}.jpg"
