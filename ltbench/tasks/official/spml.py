"""One positive label an image (SPML) in the two setups of the field.

``largeloss`` follows Cole et al. and LargeLoss: a fifth of the official training images validates, with clean labels,
and the labels are drawn by RandomState(1200). ``splc`` follows SPLC and HSPNet: all training images, the single labels
of the files that they released, no validation.
"""

from __future__ import annotations

from typing import Any

from ltbench.data.formats.cub_names import CUB_CLASSES
from ltbench.data.formats.names import COCO_CLASSES, VOC_CLASSES
from ltbench.data.formats.nus_names import NUS_CONCEPTS
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import (
    COCO_LICENCE,
    COCO_UNPINNED,
    CUB_LICENCE,
    METRICS,
    NUS_LICENCE,
    NUS_UNPINNED,
    VOC_LICENCE,
    published,
    unpinned,
)
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.protocols import SinglePositive
from ltbench.tasks.task import PublishedFile, Task, Validation

_RULES = "ltbench.tasks.official.rules"
#: The seed of Cole et al., of their split as of their draw.
_SEED = 1200
_LARGELOSS_NOTE = (
    "a fifth of the official training images (RandomState(1200), their numpy permutation) validates with clean labels; "
    "one label of each image is drawn by another RandomState(1200) that goes through all of them before the split"
)
_SPLC_NOTE = (
    "all official training images, with the one label each that the authors' file gives; no validation in final runs"
)
_PEEK = "SPLC and HSPNet report the best epoch on the test set; a record here never looks at it"


def _task(name: str, setting: str | None, title: str, **facts: Any) -> Task:
    assert setting is not None
    largeloss = setting == "largeloss"
    protocol = SinglePositive(draw="cole" if largeloss else "published")
    shared: dict[str, Any] = {
        "name": name,
        "version": 1,
        "family": "spml",
        "title": f"{title}, one positive label an image ({setting} setup)",
        "setting": setting,
        "protocol": protocol,
        "mask_seed": _SEED if largeloss else 0,
        "unknown_policy": SinglePositive.unknown_policy,
        "groups": GroupRule(),
        "metrics": METRICS,
        "validation": Validation(kind="holdout", fraction=0.2, draw="cole")
        if largeloss
        else Validation(kind="holdout", fraction=0.2, tuning_only=True),
        "captions": "observed",
        "counts": pinned_counts("spml", f"{name}@{setting}", 1),
        "fingerprints": pinned("spml", f"{name}@{setting}", 1),
    }
    facts["notes"] = (_LARGELOSS_NOTE if largeloss else _SPLC_NOTE, *facts.get("notes", ()))
    facts["traps"] = (*facts.get("traps", ()), *(() if largeloss else (_PEEK,)))
    return Task(**{**shared, **facts})


_COCO_SINGLE = published(
    "HSPNet",
    "dataset/coco_train_singlelabel.txt",
    "302057b2d53b683ae7ad76a394beb0f58b4b3169cc7d04c52d4c975dbf0a965a",
    2845596,
    "observed",
)
_VOC_SINGLE = published(
    "HSPNet",
    "dataset/voc_train.txt",
    "66d120aeed92c5c2e688efa8bb2a21028a2e1a4a49badc53dec585fdd59f08d9",
    105938,
    "observed",
)
_VOC_TEST = published(
    "HSPNet",
    "dataset/voc_val.txt",
    "fb856b45cd15d0f5d34ba57697a64593aaf6264af53c6dbd989f7ce3d8573b62",
    115943,
    "test",
    "checks",
    labels=True,
)
_CUB_SINGLE = published(
    "HSPNet",
    "dataset/cub_train.txt",
    "b04838b067a2d6d718dc16ed64daad24229ea3c177277f9b4d730142d2023087",
    344615,
    "observed",
)
_CUB_TEST = published(
    "HSPNet",
    "dataset/cub_val.txt",
    "7c52c56088b0c7e4c4b76850c5795d844b80c025a868768c04cd5b17db675d40",
    978655,
    "test",
    labels=True,
)
_NUS_SINGLE = published(
    "SPLC",
    "dataset/nus_train_singlelabel.txt",
    None,
    None,
    "observed",
    unpinned="the file was missing from every copy of the authors' repositories at hand; a user's own serves",
)
_NUS_TEST = published(
    "HSPNet",
    "dataset/nus_val.txt",
    "0eece7a76cdb8377fbc8d271fdb71020b82dfe02ca31835c8a2ad08dbadd8435",
    2075174,
    "test",
    labels=True,
)


def _of(setting: str | None, *files: PublishedFile) -> tuple[PublishedFile, ...]:
    return files if setting == "splc" else ()


def spml_voc(setting: str | None) -> Task:
    """VOC2012: official train (5,717) for training, official val (5,823) for test."""
    splc = setting == "splc"
    part = "" if splc else "+difficult-negative"
    reason = 'labels without "difficult" objects were not at hand when this version was pinned'
    return _task(
        "spml-voc",
        setting,
        "Pascal VOC 2012",
        data_set="voc2012",
        train_part=f"train{part}",
        test_part=f"val{part}",
        select=None if splc else f"{_RULES}:by_id",
        test_select=None if splc else f"{_RULES}:by_id",
        classes=VOC_CLASSES,
        difficult="positive" if splc else "negative",
        published=_of(setting, _VOC_SINGLE, _VOC_TEST),
        unpinned={} if splc else unpinned(reason, "observed_labels", "train_labels", "test_labels", "groups"),
        licence=VOC_LICENCE,
        traps=(
            'HSPNet\'s files count objects marked "difficult" as present, those of Cole et al. as absent: the two '
            "settings have different test labels (8,856 positives in splc)",
        ),
    )


def spml_coco(setting: str | None) -> Task:
    """MS-COCO 2014: annotated images of train2014 (82,081) for training, of val2014 (40,137) for test."""
    splc = setting == "splc"
    return _task(
        "spml-coco",
        setting,
        "MS-COCO 2014",
        data_set="coco2014",
        train_part="train",
        test_part="val",
        select=None if splc else f"{_RULES}:labelled_by_number",
        test_select=f"{_RULES}:labelled" if splc else f"{_RULES}:labelled_by_number",
        classes=COCO_CLASSES,
        published=_of(setting, _COCO_SINGLE),
        notes=("images without an annotation are left out, in training and test",),
        unpinned=unpinned(COCO_UNPINNED, "train_labels", "test_ids", "test_labels", "groups"),
        licence=COCO_LICENCE,
        traps=(
            "the single labels of the two settings are different draws: they agree on a third of the images with "
            "several labels",
            'Cole et al. sort images by their number as text ("100" before "99"), and the draw goes by that order',
        ),
    )


def spml_cub(setting: str | None) -> Task:
    """CUB-200-2011 with 312 attributes: 5,994 training and 5,794 test images."""
    splc = setting == "splc"
    reason = "the attributes of CUB-200-2011 were not at hand when this version was pinned"
    known = ("train_labels", "groups") if splc else ("observed_labels", "train_labels", "test_labels", "groups")
    return _task(
        "spml-cub",
        setting,
        "CUB-200-2011 attributes",
        data_set="cub",
        train_part="train",
        test_part="test",
        classes=CUB_CLASSES,
        published=_of(setting, _CUB_SINGLE, _CUB_TEST),
        unpinned=unpinned(reason, *known),
        licence=CUB_LICENCE,
        traps=(
            "22 attributes never occur as the single label of the published file",
            'class names are HSPNet\'s short ones, which drop the kind of attribute ("curved bill" is a shape)',
        ),
    )


def spml_nus(setting: str | None) -> Task:
    """NUS-WIDE, 81 concepts."""
    splc = setting == "splc"
    everything = ("train_ids", "observed_labels", "train_labels", "val_ids", "test_ids", "test_labels", "groups")
    if splc:
        reasons = unpinned(_NUS_SINGLE.unpinned, "train_ids", "observed_labels", "train_labels", "groups")
        reasons |= unpinned("row ids are those of NUS-WIDE's own lists, which were not at hand", "test_ids")
    else:
        reasons = unpinned(
            f"the files of Cole et al. come from photographs fetched anew, and {NUS_UNPINNED}", *everything
        )
    return _task(
        "spml-nus",
        setting,
        "NUS-WIDE",
        data_set="nus-wide",
        train_part="all+concepts" if splc else "train+concepts",
        test_part="all+concepts" if splc else "test+concepts",
        select=None if splc else f"{_RULES}:labelled",
        test_select=None if splc else f"{_RULES}:labelled",
        classes=NUS_CONCEPTS,
        published=_of(setting, _NUS_SINGLE, _NUS_TEST),
        notes=(
            ("training images are those of the authors' file (119,103), test images those of theirs (50,720)",)
            if splc
            else (
                "a construction of our own: labelled images of the official lists (the 150,000 and 60,260 of Cole et "
                "al. cannot be had), split and drawn in their manner",
            )
        ),
        unpinned=reasons,
        licence=NUS_LICENCE,
        traps=(
            'lists called "nus" with 119,103 and 50,720 rows exist for another subset with other classes in another '
            "order (ContrastiveLossMLML)",
            "Flickr no longer has all photographs; a run needs every image of its rows",
        ),
    )
