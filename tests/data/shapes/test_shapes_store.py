"""The cache of rendered parts: complete, pinned, repaired when harmed, never written for nothing."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ltbench.data.base import default_cache
from ltbench.data.shapes import PART_SHA256, PARTS, content_sha256, ensure_shapes, render, store
from ltbench.plugin.errors import UserError

MICRO = ("micro-train", "micro-test")


@pytest.fixture
def micro(tmp_path: Path) -> Path:
    return ensure_shapes(tmp_path, parts=MICRO)


def _contents(place: Path) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
    images, labels = np.load(place / "images.npy"), np.load(place / "labels.npy")
    ids, captions = (json.loads((place / name).read_text()) for name in ("ids.json", "captions.json"))
    return images, labels, ids, captions


def test_every_part_has_the_published_contents() -> None:
    folder = ensure_shapes(default_cache())
    for part, expected in PART_SHA256.items():
        images, labels, ids, captions = _contents(folder / part)
        assert content_sha256(images, labels, captions) == expected
        assert len(set(ids)) == len(images) == PARTS[part].size
    assert set(PART_SHA256) == set(PARTS)


def test_files_and_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = ensure_shapes(tmp_path, progress=lambda done, total: seen.append((done, total)), parts=MICRO)
    assert folder == tmp_path / "shapes" / "v1"
    assert seen == [(done, 48) for done in range(1, 49)]
    images, labels, ids, captions = _contents(folder / "micro-test")
    image, label, caption = render("micro-test", 5)
    assert np.array_equal(images[5], image)
    assert np.array_equal(labels[5], label)
    assert captions[5] == caption
    assert ids[5] == "micro-test-00005"
    assert not (folder / "test").exists()


def test_an_intact_cache_is_neither_rendered_nor_written(micro: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in micro.rglob("*")}
    monkeypatch.setattr(store, "render_part", lambda *_: pytest.fail("rendered an intact part"))
    ensure_shapes(micro.parents[1], parts=MICRO)
    assert {path: path.stat().st_mtime_ns for path in micro.rglob("*")} == before


def test_a_copied_cache_is_checked_in_full_and_kept(
    micro: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(micro, copy / "shapes" / "v1", copy_function=shutil.copyfile)
    monkeypatch.setattr(store, "render_part", lambda *_: pytest.fail("rendered an intact part"))
    notices: list[str] = []
    ensure_shapes(copy, notice=notices.append, parts=MICRO)
    assert notices == []


def _flip_a_pixel(place: Path) -> None:
    with open(place / "images.npy", "r+b") as file:
        file.seek(5000)
        byte = file.read(1)
        file.seek(5000)
        file.write(bytes([byte[0] ^ 1]))


def _flip_a_label(place: Path) -> None:
    labels = np.load(place / "labels.npy")
    labels[0] = -labels[0]
    np.save(place / "labels.npy", labels)


@pytest.mark.parametrize(
    "harm",
    [
        _flip_a_pixel,
        _flip_a_label,
        lambda place: os.truncate(place / "images.npy", 1000),
        lambda place: (place / "captions.json").write_text('["a photo of nothing"]'),
        lambda place: (place / "ids.json").write_text("not json"),
        lambda place: (place / "labels.npy").unlink(),
        lambda place: (place / "images.npy").write_bytes(b""),
    ],
    ids=["pixel", "label", "truncated", "captions", "ids", "missing", "empty"],
)
def test_a_harmed_part_is_named_and_rendered_again(micro: Path, harm: object) -> None:
    assert callable(harm)
    harm(micro / "micro-test")
    other = (micro / "micro-train" / "images.npy").stat().st_mtime_ns
    notices: list[str] = []
    ensure_shapes(micro.parents[1], notice=notices.append, parts=MICRO)
    assert len(notices) == 1
    assert "micro-test" in notices[0]
    images, labels, _, captions = _contents(micro / "micro-test")
    assert content_sha256(images, labels, captions) == PART_SHA256["micro-test"]
    assert (micro / "micro-train" / "images.npy").stat().st_mtime_ns == other
    ensure_shapes(micro.parents[1], notice=notices.append, parts=MICRO)
    assert len(notices) == 1


def test_a_part_interrupted_before_its_manifest_is_completed(micro: Path) -> None:
    (micro / "micro-test" / "manifest.json").unlink()
    (micro / "micro-test" / "captions.json").unlink()
    ensure_shapes(micro.parents[1], parts=MICRO)
    assert (micro / "micro-test" / "captions.json").exists()


def test_a_platform_that_renders_differently_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**PART_SHA256["micro-test"], "images": "0" * 64}
    monkeypatch.setitem(PART_SHA256, "micro-test", wrong)
    with pytest.raises(UserError, match="images of micro-test rendered with sha256"):
        ensure_shapes(tmp_path, parts=("micro-test",))
    assert not (tmp_path / "shapes" / "v1" / "micro-test" / "images.npy").exists()


def test_unknown_part_and_unwritable_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no part 'training'"):
        ensure_shapes(tmp_path, parts=("training",))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="shapes"):
        ensure_shapes(tmp_path / "file", parts=MICRO)
