"""Registers the official tasks, lazily: this module knows names and settings, ``official/`` knows the rest."""

from __future__ import annotations

from ltbench.plugin import TaskSpec, hookimpl

_SHAPES = "ltbench.tasks.official.shapes"
PLT_SETTINGS = ("mr0", "mr30", "mr40", "mr50")
PARTIAL_SETTINGS = tuple(f"p{share}" for share in range(10, 100, 10))


@hookimpl
def ltbench_tasks() -> list[TaskSpec]:
    """The tasks of the bundled data set."""
    return [
        TaskSpec(
            name="shapes-lt",
            target=f"{_SHAPES}:shapes_lt",
            summary="long-tailed: 1,100 rendered training images, 20 classes (6 head, 6 medium, 8 tail)",
            family="ltml",
            version=1,
            data_set="shapes",
        ),
        TaskSpec(
            name="shapes-plt",
            target=f"{_SHAPES}:shapes_plt",
            summary="shapes-lt with a share of its positive labels removed and no negatives",
            family="plt",
            version=1,
            data_set="shapes",
            settings=PLT_SETTINGS,
        ),
        TaskSpec(
            name="shapes-spml",
            target=f"{_SHAPES}:shapes_spml",
            summary="one positive label an image, 1,500 balanced training images",
            family="spml",
            version=1,
            data_set="shapes",
        ),
        TaskSpec(
            name="shapes-partial",
            target=f"{_SHAPES}:shapes_partial",
            summary="10 to 90 % of all labels known, 1,500 balanced training images",
            family="partial",
            version=1,
            data_set="shapes",
            settings=PARTIAL_SETTINGS,
        ),
        TaskSpec(
            name="shapes-zsl",
            target=f"{_SHAPES}:shapes_zsl",
            summary="14 seen classes in training, 6 more at test (ZSL and GZSL)",
            family="zero-shot",
            version=1,
            data_set="shapes",
        ),
        TaskSpec(
            name="shapes-micro",
            target=f"{_SHAPES}:shapes_micro",
            summary="48 images, 6 classes: for tests of methods, never ranked",
            family="ltml",
            version=1,
            data_set="shapes",
            ranked=False,
        ),
    ]
