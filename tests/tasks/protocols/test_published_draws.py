"""Masks that others published, drawn again: PLT, HCP, Cole et al., and a split."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from ltbench.tasks.protocols import Partial, Plt, SinglePositive, masks
from tests.conftest import SHARED
from tests.tasks.protocols.protocol_toys import observe


def shared(path: str) -> Path:
    if not (SHARED / path).is_file():
        pytest.skip(f"reference file not found (../shared/{path})")
    return SHARED / path


def test_plt_voc_is_the_reference_construction() -> None:
    facts = json.loads(shared("reference/plt_voc_construction.json").read_text())
    ids = shared("data/plt_voc_ids_sorted.txt").read_text().split()
    with np.load(shared("data/voc2012_trainval_labels.npz")) as archive:
        row = {image: i for i, image in enumerate(archive["ids"].tolist())}
        labels = np.where(archive["labels"][[row[i] for i in ids]] == 1, 1, -1).astype(np.int8)
    assert (labels == 1).sum(axis=0).tolist() == facts["full_counts"]
    for rate in (0.3, 0.4, 0.5):
        observed = Plt(missing=rate).apply(labels, ids, facts["class_order"], "voc2012", 0)
        expected = facts[f"rate{rate}"]
        assert observed.sum(axis=0).tolist() == expected["counts"]
        assert int((observed == 0).all(axis=1).sum()) == expected["empty"]
        digest = hashlib.sha256(observed.astype(np.uint8).tobytes()).hexdigest()
        assert digest == expected["mask_uint8_rowmajor_sha256"]


def test_hcp_draw_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/hcp_partial_label_masks.npz")) as archive:
        labels = archive["toy_7x5__labels"].astype(np.int8)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            found = observe(Partial(share=share, draw="hcp"), labels)
            np.testing.assert_array_equal(found, archive[f"toy_7x5__p{share}"])


def test_hcp_draw_of_voc2007_has_the_published_hash() -> None:
    facts = json.loads(shared("golden/limited-labels/hcp_label_masks.json").read_text())["voc07_trainval"]
    for share, fact in facts.items():
        known = masks.hcp_partial(np.ones((5011, 20), dtype=np.int8), 0, float(share)) == 1
        assert int(known.sum()) == fact["known"]
        assert hashlib.sha256(np.packbits(known).tobytes()).hexdigest() == fact["sha256_packbits"]


def test_cole_draw_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/spml_observe_toy.npz")) as archive:
        labels = archive["labels_pm1"].astype(np.int8)
        one = observe(SinglePositive(draw="cole"), labels, seed=1200)
        np.testing.assert_array_equal(one, archive["observed_pos1_neg0"])
        more = masks.cole_observed(labels, 1200, positives=2, negatives=1)
        np.testing.assert_array_equal(more, archive["observed_pos2_neg1"])


def test_split_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/spml_train_val_split.npz")) as archive:
        for name, n in (("coco", 82081), ("cub", 5994), ("toy", 23)):
            training, validation = masks.random_state_split(n)
            np.testing.assert_array_equal(validation, archive[f"{name}__val_idx"])
            np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(n))
