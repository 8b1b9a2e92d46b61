"""Partial labels: the HCP draw of each data set against the golden hashes."""

from __future__ import annotations

import hashlib
import itertools
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.tasks.official.partial import partial_coco, partial_vg200, partial_voc2007
from ltbench.tasks.plugin import PARTIAL_SETTINGS
from ltbench.tasks.task import Task
from tests.tasks.official import official_facts as facts

pytestmark = pytest.mark.usefixtures("shared")

GOLDEN = {
    "partial-voc2007": ("voc07_trainval", (5011, 20), partial_voc2007),
    "partial-coco": ("coco_train2014_all82783", (82783, 80), partial_coco),
    "partial-vg200": ("vg_train", (82904, 200), partial_vg200),
}


def known_entries(task: Task, shape: tuple[int, int]) -> Any:
    """The mask of a task over labels of the official size; which labels they are makes no difference."""
    labels = np.full(shape, -1, dtype=np.int8)
    labels[:, ::3] = 1
    ids = [f"{row}" for row in range(shape[0])]
    observed = task.protocol.apply(labels, ids, task.classes, "any", task.mask_seed)
    known = observed != 0
    assert (observed[known] == labels[known]).all()
    return known


@pytest.mark.parametrize(("name", "setting"), [
    *(("partial-voc2007", setting) for setting in PARTIAL_SETTINGS),
    *(("partial-coco", setting) for setting in ("p10", "p50", "p90")),
    *(("partial-vg200", setting) for setting in ("p10", "p50")),
])  # fmt: skip
def test_masks_equal_the_golden_ones(name: str, setting: str) -> None:
    entry, shape, make = GOLDEN[name]
    golden = json.loads((facts.GOLDEN / "hcp_label_masks.json").read_text())[entry][f"0.{setting[1]}"]
    known = known_entries(make(setting), shape)
    assert int(known.sum()) == golden["known"]
    assert int((~known.any(axis=1)).sum()) == golden["rows_without_known"]
    assert hashlib.sha256(np.packbits(known).tobytes()).hexdigest() == golden["sha256_packbits"]


def test_masks_of_growing_share_are_nested() -> None:
    masks = [known_entries(partial_voc2007(setting), (5011, 20)) for setting in PARTIAL_SETTINGS]
    assert all((larger | ~smaller).all() for smaller, larger in itertools.pairwise(masks))


def test_a_complete_set_of_settings_exists() -> None:
    addresses = [task.address for task in facts.official_tasks("partial")]
    assert len(addresses) == 27
    assert len({task.mask_seed for task in facts.official_tasks("partial")}) == 1
    shares = [partial_voc2007(setting).protocol.share for setting in PARTIAL_SETTINGS]  # type: ignore[union-attr]
    assert shares == [k / 10 for k in range(1, 10)]


def test_difficult_objects_are_absent_in_training_and_test() -> None:
    task = partial_voc2007("p10")
    assert task.train_part == "trainval+difficult-negative"
    assert task.test_part == "test+difficult-negative"
    assert task.difficult == "negative"


def test_pins_follow_from_the_facts() -> None:
    stored = json.loads(Path(str(resources.files("ltbench.tasks.official") / "partial.json")).read_text())
    assert facts.document("partial") == stored
    assert all(not task.official and task.unpinned for task in facts.official_tasks("partial"))
