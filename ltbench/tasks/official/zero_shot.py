"""Zero-shot recognition: classes that training neither shows nor names. One run gives ZSL and GZSL."""

from __future__ import annotations

from ltbench.data.formats.names import COCO_CLASSES
from ltbench.data.formats.nus_names import NUS_CONCEPTS, NUS_TAGS
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import (
    COCO_LICENCE,
    COCO_UNPINNED,
    METRICS_ZERO_SHOT,
    NUS_LICENCE,
    NUS_UNPINNED,
    unpinned,
)
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.protocols import SeenOnly
from ltbench.tasks.task import Task, Validation

#: ZS_SDL's split, by name.
COCO_UNSEEN = (
    *("airplane", "bus", "cat", "dog", "cow", "elephant", "umbrella", "tie", "snowboard", "skateboard", "cup", "knife"),
    *("cake", "couch", "keyboard", "sink", "scissors"),
)
#: In neither part of the split.
COCO_DROPPED = (
    *("traffic light", "fire hydrant", "stop sign", "parking meter", "sports ball", "baseball bat", "baseball glove"),
    *(
        "tennis racket",
        "wine glass",
        "hot dog",
        "potted plant",
        "dining table",
        "cell phone",
        "teddy bear",
        "hair drier",
    ),
)
COCO_65 = tuple(name for name in COCO_CLASSES if name not in COCO_DROPPED)
COCO_SEEN = tuple(name for name in COCO_65 if name not in COCO_UNSEEN)

_ALL = ("train_ids", "observed_labels", "train_labels", "test_ids", "test_labels")
_NOTES = (
    "training keeps images that show at least one seen class, also where they show unseen ones: only their labels are "
    "left out",
    "ZSL ranks unseen classes alone, GZSL all of them; both are judged from the same logits",
    "F1@3_filtered, P@3_filtered and R@3_filtered leave out test images without a judged class (ZSL: an unseen one), "
    "as DualCoOp's test lists of NUS-WIDE do; they stand next to the metrics over every image and never rank",
)


def zsl_coco(setting: str | None = None) -> Task:
    """MS-COCO 2014 with 48 seen and 17 unseen classes."""
    return Task(
        name="zsl-coco",
        version=1,
        family="zero-shot",
        title="MS-COCO 2014, 48 seen and 17 unseen classes",
        data_set="coco2014",
        train_part="train",
        test_part="val",
        test_select="ltbench.tasks.official.rules:labelled",
        classes=COCO_65,
        unseen=COCO_UNSEEN,
        train_rows="any-seen",
        protocol=SeenOnly(seen=COCO_SEEN),
        groups=GroupRule.zero_shot(COCO_SEEN, COCO_UNSEEN),
        metrics=METRICS_ZERO_SHOT,
        headline="F1@3",
        # Every sixth seen class, fixed by position in the list, stands in for unseen ones while tuning.
        validation=Validation(kind="holdout", fraction=0.2, tuning_only=True, classes=COCO_SEEN[::6]),
        counts=pinned_counts("zero_shot", "zsl-coco", 1),
        fingerprints=pinned("zero_shot", "zsl-coco", 1),
        unpinned=unpinned(COCO_UNPINNED, *_ALL),
        notes=(
            "75,406 of the 82,081 annotated training images show a seen class (44,909 of them no unseen one)",
            "test keeps every image that shows one of the 65 classes; 15 of COCO's 80 classes are in neither list",
            *_NOTES,
        ),
        licence=COCO_LICENCE,
        traps=(
            "the printed methods keep different test images (labels per image, from their tables, GZSL: 2.57 DualCoOp, "
            "2.48 CONSE, Fast0Tag and Deep0Tag, 2.91 SDL): compare printed figures with none but their own",
            "top-k precision falls with every image kept that shows fewer than k classes",
            "published figures are those of the best epoch on the test set, for ZSL and GZSL apart",
        ),
    )


def zsl_nus(setting: str | None = None) -> Task:
    """NUS-WIDE with 925 tags as seen and the 81 concepts as unseen classes."""
    return Task(
        name="zsl-nus",
        version=1,
        family="zero-shot",
        title="NUS-WIDE, 925 seen tags and 81 unseen concepts",
        data_set="nus-wide",
        train_part="train",
        test_part="test",
        classes=(*NUS_TAGS, *NUS_CONCEPTS),
        unseen=NUS_CONCEPTS,
        train_rows="any-seen",
        protocol=SeenOnly(seen=NUS_TAGS),
        groups=GroupRule.zero_shot(NUS_TAGS, NUS_CONCEPTS),
        metrics=METRICS_ZERO_SHOT,
        headline="F1@3",
        validation=Validation(kind="holdout", fraction=0.1, tuning_only=True, classes=NUS_TAGS[::12]),
        counts=pinned_counts("zero_shot", "zsl-nus", 1),
        fingerprints=pinned("zero_shot", "zsl-nus", 1),
        unpinned=unpinned(NUS_UNPINNED, *_ALL),
        notes=(
            "seen classes are the 1,000 tags of Flickr's users without the 75 that are concepts, noisy; unseen ones "
            "are the 81 concepts, checked by people",
            "test keeps all 107,859 images of the official list, as LESA and BiAM do",
            *_NOTES,
        ),
        licence=NUS_LICENCE,
        traps=(
            "DualCoOp's test lists leave out images without any of the 81 concepts (2.42 labels an image in its ZSL "
            "table, against 1.875 of LESA and BiAM and 1.76 of SDL): its figures compare with neither",
            "30 pairs of names across the split differ in number only (animal, animals): unseen is not unheard of",
            "LESA and BiAM treat a concept that is a tag too as unknown where only the tag says it; here the checked "
            "concept alone counts",
            "Flickr no longer has all photographs; a run needs every image of its rows",
        ),
    )
