"""Registers the official tasks, lazily: this module knows names and settings, ``official/`` knows the rest."""

from __future__ import annotations

from ltbench.plugin import TaskSpec, hookimpl

_SHAPES = "ltbench.tasks.official.shapes"
_NOT_OFFICIAL = "not an official task of any paper"
PLT_SETTINGS = ("mr0", "mr30", "mr40", "mr50")
PARTIAL_SETTINGS = tuple(f"p{share}" for share in range(10, 100, 10))
SPML_SETTINGS = ("largeloss", "splc")

#: Module of ``official``, family and settings of each group of tasks; then task, data set and summary.
_PAPERS: dict[tuple[str, str, tuple[str, ...]], tuple[tuple[str, str, str], ...]] = {
    ("ltml", "ltml", ()): (
        ("voc-lt", "voc2012", "long-tailed Pascal VOC: 1,142 training images, 20 classes (6 head, 6 medium, 8 tail)"),
        ("coco-lt", "coco2017", "long-tailed MS-COCO: 1,909 training images, 80 classes (22 head, 33 medium, 25 tail)"),
    ),
    ("plt", "plt", PLT_SETTINGS): (
        ("plt-voc", "voc2012", "long-tailed Pascal VOC with a share of its positive labels removed and no negatives"),
        ("plt-coco", "coco2017", "long-tailed MS-COCO with a share of its positive labels removed and no negatives"),
    ),
    ("spml", "spml", SPML_SETTINGS): (
        ("spml-voc", "voc2012", "Pascal VOC 2012, one positive label an image"),
        ("spml-coco", "coco2014", "MS-COCO 2014, one positive label an image"),
        ("spml-nus", "nus-wide", "NUS-WIDE, 81 concepts, one positive label an image"),
        ("spml-cub", "cub", "CUB-200-2011, 312 attributes, one positive label an image"),
    ),
    ("partial", "partial", PARTIAL_SETTINGS): (
        ("partial-voc2007", "voc2007", "Pascal VOC 2007, 10 to 90 % of all labels known"),
        ("partial-coco", "coco2014", "MS-COCO 2014, 10 to 90 % of all labels known"),
        ("partial-vg200", "vg-200", "Visual Genome, 200 classes, 10 to 90 % of all labels known"),
    ),
    ("zero_shot", "zero-shot", ()): (
        ("zsl-coco", "coco2014", "MS-COCO 2014: 48 seen classes in training, 17 more at test (ZSL and GZSL)"),
        ("zsl-nus", "nus-wide", "NUS-WIDE: 925 tags in training, 81 concepts more at test (ZSL and GZSL)"),
    ),
}

#: Task, family, settings and summary of the tasks that VOC2007's test archive alone serves.
_PHOTOS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("photos-lt", "ltml", (), "long-tailed: 1,141 training photographs, 20 classes (6 head, 6 medium, 8 tail)"),
    ("photos-plt", "plt", PLT_SETTINGS, "photos-lt with a share of its positive labels removed and no negatives"),
    ("photos-spml", "spml", (), "one positive label a photograph, 2,438 training photographs"),
    ("photos-partial", "partial", PARTIAL_SETTINGS, "10 to 90 % of all labels known, 2,438 training photographs"),
    ("photos-zsl", "zero-shot", (), "15 seen classes in training, 5 more at test, most of them among ImageNet's"),
    ("photos-micro", "ltml", (), "60 photographs, 6 classes: for a first try, never ranked"),
)


@hookimpl
def ltbench_tasks() -> list[TaskSpec]:
    """The tasks of the papers, and those of the bundled data set."""
    return [
        *(
            TaskSpec(
                name=name,
                target=f"ltbench.tasks.official.{module}:{name.replace('-', '_')}",
                summary=summary,
                family=family,
                version=1,
                data_set=data_set,
                settings=settings,
            )
            for (module, family, settings), tasks in _PAPERS.items()
            for name, data_set, summary in tasks
        ),
        *(
            TaskSpec(
                name=name,
                target=f"ltbench.tasks.official.photos:{name.replace('-', '_')}",
                summary=f"{summary} ({_NOT_OFFICIAL})",
                family=family,
                version=1,
                data_set="voc2007",
                settings=settings,
                ranked=name != "photos-micro",
            )
            for name, family, settings, summary in _PHOTOS
        ),
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
