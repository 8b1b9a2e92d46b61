"""What a trained run keeps of its training view comes back as it was, in a small file that holds no code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ltbench.engine.kept import NoImages, read_kept, write_kept
from ltbench.plugin.errors import UserError
from ltbench.tasks.views import TrainView

NAMES = ("cat", "chien", "家")


def view(rows: int = 11, names: tuple[str, ...] = NAMES, validation: TrainView | None = None) -> TrainView:
    observed = np.random.default_rng(rows).integers(-1, 2, (rows, len(names))).astype(np.int8)
    groups = {"animals": names[:2]}
    return TrainView(
        tuple(f"id-{row}" for row in range(rows)), NoImages(rows), observed, names, None, groups, validation
    )


def test_a_view_comes_back_without_images_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    given = view(validation=view(4, NAMES[:2]))
    write_kept(path, given, (*NAMES, "unseen"), "a" * 64)
    found = read_kept(path)
    assert np.array_equal(found.view.observed, given.observed)
    assert found.view.observed.dtype == np.int8
    assert found.view.class_names == NAMES
    assert found.view.label_groups == given.label_groups
    assert found.answers == (*NAMES, "unseen")
    assert found.weights_sha256 == "a" * 64
    assert found.view.validation is not None
    assert (len(found.view.validation), found.view.validation.class_names) == (4, NAMES[:2])
    assert len(found.view) == len(found.view.images) == 11
    with pytest.raises(RuntimeError, match="keeps no training images"):
        found.view.images.load(0)
    with pytest.raises(RuntimeError, match="keeps no training images"):
        found.view.images.sha256(0)
    assert b"id-" not in path.read_bytes()


def test_two_bits_a_label_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    names = tuple(f"class {number}" for number in range(80))
    write_kept(one, view(2000, names), names, None)
    write_kept(two, view(2000, names), names, None)
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 2000 * 80 / 4 + 5000
    assert read_kept(one).weights_sha256 is None


def test_damaged_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "training.safetensors"
    write_kept(path, view(), NAMES, None)
    content = path.read_bytes()
    for broken in (b"", content[:50], content.replace(b'\\"format\\": 1', b'\\"format\\": 7')):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"training\.safetensors is damaged"):
            read_kept(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_kept(tmp_path / "gone")
