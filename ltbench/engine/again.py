"""The command that repeats a recorded run."""

from __future__ import annotations

import shlex

from ltbench.engine.sizes import differs
from ltbench.method.extras import CLEAN_VALIDATION
from ltbench.method.local import typed_words
from ltbench.records.record import RunRecord


def again(record: RunRecord) -> str:
    """The command that repeats a run (its options aside, which its preset or the user knows)."""
    together = ["torchrun", "--nproc-per-node", str(record.world_size), "-m"] if record.world_size is not None else []
    words = [*together, "ltbench", "run", "--task", record.task.address, *typed_words(record.method.name)]
    words += ["--backbone", record.backbone.name, "--seed", str(record.seed)]
    if record.backbone.weights == "random":
        words += ["--weights", "random"]
    if differs(record.backbone.image_size, record.backbone.name):
        words += ["--image-size", str(record.backbone.image_size)]
    if record.backbone.dtype != "float32":
        words += ["--dtype", record.backbone.dtype]
    if record.share is not None:
        words += ["--share", f"{record.share:g}"]
    if record.accumulation is not None:
        words += ["--accumulate", str(record.accumulation)]
    if record.selection.rule == "validation":
        clean = ["--validation", "clean"] if CLEAN_VALIDATION in record.extras else []
        words += ["--selection", "validation", *clean]
    return shlex.join([*words, "--overwrite", "always"])
