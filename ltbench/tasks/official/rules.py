"""Row rules of official tasks: ``(ids, labels int8 [N, C]) -> row numbers``, pure.

Tasks name them as ``ltbench.tasks.official.rules:<name>``.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ltbench.tasks.long_tail import long_tailed

Labels = NDArray[np.int8]

#: 32-bit words that drawing PLT-VOC takes from the generator. The published script draws PLT-COCO after it, from the
#: same stream.
PLT_VOC_WORDS = 5253
PLT_COCO_IMAGES = 2962


def voc_lt(ids: Sequence[str], labels: Labels) -> list[int]:
    """VOC-LT: reference counts from 800 down, Pareto exponent 6, seed 0; in the published order."""
    return long_tailed(labels, 800, 6, random.Random(0))


def plt_voc(ids: Sequence[str], labels: Labels) -> list[int]:
    """PLT-VOC: reference counts from 1,400 down, Pareto exponent 12, seed 0; sorted by id."""
    return sorted(long_tailed(labels, 1400, 12, random.Random(0)), key=lambda row: ids[row])


def plt_coco(ids: Sequence[str], labels: Labels) -> list[int]:
    """PLT-COCO: reference counts from 1,400 down, Pareto exponent 10; sorted by id.

    The published script draws it from the stream that PLT-VOC left. Which stream the paper's list came from cannot be
    told without that list, so the one that gives the paper's 2,962 images is taken: the shared one first, then a fresh
    one; where neither does, the shared one.
    """
    candidates = []
    for words in (PLT_VOC_WORDS, 0):
        generator = random.Random(0)
        for _ in range(words):
            generator.getrandbits(32)
        candidates.append(long_tailed(labels, 1400, 10, generator))
    chosen = next((rows for rows in candidates if len(rows) == PLT_COCO_IMAGES), candidates[0])
    return sorted(chosen, key=lambda row: ids[row])


def labelled(ids: Sequence[str], labels: Labels) -> list[int]:
    """Rows that show a class."""
    rows: list[int] = np.flatnonzero((labels == 1).any(axis=1)).tolist()
    return rows


def labelled_by_number(ids: Sequence[str], labels: Labels) -> list[int]:
    """Rows that show a class, by COCO image number sorted as text ("100" before "99"), as Cole et al. sort them."""
    return sorted(labelled(ids, labels), key=lambda row: str(int(ids[row].rpartition("_")[2].partition(".")[0])))


def by_id(ids: Sequence[str], labels: Labels) -> list[int]:
    """All rows, sorted by id."""
    return sorted(range(len(ids)), key=lambda row: ids[row])


def photos_micro_train(ids: Sequence[str], labels: Labels) -> list[int]:
    """40 rows that show a class, by hash of the id."""
    return _few(ids, labels, 40)


def photos_micro_test(ids: Sequence[str], labels: Labels) -> list[int]:
    """20 rows that show a class, by hash of the id."""
    return _few(ids, labels, 20)


def _few(ids: Sequence[str], labels: Labels, count: int) -> list[int]:
    drawn = sorted(labelled(ids, labels), key=lambda row: hashlib.sha256(f"photos-micro|{ids[row]}".encode()).digest())
    return sorted(drawn[:count])
