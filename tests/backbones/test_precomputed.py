"""Feature files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ltbench.backbones.cache import FeatureCache, flip, identity
from ltbench.backbones.precomputed import PrecomputedBackbone
from ltbench.backbones.registry import open_backbone
from ltbench.data.base import FileImages
from ltbench.plugin.errors import UserError

NAMES = np.array(["b.jpg", "a.jpg", "c.jpg"])
ROWS = np.arange(12, dtype=np.float16).reshape(3, 4)


def write(path: Path, **arrays: np.ndarray) -> str:
    np.savez(path, **arrays)
    return f"precomputed:{path}"


def test_features_by_name(tmp_path: Path) -> None:
    name = write(tmp_path / "f.npz", files=NAMES, features=ROWS)
    backbone = open_backbone(name)
    assert isinstance(backbone, PrecomputedBackbone)
    rows = backbone.features_for(["a.jpg", "b.jpg"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS[[1, 0]])
    assert backbone.card.offers == ("global",)
    assert backbone.card.dim == 4
    assert backbone.visual is None
    assert str(tmp_path) not in backbone.card.model_dump_json()
    write(tmp_path / "g.npz", files=NAMES, features=ROWS + 1)
    assert open_backbone(f"precomputed:{tmp_path / 'g.npz'}").card.weights_sha256 != backbone.card.weights_sha256
    with pytest.raises(TypeError, match="cannot encode images"):
        backbone.encode_global(None)  # type: ignore[arg-type]


def test_the_cache_is_bypassed(tmp_path: Path) -> None:
    backbone = open_backbone(write(tmp_path / "f.npz", files=NAMES, features=ROWS))
    images = FileImages([tmp_path / "c.jpg", tmp_path / "a.jpg"])
    cache = FeatureCache(tmp_path / "cache")
    features = cache.features(backbone, images, ["c.jpg", "a.jpg"])
    np.testing.assert_array_equal(features.global_[:, 0], ROWS[[2, 1]])
    assert features.regions is None
    assert not (tmp_path / "cache").exists()
    with pytest.raises(UserError, match="cannot make the view 'hflip'"):
        cache.features(backbone, images, ["c.jpg", "a.jpg"], views=[identity(), flip()])
    with pytest.raises(UserError, match="offers global, not region"):
        cache.features(backbone, images, ["c.jpg", "a.jpg"], kind="region")


def test_missing_names_are_counted_and_named(tmp_path: Path) -> None:
    backbone = open_backbone(write(tmp_path / "f.npz", files=NAMES, features=ROWS))
    assert isinstance(backbone, PrecomputedBackbone)
    with pytest.raises(UserError, match=r"no features for 4 of 5 images: v, w, x, …"):
        backbone.features_for(["v", "a.jpg", "w", "x", "y"])


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"files": NAMES}, "has no array 'features'"),
        ({"features": ROWS}, "has no array 'files'"),
        ({"files": NAMES, "features": ROWS[:2]}, r"features must be float \[3, D\]"),
        ({"files": NAMES, "features": ROWS.astype(int)}, r"features must be float \[3, D\]"),
        ({"files": np.arange(3), "features": ROWS}, "files must be a list of names"),
        ({"files": np.array(["a", "b", "a"]), "features": ROWS}, "lists 1 names twice, first a"),
        (
            {"files": NAMES, "features": np.where(ROWS == 5, np.nan, ROWS)},
            r"1 rows are not finite, first row 1 \(a.jpg\)",
        ),
        ({"files": NAMES, "features": np.full((3, 2), 1e300)}, r"3 rows are not finite, first row 0 \(b.jpg\)"),
    ],
)
def test_malformed_files(tmp_path: Path, arrays: dict[str, np.ndarray], what: str) -> None:
    with pytest.raises(UserError, match=what):
        open_backbone(write(tmp_path / "f.npz", **arrays))


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"f\.npz does not exist"):
        open_backbone(f"precomputed:{tmp_path / 'f.npz'}")
    (tmp_path / "f.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(UserError, match=r"f\.npz is damaged"):
        open_backbone(f"precomputed:{tmp_path / 'f.npz'}")
    np.savez(tmp_path / "o.npz", files=np.array([{"a": 1}], dtype=object), features=ROWS[:1])
    with pytest.raises(UserError, match="is damaged"):
        open_backbone(f"precomputed:{tmp_path / 'o.npz'}")


def test_weights_and_dtype_have_no_meaning(tmp_path: Path) -> None:
    name = write(tmp_path / "f.npz", files=NAMES, features=ROWS)
    with pytest.raises(UserError, match="no weights to choose"):
        open_backbone(name, weights="random")
    with pytest.raises(UserError, match="has no dtype"):
        open_backbone(name, dtype="bfloat16")


def test_real_features(shared: Path) -> None:
    backbone = open_backbone(f"precomputed:{shared / 'data/coco-mini/features_mobilenetv2.npz'}")
    assert isinstance(backbone, PrecomputedBackbone)
    assert backbone.card.dim == 1280
    assert backbone.features_for(["000000000025.jpg"]).shape == (1, 1280)
