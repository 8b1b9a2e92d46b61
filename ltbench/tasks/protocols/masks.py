"""How labels are hidden: pure functions on arrays; our own draws are hashed, the published ones use RandomState.

Labels are int8 [N, C]: +1 present, -1 absent, 0 unknown. What is unknown in the complete labels stays unknown. Our own
draws depend on (rule, namespace, seed, image id, class) and on nothing else: neither on the order of the rows nor on
which other rows there are (``plt-mask-v1`` takes a share of each class, so there the other rows matter).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray

from ltbench.tasks.errors import ProtocolError

Labels = NDArray[np.int8]

PARTIAL_RULE = "partial-mask-v1"
SINGLE_POSITIVE_RULE = "single-positive-v1"
PLT_RULE = "plt-mask-v1"


def checked(complete: NDArray[np.signedinteger], ids: Sequence[str], class_names: Sequence[str]) -> Labels:
    """The labels as int8, after a look at shapes and values.

    Raises:
        ProtocolError: not a signed-integer matrix in {-1, 0, 1}, or ids or names that do not match it or repeat.
    """
    labels = np.asarray(complete)
    if labels.ndim != 2 or labels.dtype.kind != "i":
        raise ProtocolError(f"labels must be a signed-integer matrix [N, C], got {labels.dtype} {labels.shape}")
    if labels.shape != (len(ids), len(class_names)):
        raise ProtocolError(f"labels have shape {labels.shape} for {len(ids)} ids and {len(class_names)} class names")
    bad = np.argwhere((labels < -1) | (labels > 1))
    if bad.size:
        row, column = bad[0]
        raise ProtocolError(
            f"label {labels[row, column]} of image {ids[row]!r}, class {class_names[column]!r} is outside {{-1, 0, 1}}"
        )
    for what, names in (("image id", ids), ("class name", class_names)):
        if len(set(names)) != len(names):
            repeated = Counter(names).most_common(1)[0][0]
            raise ProtocolError(f"{what} {repeated!r} repeats; a mask could not tell the two apart")
    return labels.astype(np.int8)


def uniforms(
    rule: str, namespace: str, seed: int, ids: Sequence[str], class_names: Sequence[str]
) -> NDArray[np.float64]:
    """One number in [0, 1) per image and class, [N, C]: the top 53 bits of SHA-256("rule|namespace|seed|id|class")."""
    head = hashlib.sha256(f"{rule}|{namespace}|{seed}|".encode())
    tails = [f"|{name}".encode() for name in class_names]
    keys = np.empty((len(ids), len(tails)), dtype=np.uint64)
    for row, image_id in enumerate(ids):
        of_image = head.copy()
        of_image.update(image_id.encode())
        for column, tail in enumerate(tails):
            entry = of_image.copy()
            entry.update(tail)
            keys[row, column] = int.from_bytes(entry.digest()[:8], "big")
    # 53 bits are what a float64 holds exactly, so no key rounds up to 1 and a share of 1 keeps everything.
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def partial(
    complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int, share: float
) -> Labels:
    """Each entry is known with probability ``share``, present and absent alike; growing shares are nested."""
    known = uniforms(PARTIAL_RULE, namespace, seed, ids, class_names) < share
    return np.where(known, complete, 0).astype(np.int8)


def single_positive(
    complete: Labels, ids: Sequence[str], class_names: Sequence[str], namespace: str, seed: int
) -> Labels:
    """One present label of each image, the one with the least number; all else unknown."""
    drawn = np.where(complete == 1, uniforms(SINGLE_POSITIVE_RULE, namespace, seed, ids, class_names), np.inf)
    observed = np.zeros(complete.shape, dtype=np.int8)
    rows = np.flatnonzero((complete == 1).any(axis=1))
    observed[rows, np.argmin(drawn[rows], axis=1)] = 1
    return observed


def plt_mask(complete: Labels, ids: Sequence[str], namespace: str, seed: int, missing: float) -> Labels:
    """``plt-mask-v1``: of each class's n present labels the ⌊missing·n + ½⌋ with the lowest keys are hidden.

    The key of (image, class) is the first 8 bytes, big-endian, of SHA-256("plt-mask-v1|namespace|seed|number|id"), with
    the number of the class; equal keys go by id. Then every image left without a label gets back the hidden one with
    the highest key (ties: the smallest class number). Nested in ``missing`` before that repair only. Output is +1 and
    0, so that nothing shown tells an absent label from a hidden one. The keys are public, though: who computes them
    knows that what is not observed and has a higher key than something kept is absent.
    """
    positive = complete == 1
    observed: Labels = positive.astype(np.int8)
    keys: dict[tuple[int, int], bytes] = {}
    for column in range(complete.shape[1]):
        head = hashlib.sha256(f"{PLT_RULE}|{namespace}|{seed}|{column}|".encode())
        ranked: list[tuple[bytes, str, int]] = []
        for row in np.flatnonzero(positive[:, column]).tolist():
            entry = head.copy()
            entry.update(ids[row].encode())
            keys[row, column] = entry.digest()[:8]  # bytes of one length compare as the big-endian numbers they are
            ranked.append((keys[row, column], ids[row], row))
        # In decimal, because ⌊missing·n + ½⌋ is meant for the printed rate, not for its binary neighbour.
        hidden = int((Decimal(str(missing)) * len(ranked) + Decimal("0.5")).to_integral_value(ROUND_FLOOR))
        for _, _, row in sorted(ranked)[:hidden]:
            observed[row, column] = 0
    for row in np.flatnonzero(positive.any(axis=1) & ~observed.any(axis=1)).tolist():
        back = max((keys[row, column], -column) for column in np.flatnonzero(positive[row]).tolist())
        observed[row, -back[1]] = 1
    return observed


def hcp_partial(complete: Labels, seed: int, share: float) -> Labels:
    """The published draw of SST and SARB: entry known iff RandomState(seed).random_sample([N, C]) < share.

    It depends on the order of the rows; growing shares are nested. The papers' seed is 0. A share of 1 keeps all.
    """
    known = np.random.RandomState(seed).random_sample(complete.shape) < share
    return np.where(known, complete, 0).astype(np.int8)


def cole_observed(complete: Labels, seed: int, positives: int = 1, negatives: int = 0) -> Labels:
    """The published draw of Cole et al.: one RandomState(seed) goes through the rows in order.

    Per image the present class numbers are shuffled and the first ``positives`` kept; then the others are shuffled too
    and the first ``negatives`` kept, which uses up random numbers even where none is kept. The papers' seed is 1200.
    """
    generator = np.random.RandomState(seed)
    observed = np.zeros(complete.shape, dtype=np.int8)
    for row, labels in enumerate(complete):
        present, others = np.flatnonzero(labels == 1), np.flatnonzero(labels != 1)
        generator.shuffle(present)
        generator.shuffle(others)
        observed[row, present[:positives]] = 1
        observed[row, others[:negatives]] = -1
    return observed


def random_state_split(n: int, fraction: float = 0.2, seed: int = 1200) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The published training/validation split of Cole et al. and LargeLoss: (training rows, validation rows), sorted.

    The last round(fraction·n) of RandomState(seed).permutation(n) validate (numpy's rounding: halves to even).
    """
    order = np.random.RandomState(seed).permutation(n)
    held = int(np.round(fraction * n))
    return np.sort(order[: n - held]), np.sort(order[n - held :])
