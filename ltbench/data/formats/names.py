"""Class names in column order and label groups of Pascal VOC, MS-COCO and VG-200, as facts.

Orders: VOC alphabetical (as the development kit lists its classes), COCO by category id. Label groups are those of
HSPNet (jameslahm/HSPNet@d3467c9, ``super_labels*``), in the order of its files.
"""

from __future__ import annotations

VOC_CLASSES: tuple[str, ...] = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

#: HSPNet's 4 groups.
VOC_GROUPS: dict[str, tuple[str, ...]] = {
    "vehicles": ("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"),
    "household": ("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"),
    "animals": ("bird", "cat", "cow", "dog", "horse", "sheep"),
    "person": ("person",),
}

#: HSPNet's 12 groups, which are COCO's own supercategories; their members follow each other in category order.
COCO_GROUPS: dict[str, tuple[str, ...]] = {
    "person": ("person",),
    "vehicle": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "outdoor": ("traffic light", "fire hydrant", "stop sign", "parking meter", "bench"),
    "animal": ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "accessory": ("backpack", "umbrella", "handbag", "tie", "suitcase"),
    "sports": (
        *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
        *("surfboard", "tennis racket"),
    ),
    "kitchen": ("bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
    "food": (*("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake"),),
    "furniture": ("chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    "electronic": ("tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    "appliance": ("microwave", "oven", "toaster", "sink", "refrigerator"),
    "indoor": ("book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
}

COCO_CLASSES: tuple[str, ...] = tuple(name for members in COCO_GROUPS.values() for name in members)

#: Category ids of ``COCO_CLASSES``: 1 to 90 without the ten that were never released.
COCO_CATEGORY_IDS: tuple[int, ...] = tuple(
    number for number in range(1, 91) if number not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
)

#: The names of the 200 categories were never published, only their numbers; see ``ltbench.data.formats.vg200``.
VG200_CLASSES: tuple[str, ...] = tuple(f"category_{number:03d}" for number in range(200))
