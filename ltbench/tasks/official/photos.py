"""Tasks on real photographs that one archive of 451 MB holds: VOC2007's official test part, split by hash of the id.

One split serves all of them, so that what is learned for one task was never tested in another. They are no tasks of any
paper; their photographs are the test part of ``voc-lt``, ``plt-voc`` and ``partial-voc2007``.
"""

from __future__ import annotations

from typing import Any, Final

from ltbench.data.formats.names import VOC_CLASSES
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.official.common import FILTERED, METRICS_LT, PUBLIC_MASK_TRAP, VOC_LICENCE
from ltbench.tasks.official.pins import pinned, pinned_counts
from ltbench.tasks.overlap import tasks_tested_on
from ltbench.tasks.protocols import Full, Partial, Plt, SeenOnly, SinglePositive
from ltbench.tasks.task import Task, Validation

_RULES = "ltbench.tasks.official.rules"
#: Every fourth class of the alphabet, fixed by position.
UNSEEN: Final = VOC_CLASSES[3::4]
SEEN: Final = tuple(name for name in VOC_CLASSES if name not in UNSEEN)
#: What the 60 photographs of ``photos-micro`` show often enough to be judged.
MICRO: Final = ("car", "cat", "chair", "dog", "horse", "person")

_SPLIT = (
    "photographs are split by a hash of their id, the same for all photos-* tasks: 2,438 to train on, 506 to validate, "
    "2,008 to test"
)
_TAIL = (
    "training rows are drawn by the generator of VOC-LT with its own settings (reference counts from 800 down, Pareto "
    "exponent 6, Python's random.seed(0)) from the 2,438"
)
_CAPTIONS = "captions are made from observed labels: nobody wrote any"
_DIFFICULT = (
    'objects marked "difficult" count as present in training; a class that only they show is not judged at test, as in '
    "the development kit, so that test labels differ from those of voc-lt"
)
_ELSEWHERE = (
    f"these photographs are the test part of {', '.join(tasks_tested_on('photos-lt'))}: what was trained, tuned or "
    "chosen here is never ranked there"
)
_IMAGENET = (
    "most of the 20 classes are among ImageNet's thousand, and so among what an encoder with ImageNet weights was "
    "taught with labels"
)


def _task(name: str, family: str, title: str, setting: str | None = None, **facts: Any) -> Task:
    address = name if setting is None else f"{name}@{setting}"
    shared: dict[str, Any] = {
        "name": name,
        "version": 1,
        "family": family,
        "title": f"{title}; not an official task of any paper",
        "setting": setting,
        "data_set": "voc2007",
        "train_part": "test+photos-train",
        "test_part": "test+photos-test+difficult-unknown",
        "classes": VOC_CLASSES,
        "difficult": "unjudged",
        "groups": GroupRule(),
        "metrics": METRICS_LT,
        "contract": 2,
        "validation": Validation(kind="part", part="test+photos-val+difficult-unknown", labels="clean"),
        "captions": "observed",
        "counts": pinned_counts("photos", address, 1),
        "fingerprints": pinned("photos", address, 1),
        "licence": VOC_LICENCE,
    }
    notes = (_SPLIT, *facts.pop("notes", ()), *(() if facts.get("captions") == "none" else (_CAPTIONS,)))
    traps = (_ELSEWHERE, _DIFFICULT, *facts.pop("traps", ()), _IMAGENET)
    return Task(**{**shared, **facts, "notes": notes, "traps": traps})


def photos_lt(setting: str | None = None) -> Task:
    """Long-tailed recognition: 1,141 photographs, 6 head, 6 medium and 8 tail classes, as in VOC-LT."""
    return _task(
        "photos-lt",
        "ltml",
        "Long-tailed photographs of VOC2007's test part",
        select=f"{_RULES}:voc_lt",
        protocol=Full(),
        notes=(_TAIL,),
        traps=("validation is as the archive is while training is long-tailed",),
    )


def photos_plt(setting: str | None) -> Task:
    """Partial labels on the long tail: ``mr40`` removes 40 % of the positive labels; negatives are never observed."""
    assert setting is not None
    missing = int(setting.removeprefix("mr")) / 100
    return _task(
        "photos-plt",
        "plt",
        f"Long-tailed photographs of VOC2007's test part, {missing:.0%} of the positive labels missing",
        setting,
        select=f"{_RULES}:voc_lt",
        protocol=Plt(missing=missing),
        unknown_policy=Plt.unknown_policy,
        notes=(_TAIL,),
        traps=(
            "head, medium and tail come from observed counts, so they shift with the setting; head_fixed, medium_fixed "
            "and tail_fixed do not",
            PUBLIC_MASK_TRAP,
        ),
    )


def photos_spml(setting: str | None = None) -> Task:
    """One positive label a photograph, everything else unknown."""
    return _task(
        "photos-spml",
        "spml",
        "Photographs of VOC2007's test part, one positive label each",
        protocol=SinglePositive(),
        unknown_policy=SinglePositive.unknown_policy,
        traps=(PUBLIC_MASK_TRAP,),
    )


def photos_partial(setting: str | None) -> Task:
    """A share of all labels is known: ``p30`` knows 30 % of them, and all that ``p20`` knows."""
    assert setting is not None
    share = int(setting.removeprefix("p")) / 100
    return _task(
        "photos-partial",
        "partial",
        f"Photographs of VOC2007's test part, {share:.0%} of all labels known",
        setting,
        protocol=Partial(share=share),
        unknown_policy=Partial.unknown_policy,
        traps=("masks of growing share are nested: p30 knows everything that p20 knows",),
    )


def photos_zsl(setting: str | None = None) -> Task:
    """Zero-shot: no training photograph shows an unseen class; the Judge derives ZSL and GZSL by column."""
    return _task(
        "photos-zsl",
        "zero-shot",
        "Photographs of VOC2007's test part with five classes that training never shows, most of them among ImageNet's",
        unseen=UNSEEN,
        train_rows="seen-only",
        protocol=SeenOnly(seen=SEEN),
        groups=GroupRule.zero_shot(SEEN, UNSEEN),
        metrics=("mAP", "P@3", "R@3", "F1@3", *FILTERED),
        # Three seen classes, fixed by position in the list, stand in for unseen ones while tuning.
        validation=Validation(
            kind="part", part="test+photos-val+difficult-unknown", labels="clean", classes=SEEN[1::6]
        ),
        captions="none",
        notes=(
            f"unseen classes are every fourth of the alphabet ({', '.join(UNSEEN)}); training rows that show one, "
            'also as a "difficult" object, are left out, test keeps every photograph',
        ),
        traps=(
            "unseen is what the method was never shown: an encoder with ImageNet weights was taught boats, cats, dogs, "
            "flower pots and screens with labels",
        ),
    )


def photos_micro(setting: str | None = None) -> Task:
    """60 photographs for a first try on real pictures; the numbers mean nothing."""
    return _task(
        "photos-micro",
        "ltml",
        "60 photographs of VOC2007's test part for a first try",
        select=f"{_RULES}:photos_micro_train",
        test_select=f"{_RULES}:photos_micro_test",
        classes=MICRO,
        protocol=Full(),
        validation=Validation(kind="holdout", fraction=0.25, labels="clean"),
        notes=("40 photographs to train and validate on and 20 to test that show one of six common classes, by hash",),
        traps=("never ranked: 20 test images decide nothing",),
        ranked=False,
    )
