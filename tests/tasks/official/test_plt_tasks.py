"""PLT-VOC against its construction; PLT-COCO as far as it can be known."""

from __future__ import annotations

import hashlib
import json
import random
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.tasks.official.plt import plt_coco, plt_voc
from ltbench.tasks.official.rules import PLT_VOC_WORDS
from ltbench.tasks.official.rules import plt_coco as plt_coco_rows
from ltbench.tasks.views import check_fingerprints, open_train, open_truth
from tests.conftest import SHARED
from tests.tasks.official import official_facts as facts


@pytest.fixture(scope="module")
def construction() -> dict[str, Any]:
    if not SHARED.is_dir():
        pytest.skip("needs the reference data, which are not part of the project")
    found: dict[str, Any] = json.loads((SHARED / "reference" / "plt_voc_construction.json").read_text())
    return found


def test_the_image_list_is_rebuilt_exactly(construction: dict[str, Any], shared: Path) -> None:
    task = plt_voc("mr0")
    view = open_train(task, facts.task_data(task))
    text = "".join(f"{row}\n" for row in view.ids)
    assert text == (shared / "data" / "plt_voc_ids_sorted.txt").read_text()
    assert hashlib.sha256(text.encode()).hexdigest() == construction["ids_sorted_sha256"]
    assert len(view) == construction["n"] == 2569
    assert list(view.class_names) == construction["class_order"]
    assert (view.observed == 1).sum(axis=0).tolist() == construction["full_counts"]
    assert set(np.unique(view.observed)) == {0, 1}


@pytest.mark.parametrize("setting", ["mr30", "mr40", "mr50"])
def test_masks_are_those_of_the_construction(construction: dict[str, Any], setting: str) -> None:
    expected = construction[f"rate0.{setting[2]}"]
    task = plt_voc(setting)
    data = facts.task_data(task)
    view = open_train(task, data)
    mask = (view.observed == 1).astype(np.uint8)
    assert hashlib.sha256(mask.tobytes()).hexdigest() == expected["mask_uint8_rowmajor_sha256"]
    assert mask.sum(axis=0).tolist() == expected["counts"]
    assert task.counts.observed == tuple(expected["counts"])
    assert (mask.sum(axis=1) == 0).sum() == expected["empty"]
    truth = open_truth(task, data)
    check_fingerprints(task, truth.fingerprints)
    sizes = {group: len(columns) for group, columns in truth.groups.items()}
    assert [sizes["head"], sizes["medium"], sizes["tail"]] == [expected[group] for group in ("many", "medium", "few")]
    full = np.array(construction["full_counts"])
    fixed = [int((full >= 100).sum()), int(((full >= 20) & (full < 100)).sum()), int((full < 20).sum())]
    assert [sizes["head_fixed"], sizes["medium_fixed"], sizes["tail_fixed"]] == fixed


def test_the_stream_of_plt_coco_begins_where_plt_voc_ends(shared: Path) -> None:
    class Counting(random.Random):
        words = 0

        def getrandbits(self, k: int) -> int:
            assert k <= 32
            self.words += 1
            return super().getrandbits(k)

    from ltbench.tasks.long_tail import long_tailed

    generator = Counting(0)
    long_tailed(facts.voc2012()["trainval"][1], 1400, 12, generator)
    assert generator.words == PLT_VOC_WORDS
    skipped = random.Random(0)
    for _ in range(PLT_VOC_WORDS):
        skipped.getrandbits(32)
    assert skipped.getstate() == generator.getstate()


def test_plt_coco_is_drawn_by_its_rule_and_says_what_is_not_pinned() -> None:
    generator = np.random.default_rng(3)
    labels = np.where(generator.random((3000, 80)) < np.linspace(0.4, 0.01, 80), 1, -1).astype(np.int8)
    ids = [f"{row:012d}.jpg" for row in generator.permutation(3000)]
    rows = plt_coco_rows(ids, labels)
    assert [ids[row] for row in rows] == sorted(ids[row] for row in rows)
    assert rows == plt_coco_rows(ids, labels)
    task = plt_coco("mr40")
    assert not task.official
    assert "annotation files were not at hand" in task.unpinned["train_ids"]
    assert task.train_part == "train+valid-boxes"


def test_pins_follow_from_the_facts(shared: Path) -> None:
    stored = json.loads(Path(str(resources.files("ltbench.tasks.official") / "plt.json")).read_text())
    assert facts.document("plt") == stored
    assert all(task.official for task in map(plt_voc, ("mr0", "mr30", "mr40", "mr50")))
