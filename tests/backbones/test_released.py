"""Released weights travel as data do: cache, mirror, web, and what is wrong with them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import save_file

from ltbench.backbones import known, openclip, openclip_names
from ltbench.backbones.at_hand import weights_at_hand
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import Released, places_of, released_of, web_file
from ltbench.backbones.weights import state_sha256
from ltbench.data.base import DataRoot
from ltbench.data.getting import download as downloads
from ltbench.data.getting.hashes import WrongFile
from ltbench.data.getting.sources import Source
from ltbench.method.config import load_presets
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.defaults import CLIP, IMAGENET
from tests.backbones.weight_toys import small_architecture


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cache of this machine is looked into, and nobody waits."""
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr(downloads, "_sleep", lambda seconds: None)
    for name in ("LTBENCH_MIRROR", "LTBENCH_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", openclip._NAMED)
def test_the_tables_are_those_of_open_clip(name: str) -> None:
    own, hub = known.released_clip(name).places
    assert own == places_of(get_pretrained_cfg(openclip._NAMED[name], "openai"))[0]
    assert own.sha256 == own.origin.split("/")[-2]
    assert hub.origin in [place.origin for place in places_of(get_pretrained_cfg(openclip._NAMED[name], "openai"))]


def test_what_presets_and_tasks_name_is_known_without_a_library() -> None:
    from ltbench.backbones.timm_models import released

    named = {name for item in registry().methods for preset in load_presets(item.spec) for name in preset.backbones}
    for name in sorted({*named, *CLIP.values(), IMAGENET} - {"tiny-clip"}):
        if name == "lite0-minilm" and find_spec("transformers") is None:
            # Its text tower is read by a library of the extra: what is missing is that, and it is said at once.
            with pytest.raises(UserError, match="needs the package transformers"):
                released_of(name)
            continue
        told = released_of(name)
        assert told is not None
        # The encoders for photographs are small ones.
        assert told.bytes > (10**7 if name.startswith("lite0") else 10**8)
        if name.startswith("timm:"):
            assert name.partition(":")[2] in known._TIMM
            asked = released(name, name.partition(":")[2])
            assert asked is not None
            assert told.places[0].origin == asked.places[0].origin
    assert released_of("tiny-clip") is None
    assert released_of("precomputed:x.npz") is None


def mirrored(source: Source, folder: Path) -> Path:
    path = folder / source.layout
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_mirror_answers_for_timm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = "timm:test_resnet.r160_in1k"
    told = released_of(name)
    assert told is not None
    with pytest.raises(UserError, match="are not on this machine") as caught:
        open_backbone(name, offline=True)
    assert told.places[0].layout in caught.value.hint
    torch.manual_seed(7)
    model = timm.create_model("test_resnet", num_classes=1000)
    save_file(model.state_dict(), mirrored(told.places[0], tmp_path / "mirror"))
    assert not weights_at_hand(name, DataRoot())
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    assert weights_at_hand(name, DataRoot())
    backbone = open_backbone(name, offline=True)
    assert (backbone.card.weights, backbone.card.ranked) == ("r160_in1k", True)
    model.reset_classifier(0)
    assert backbone.card.weights_sha256 == state_sha256(model)
    # Once brought, it is here without the mirror.
    monkeypatch.delenv("LTBENCH_MIRROR")
    assert weights_at_hand(name, DataRoot())
    assert open_backbone(name, offline=True).card == backbone.card
    other = timm.create_model("test_vit", num_classes=1000)
    path = told.here(DataRoot())
    assert path is not None
    path.with_name(path.name + ".unpinned.json").unlink()
    save_file(other.state_dict(), path)
    with pytest.raises(UserError, match=r"do not load \(RuntimeError: .*Missing key") as caught:
        open_backbone(name, offline=True)
    assert caught.value.hint.startswith(f"remove or replace {path}")


def test_a_mirror_answers_for_open_clip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = small_architecture(monkeypatch)
    config = {"hf_hub": "someone/small/", "quick_gelu": True}
    monkeypatch.setattr(openclip_names, "get_pretrained_cfg", lambda model, tag: config if tag == "own" else {})
    first, second = places_of(config)
    assert first.layout == "web/huggingface.co/someone/small/resolve/main/open_clip_model.safetensors"
    torch.save(model.state_dict(), mirrored(second, tmp_path / "mirror"))
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    backbone = open_backbone("open_clip:small/own", offline=True)
    assert backbone.card.weights_sha256 == state_sha256(model)
    torch.save({"a": torch.zeros(2)}, mirrored(second, tmp_path / "mirror"))
    path = next((tmp_path / "cache").rglob("open_clip_pytorch_model.bin"))
    path.unlink()
    with pytest.raises(UserError, match="not that of its first arrival"):
        open_backbone("open_clip:small/own", offline=True)


def test_an_old_file_in_a_mirror_is_refused_by_its_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = known.released_clip("clip-rn50").places[0]
    mirrored(own, tmp_path / "mirror").write_bytes(b"of last year")
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(WrongFile, match=f"RN50.pt from the mirror .* not the pinned one {own.sha256}"):
        open_backbone("clip-rn50", offline=True)


def test_files_that_other_programs_keep_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = DataRoot()
    told = Released("x", (web_file("https://example.org/a/x.pt", "MIT"),))
    assert told.here(root) is None
    kept = tmp_path / ".cache" / "clip" / "x.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert told.here(root) == told.bring(root) == kept
    pinned = known.released_clip("clip-rn50")
    (kept.parent / "RN50.pt").write_bytes(b"cut off")
    assert pinned.here(root) is None
    hub = tmp_path / "hub.safetensors"
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda repository, name: str(hub) if repository == "timm/resnet50_clip.openai" else None,
    )
    assert pinned.here(root) == hub


def test_one_place_answers_for_another_and_all_reasons_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on the discard port of this machine.
    told = Released("x", (web_file("http://127.0.0.1:9/a.pt", "MIT"), web_file("http://127.0.0.1:9/b.pt", "MIT")))
    with pytest.raises(UserError) as caught:
        told.bring(DataRoot(offline=False))
    assert caught.value.message.count("Connection refused") == 2
    assert "LTBENCH_MIRROR=DIR with web/127.0.0.1_9/a.pt; --weights random" in caught.value.hint


def test_too_little_disk_is_said_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltbench.backbones.released.fetch", lambda *args: pytest.fail("downloaded"))
    told = Released("x", (web_file("http://127.0.0.1:9/a.pt", "MIT"),), 10**18)
    with pytest.raises(UserError, match=r"weights of x needs 1000000000\.0 GB on the disk of"):
        told.bring(DataRoot(offline=False))
