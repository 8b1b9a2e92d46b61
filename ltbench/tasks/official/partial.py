"""Partial labels: 10 to 90 % of all labels are known, drawn as SST and SARB draw them (HCP-MLR-PL)."""

from __future__ import annotations

from typing import Any

from ltbench.data.formats.names import COCO_CLASSES, VG200_CLASSES, VOC_CLASSES
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import (
    COCO_LICENCE,
    COCO_UNPINNED,
    METRICS,
    VG_LICENCE,
    VOC_LICENCE,
    published,
    unpinned,
)
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.overlap import SHOWN_TRAP
from ltbench.tasks.protocols import Partial
from ltbench.tasks.task import Task, Validation

_NOTE = (
    "a label is known where RandomState(0).random_sample([N, C]), rows in the order of the data set, is below the "
    "share: present and absent labels alike, and all that p10 knows p20 knows too"
)
_TRAPS = (
    "DualCoOp draws masks of its own without a seed, so they cannot be had again; they are not nested either",
    "known labels are about, not exactly, the nominal share, and some images may have none",
    "SST and SARB print interpolated AP, DualCoOp and HSPNet print it without interpolation; both choose the best "
    "epoch on the test set",
)
_LABELS = ("observed_labels", "train_labels", "test_labels", "groups")
_IDS = ("train_ids", "test_ids")


def _task(name: str, setting: str | None, title: str, **facts: Any) -> Task:
    assert setting is not None
    share = int(setting.removeprefix("p")) / 100
    facts["notes"] = (_NOTE, *facts.get("notes", ()))
    facts["traps"] = (*facts.get("traps", ()), *_TRAPS)
    return Task(
        name=name,
        version=1,
        family="partial",
        title=f"{title}, {share:.0%} of all labels known",
        setting=setting,
        protocol=Partial(share=share, draw="hcp"),
        unknown_policy=Partial.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS,
        validation=Validation(kind="holdout", fraction=0.1, tuning_only=True),
        captions="observed",
        counts=pinned_counts("partial", f"{name}@{setting}", 1),
        fingerprints=pinned("partial", f"{name}@{setting}", 1),
        **facts,
    )


def partial_voc2007(setting: str | None) -> Task:
    """VOC2007: trainval (5,011) for training, test (4,952)."""
    return _task(
        "partial-voc2007",
        setting,
        "Pascal VOC 2007",
        data_set="voc2007",
        train_part="trainval+difficult-negative",
        test_part="test+difficult-negative",
        classes=VOC_CLASSES,
        difficult="negative",
        unpinned=unpinned(
            "the annotations of VOC2007 trainval were not at hand when this version was pinned", "train_ids"
        )
        | unpinned('labels without "difficult" objects were not at hand when this version was pinned', *_LABELS),
        licence=VOC_LICENCE,
        traps=(
            'objects marked "difficult" are skipped, in training and test, as HCP-MLR-PL and DualCoOp do: an image '
            "that shows a class in difficult objects alone counts as showing it not. VOC-LT's test labels differ",
            SHOWN_TRAP,
        ),
    )


def partial_coco(setting: str | None) -> Task:
    """MS-COCO 2014: all 82,783 images of train2014 for training, all 40,504 of val2014 for test."""
    return _task(
        "partial-coco",
        setting,
        "MS-COCO 2014",
        data_set="coco2014",
        train_part="train",
        test_part="val",
        classes=COCO_CLASSES,
        notes=("version 1 takes all 82,783 and 40,504 images, in annotation order, as HCP-MLR-PL does",),
        unpinned=unpinned(COCO_UNPINNED, *_IDS, *_LABELS),
        licence=COCO_LICENCE,
        traps=(
            "DualCoOp leaves out images without an annotation (82,081 and 40,137 remain), HCP-MLR-PL keeps them; "
            "another number of rows is another draw for every row",
        ),
    )


def partial_vg200(setting: str | None) -> Task:
    """Visual Genome with 200 classes: 82,904 training and 10,000 test images."""
    return _task(
        "partial-vg200",
        setting,
        "VG-200",
        data_set="vg-200",
        train_part="train",
        test_part="test",
        classes=VG200_CLASSES,
        published=(
            published(
                "SSGRL",
                "data/VG/train_list_500.txt",
                "ad461b43d03218d88b1cf3e4bfa09d9b45d22989c604aacdbb255e889e61208b",
                983957,
                "train",
                "checks",
            ),
            published(
                "SSGRL",
                "data/VG/test_list_500.txt",
                "82454c6b6f78cd3ef9a26c7b86e6c2f2b9dc7147e4d2f39d7aedac9700b4876f",
                118596,
                "test",
                "checks",
            ),
        ),
        unpinned=unpinned("SSGRL's lists of images were not at hand when this version was pinned", *_IDS)
        | unpinned("the label file and the names of the 200 classes were never published", "class_names", *_LABELS),
        licence=VG_LICENCE,
        traps=(
            "the names of the 200 classes were never published (SSGRL issues 12 and 28): a method that reads class "
            "names learns nothing from category_000",
        ),
    )
