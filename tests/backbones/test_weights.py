"""Weights of backbones: random, bundled, downloaded or in a file, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ltbench.backbones import openclip_names, torchscript
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.weights import load_into, read_checkpoint, state_sha256
from ltbench.plugin.errors import UserError
from tests.backbones.weight_toys import small_architecture

from .conftest import noise_image, small_resnet


def test_random_weights_are_reproducible_and_never_ranked() -> None:
    before = torch.random.get_rng_state()
    one, two, other = (open_backbone("tiny-clip", weights="random", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.card == two.card
    assert one.card.weights == "random"
    assert not one.card.ranked
    assert one.card.weights_sha256 != other.card.weights_sha256
    assert one.card.offers == ("image", "global", "region", "text")
    image = one.preprocess(noise_image(0, 80))[None]
    assert image.shape == (1, 3, 64, 64)
    assert torch.equal(one.encode_global(image), two.encode_global(image))
    assert one.encode_regions(image)[1].shape == (1, 16, 128)


def test_tiny_clip_preprocessing_is_its_own() -> None:
    from ltbench.backbones.tiny_clip.model import preprocess

    backbone = open_backbone("tiny-clip", weights="random")
    image = noise_image(3)
    expected = preprocess(torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(1, 64, 64, 3))
    torch.testing.assert_close(backbone.preprocess(image)[None], expected)


def test_the_bundled_weights_are_opened() -> None:
    from ltbench.backbones.tiny_clip import load_pretrained

    backbone = open_backbone("tiny-clip")
    model, _ = load_pretrained()
    assert backbone.card.weights == "bundled"
    assert backbone.card.ranked
    assert backbone.card.weights_sha256 == state_sha256(model)
    image = backbone.preprocess(noise_image(0))[None]
    with torch.no_grad():
        torch.testing.assert_close(backbone.encode_global(image), model.encode_image(image))


def test_files_give_the_weights_they_hold(tmp_path: Path) -> None:
    drawn = open_backbone("tiny-clip", weights="random", seed=5)
    assert drawn.visual is not None
    model = _tiny(5)
    assert state_sha256(model) == drawn.card.weights_sha256
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "b.pt")
    for file in ("a.safetensors", "b.pt"):
        loaded = open_backbone("tiny-clip", weights=str(tmp_path / file))
        assert loaded.card.weights_sha256 == drawn.card.weights_sha256
        assert loaded.card.weights == f"file {file}"
        assert str(tmp_path) not in loaded.card.model_dump_json()


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    model = _tiny(0)
    state = dict(model.state_dict())
    state.pop("visual.conv1.weight")
    state["visual.extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(UserError, match=r"do not fit tiny-clip: visual.conv1.weight is missing \(and 1 more"):
        open_backbone("tiny-clip", weights=str(tmp_path / "short.pt"))
    with pytest.raises(UserError, match="shape"):
        load_into(model, small_resnet().state_dict() | {}, "tiny-clip", may_miss=("visual.", "transformer."))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "does not exist"),
        (b"not a checkpoint", "cannot be read|damaged"),
        (pickle.dumps({"a": subprocess.Popen}), "pickled code"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes | None, what: str) -> None:
    for suffix in (".pt", ".safetensors"):
        path = tmp_path / f"weights{suffix}"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=what if suffix == ".pt" else "does not exist|cannot be read") as caught:
            open_backbone("tiny-clip", weights=str(path))
        assert path.name in str(caught.value)


def test_checkpoints_without_tensors_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="holds no state dict"):
        read_checkpoint(tmp_path / "w.pt")


def test_torchscript_archives_like_openais(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's files are traced modules; their activation is QuickGELU, and their hash tells that they are theirs."""
    model = small_architecture(monkeypatch)
    path = tmp_path / "ViT.pt"
    inputs = {"encode_image": torch.zeros(1, 3, 64, 64), "encode_text": torch.zeros(1, 77, dtype=torch.int64)}
    torch.jit.trace_module(model.eval(), inputs, check_trace=False).save(str(path))
    with pytest.raises(UserError, match="whose code would run"):
        read_checkpoint(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(torchscript, "PUBLISHED", {digest})
    assert set(read_checkpoint(path)) == set(model.state_dict())

    with pytest.raises(UserError, match="trained with QuickGELU") as caught:
        open_backbone("open_clip:small", weights=str(path))
    assert caught.value.hint == "open_clip:small-quickgelu"

    unknown = open_backbone("open_clip:small-quickgelu", weights=str(path))
    assert unknown.card.pretraining == "unknown (local file ViT.pt)"
    assert unknown.card.weights_sha256 == state_sha256(model)

    config = {"url": f"https://openaipublic.example/{digest}/ViT.pt", "quick_gelu": True}
    monkeypatch.setattr(openclip_names, "get_pretrained_cfg", lambda model, tag: config if tag == "openai" else {})
    known = open_backbone("open_clip:small/openai", weights=str(path))
    assert known.card.weights == "openai"
    assert "OpenAI WIT" in known.card.pretraining
    assert known.card.ranked

    mirrored = tmp_path / "mirror" / "web" / "openaipublic.example" / digest / "ViT.pt"
    mirrored.parent.mkdir(parents=True)
    path.rename(mirrored)
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    released = open_backbone("open_clip:small/openai")
    assert released.card == known.card.model_copy(update={"name": "open_clip:small/openai"})


def test_other_input_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = small_architecture(monkeypatch)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    backbone = open_backbone("open_clip:small", weights=str(tmp_path / "w.safetensors"), image_size=128)
    assert backbone.card.image_size == 128
    assert "128x128" in backbone.card.transform
    image = backbone.preprocess(noise_image(1, 100))
    assert image.shape == (3, 128, 128)
    assert backbone.encode_regions(image[None])[1].shape == (1, 64, 24)
    native = open_backbone("open_clip:small", weights=str(tmp_path / "w.safetensors"))
    assert native.card.transform_sha256 != backbone.card.transform_sha256


def _tiny(seed: int) -> torch.nn.Module:
    from ltbench.backbones.tiny_clip.model import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model()
