"""What phase 1 and phase 2 get to see of a task; the only ways to open its rows."""

from ltbench.tasks.views.fingerprints import check_fingerprints, compare_fingerprints
from ltbench.tasks.views.phase1 import (
    Purpose,
    TestView,
    TrainView,
    caption_from_labels,
    has_groups,
    open_test,
    open_train,
    validation_labels,
)
from ltbench.tasks.views.rows import mask_namespace
from ltbench.tasks.views.truth import Truth, open_truth

__all__ = [
    "Purpose",
    "TestView",
    "TrainView",
    "Truth",
    "caption_from_labels",
    "check_fingerprints",
    "compare_fingerprints",
    "has_groups",
    "mask_namespace",
    "open_test",
    "open_train",
    "open_truth",
    "validation_labels",
]
