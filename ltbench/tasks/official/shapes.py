"""The tasks of the bundled data set ``shapes``: one for each family, small enough to run in a minute on a CPU."""

from __future__ import annotations

from ltbench.data.shapes.names import CLASS_NAMES, MICRO_CLASSES, SEEN_CLASSES, UNSEEN_CLASSES
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import FILTERED, PUBLIC_MASK_TRAP
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.protocols import Full, Partial, Plt, SeenOnly, SinglePositive
from ltbench.tasks.task import Task, Validation

LICENCE = "MIT (rendered by ltbench)"
METRICS = ("mAP", "mAP_softmax", "CP", "CR", "CF1", "OP", "OR", "OF1")
VALIDATION = Validation(kind="part", part="val", labels="clean")
PRETRAINING_TRAP = (
    "tiny-clip saw all 20 class names while it was pre-trained, so zero-shot rows mean less than on photographs"
)


def shapes_lt(setting: str | None = None) -> Task:
    """Long-tailed recognition with complete labels and captions."""
    return Task(
        name="shapes-lt",
        version=1,
        family="ltml",
        title="Long-tailed shapes",
        data_set="shapes",
        train_part="train-lt",
        test_part="test",
        classes=CLASS_NAMES,
        protocol=Full(),
        groups=GroupRule(),
        metrics=METRICS,
        validation=VALIDATION,
        captions="given",
        counts=pinned_counts("shapes", "shapes-lt", 1),
        fingerprints=pinned("shapes", "shapes-lt", 1),
        licence=LICENCE,
        traps=("validation is balanced while training is long-tailed, as the test part is", PRETRAINING_TRAP),
    )


def shapes_plt(setting: str | None) -> Task:
    """Partial labels on the long tail: ``mr40`` removes 40 % of the positive labels; negatives are never observed."""
    assert setting is not None
    missing = int(setting.removeprefix("mr")) / 100
    return Task(
        name="shapes-plt",
        version=1,
        family="plt",
        title=f"Long-tailed shapes, {missing:.0%} of the positive labels missing",
        setting=setting,
        data_set="shapes",
        train_part="train-lt",
        test_part="test",
        classes=CLASS_NAMES,
        protocol=Plt(missing=missing),
        unknown_policy=Plt.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS,
        validation=VALIDATION,
        captions="observed",
        counts=pinned_counts("shapes", f"shapes-plt@{setting}", 1),
        fingerprints=pinned("shapes", f"shapes-plt@{setting}", 1),
        licence=LICENCE,
        traps=(
            "head, medium and tail come from observed counts, so they shift with the setting; head_fixed, medium_fixed "
            "and tail_fixed do not",
            "captions are made from observed labels: the rendered ones would name what the mask hides",
            PUBLIC_MASK_TRAP,
            PRETRAINING_TRAP,
        ),
    )


def shapes_spml(setting: str | None = None) -> Task:
    """One positive label an image, everything else unknown."""
    return Task(
        name="shapes-spml",
        version=1,
        family="spml",
        title="Balanced shapes, one positive label an image",
        data_set="shapes",
        train_part="train-uniform",
        test_part="test",
        classes=CLASS_NAMES,
        protocol=SinglePositive(),
        unknown_policy=SinglePositive.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS,
        validation=VALIDATION,
        captions="observed",
        counts=pinned_counts("shapes", "shapes-spml", 1),
        fingerprints=pinned("shapes", "shapes-spml", 1),
        licence=LICENCE,
        traps=(PUBLIC_MASK_TRAP, PRETRAINING_TRAP),
    )


def shapes_partial(setting: str | None) -> Task:
    """A share of all labels is known: ``p30`` knows 30 % of them, and all that ``p20`` knows."""
    assert setting is not None
    share = int(setting.removeprefix("p")) / 100
    return Task(
        name="shapes-partial",
        version=1,
        family="partial",
        title=f"Balanced shapes, {share:.0%} of all labels known",
        setting=setting,
        data_set="shapes",
        train_part="train-uniform",
        test_part="test",
        classes=CLASS_NAMES,
        protocol=Partial(share=share),
        unknown_policy=Partial.unknown_policy,
        groups=GroupRule(),
        metrics=METRICS,
        validation=VALIDATION,
        captions="observed",
        counts=pinned_counts("shapes", f"shapes-partial@{setting}", 1),
        fingerprints=pinned("shapes", f"shapes-partial@{setting}", 1),
        licence=LICENCE,
        traps=("masks of growing share are nested: p30 knows everything that p20 knows", PRETRAINING_TRAP),
    )


def shapes_zsl(setting: str | None = None) -> Task:
    """Zero-shot: no training image shows an unseen class; the Judge derives ZSL and GZSL by column."""
    return Task(
        name="shapes-zsl",
        version=1,
        family="zero-shot",
        title="Shapes with six classes that training never shows",
        data_set="shapes",
        train_part="train-uniform",
        test_part="test",
        classes=CLASS_NAMES,
        unseen=UNSEEN_CLASSES,
        train_rows="seen-only",
        protocol=SeenOnly(seen=SEEN_CLASSES),
        groups=GroupRule.zero_shot(SEEN_CLASSES, UNSEEN_CLASSES),
        metrics=("mAP", "P@3", "R@3", "F1@3", *FILTERED),
        # Three seen classes, fixed once by position in the list, stand in for unseen ones while tuning.
        validation=Validation(kind="part", part="val", labels="clean", classes=SEEN_CLASSES[::5]),
        captions="none",
        counts=pinned_counts("shapes", "shapes-zsl", 1),
        fingerprints=pinned("shapes", "shapes-zsl", 1),
        licence=LICENCE,
        traps=(
            "training rows that show an unseen object are left out, not just their labels",
            "test keeps every image, also those that show seen classes only",
            PRETRAINING_TRAP,
        ),
    )


def shapes_micro(setting: str | None = None) -> Task:
    """48 images for conformance tests; the numbers mean nothing."""
    return Task(
        name="shapes-micro",
        version=1,
        family="ltml",
        title="48 shapes for tests of methods",
        data_set="shapes",
        train_part="micro-train",
        test_part="micro-test",
        classes=MICRO_CLASSES,
        protocol=Full(),
        groups=GroupRule(),
        metrics=METRICS,
        validation=Validation(kind="holdout", fraction=0.25, labels="clean"),
        captions="given",
        counts=pinned_counts("shapes", "shapes-micro", 1),
        fingerprints=pinned("shapes", "shapes-micro", 1),
        ranked=False,
        licence=LICENCE,
        traps=("never ranked: 16 test images decide nothing",),
    )
