"""Partial labels on the long tail: PLT-VOC and PLT-COCO of COMIC, with masks of our own (``plt-mask-v1``).

The authors' masks were never published, so no record here is comparable with the tables of their paper.
"""

from __future__ import annotations

from ltbench.data.formats.names import COCO_CLASSES, VOC_CLASSES
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import (
    COCO_LICENCE,
    COCO_UNPINNED,
    METRICS_PLT,
    PUBLIC_MASK_TRAP,
    VOC_LICENCE,
    published,
    unpinned,
)
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.overlap import SHOWN_TRAP
from ltbench.tasks.protocols import Plt
from ltbench.tasks.task import Task, Validation

_COMMON_TRAPS = (
    "head, medium and tail come from observed counts, so they shift with the setting; head_fixed, medium_fixed and "
    "tail_fixed do not",
    "the realised share of hidden labels is below the nominal one, since an image left without a label gets one back",
    "captions are made from observed labels: true ones would name what the mask hides",
    PUBLIC_MASK_TRAP,
    "the authors' masks, seeds and image lists were never published: figures of their paper are shown, not compared",
)

_VOC_TEST = published(
    "LMPT",
    "data/voc/voc_lt_test.txt",
    "43b2929a86e9fe685cdf3b6b72fb90b6838ff9f9f427807e8b9502111e73750a",
    217854,
    "test",
    "checks",
    labels=True,
)
_COCO_TEST = published(
    "COMIC",
    "dataset/coco/longtail2017/val_img_id.txt",
    "3da7ca6378d3a26ca77793f040a64ef4eac55d7ff4e30bd8cd7d69f45911cb2d",
    34037,
    "test",
    "checks",
)


def _missing(setting: str | None) -> float:
    assert setting is not None
    return int(setting.removeprefix("mr")) / 100


def plt_voc(setting: str | None) -> Task:
    """PLT-VOC: 2,569 training images of VOC2012; ``mr40`` hides 40 % of each class's labels before the repair."""
    missing = _missing(setting)
    return Task(
        name="plt-voc",
        version=1,
        family="plt",
        title=f"Long-tailed Pascal VOC, {missing:.0%} of the positive labels missing",
        setting=setting,
        data_set="voc2012",
        test_data_set="voc2007",
        train_part="trainval",
        test_part="test",
        select="ltbench.tasks.official.rules:plt_voc",
        classes=VOC_CLASSES,
        difficult="positive",
        protocol=Plt(missing=missing),
        mask_namespace="voc2012",
        unknown_policy=Plt.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS_PLT,
        validation=Validation(kind="part", part="trainval", unused=1000),
        captions="observed",
        published=(_VOC_TEST,),
        notes=(
            "training rows are rebuilt from the annotations of VOC2012 trainval by the generator of VOC-LT (reference "
            "counts from 1,400 down, Pareto exponent 12, Python's random.seed(0)), sorted by id: the paper's 2,569 "
            "images",
            "masks are plt-mask-v1 with tag voc2012 and seed 0: of each class's n labels those with the lowest hash "
            "keys are hidden, then every image without a label gets one back",
        ),
        counts=pinned_counts("plt", f"plt-voc@{setting}", 1),
        fingerprints=pinned("plt", f"plt-voc@{setting}", 1),
        licence=VOC_LICENCE,
        traps=(
            "the list in the authors' repository has 2,830 images: an earlier draw (1600, 10), not the paper's",
            'objects marked "difficult" count as present, in training and test; the authors\' label vectors leave them '
            "out, and then images with difficult objects alone have no label at all",
            "the authors list classes by superclass (person, bird, cat …); here they are in alphabetical order",
            *_COMMON_TRAPS,
            SHOWN_TRAP,
        ),
    )


def plt_coco(setting: str | None) -> Task:
    """PLT-COCO: a long-tailed subset of train2017 drawn like PLT-VOC; 5,000 test images of val2017."""
    missing = _missing(setting)
    return Task(
        name="plt-coco",
        version=1,
        family="plt",
        title=f"Long-tailed MS-COCO, {missing:.0%} of the positive labels missing",
        setting=setting,
        data_set="coco2017",
        train_part="train+valid-boxes",
        test_part="val",
        select="ltbench.tasks.official.rules:plt_coco",
        classes=COCO_CLASSES,
        protocol=Plt(missing=missing),
        mask_namespace="coco2017",
        unknown_policy=Plt.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS_PLT,
        validation=Validation(kind="part", part="train+valid-boxes", unused=2000),
        captions="observed",
        published=(_COCO_TEST,),
        notes=(
            "training rows are drawn from train2017 in annotation order by the generator of VOC-LT (reference counts "
            "from 1,400 down, Pareto exponent 10), continuing the random stream that PLT-VOC leaves, as the published "
            "script does; if that does not give the paper's 2,962 images and a fresh stream does, the fresh one is "
            "taken",
            "masks are plt-mask-v1 with tag coco2017 and seed 0",
        ),
        counts=pinned_counts("plt", f"plt-coco@{setting}", 1),
        fingerprints=pinned("plt", f"plt-coco@{setting}", 1),
        unpinned=unpinned(
            f"the order of images in instances_train2017.json decides the draw, and {COCO_UNPINNED}",
            *("train_ids", "observed_labels", "train_labels", "val_ids", "groups"),
        )
        | unpinned(COCO_UNPINNED, "test_ids", "test_labels"),
        licence=COCO_LICENCE,
        traps=(
            "img_id.txt in the authors' repository lists the 1,909 images of COCO-LT, the paper speaks of 2,962",
            "class_split.pkl there (43/31/6) does not fit distribution.txt (25/29/26)",
            "48 of the 5,000 test images show no class and are kept",
            *_COMMON_TRAPS,
        ),
    )
