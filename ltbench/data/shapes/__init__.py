"""The bundled data set ``shapes``: scenes of twenty everyday objects, drawn by NumPy alone, the same everywhere."""

from ltbench.data.shapes.hashes import PART_SHA256
from ltbench.data.shapes.names import (
    CLASS_NAMES,
    LABEL_GROUPS,
    MICRO_CLASSES,
    SEEN_CLASSES,
    SYNONYMS,
    UNSEEN_CLASSES,
)
from ltbench.data.shapes.parts import PARTS, Part, labels_of, render
from ltbench.data.shapes.store import content_sha256, ensure_shapes

__all__ = [
    "CLASS_NAMES",
    "LABEL_GROUPS",
    "MICRO_CLASSES",
    "PARTS",
    "PART_SHA256",
    "SEEN_CLASSES",
    "SYNONYMS",
    "UNSEEN_CLASSES",
    "Part",
    "content_sha256",
    "ensure_shapes",
    "labels_of",
    "render",
]
