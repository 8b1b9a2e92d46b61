"""From names to encoders: unknown names, activations, weights from everywhere."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from ltbench.backbones import openclip
from ltbench.backbones.openclip import resolve
from ltbench.backbones.registry import find_backbone, open_backbone
from ltbench.backbones.weights import load_into, read_checkpoint, state_sha256
from ltbench.plugin.errors import UnknownName, UserError

from .conftest import noise_image, small_resnet


def test_specs_state_what_they_offer_without_torch() -> None:
    code = (
        "import sys; from ltbench.backbones.registry import find_backbone;"
        "specs = {n: find_backbone(n)[0].spec for n in"
        " ('tiny-clip', 'clip-rn50', 'clip-rn101', 'clip-vit-b16', 'clip-vit-b32')};"
        "assert all(s.offers == ('image', 'global', 'region', 'text') for s in specs.values());"
        "assert specs['tiny-clip'].image_size == 64 and specs['clip-rn50'].image_size == 224;"
        "assert all(s.pretraining for s in specs.values());"
        "assert find_backbone('timm:resnet18')[1] == 'resnet18';"
        "assert not {'torch', 'open_clip', 'timm', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "near"),
    [("clip-rn5", "clip-rn50"), ("tinyclip", "tiny-clip"), ("tim:resnet18", "timm:")],
)
def test_unknown_names_suggest_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownName) as caught:
        find_backbone(name)
    assert near in caught.value.close
    assert "ltbench list backbones" in str(caught.value)


def test_prefixes_need_an_argument_and_names_take_none() -> None:
    with pytest.raises(UserError, match="needs a name after the colon"):
        find_backbone("timm")
    with pytest.raises(UserError, match="takes nothing after a colon"):
        find_backbone("clip-rn50:openai")


def test_options_that_make_no_sense() -> None:
    with pytest.raises(UnknownName, match="float3"):
        open_backbone("tiny-clip", weights="random", dtype="float3")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="needs a CUDA device"):
        open_backbone("tiny-clip", weights="random", dtype="float16")


def test_the_activation_follows_the_weights() -> None:
    assert resolve("RN50/openai").model == "RN50-quickgelu"
    assert resolve("RN50-quickgelu/openai").model == "RN50-quickgelu"
    assert resolve("ViT-B-32/laion2b_s34b_b79k").model == "ViT-B-32"
    assert not resolve("ViT-B-32/laion2b_s34b_b79k").quick_gelu
    with pytest.raises(UserError, match="trained without QuickGELU") as caught:
        resolve("ViT-B-32-quickgelu/laion2b_s34b_b79k")
    assert caught.value.hint == "open_clip:ViT-B-32/laion2b_s34b_b79k"


def test_named_clips_are_openais_quick_gelu_models() -> None:
    assert set(openclip._NAMED) == {"clip-rn50", "clip-rn101", "clip-vit-b16", "clip-vit-b32"}
    for model in openclip._NAMED.values():
        source = resolve(f"{model}/openai")
        assert source.quick_gelu
        assert source.config["quick_gelu"]
        assert source.model == model


def test_quick_gelu_is_built_and_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    _small_architecture(monkeypatch)
    backbone = open_backbone("open_clip:small-quickgelu", weights="random")
    assert backbone.visual is not None
    assert backbone.text is not None
    for tower in (backbone.visual, backbone.text):
        assert any(isinstance(module, QuickGELU) for module in tower.modules())
        assert not any(isinstance(module, torch.nn.GELU) for module in tower.modules())
        assert not any(parameter.requires_grad for parameter in tower.parameters())
        assert not tower.training


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("open_clip:RN5/openai", "unknown open_clip model 'RN5'; did you mean 'RN50'"),
        ("open_clip:RN50/openia", "unknown tag of RN50 'openia'; did you mean 'openai'"),
        ("open_clip:RN50", "names no weights"),
        ("timm:resnet19", "unknown timm model 'resnet19'; did you mean"),
        ("timm:resnet18.a9_in1k", "unknown tag of resnet18 'a9_in1k'"),
    ],
)
def test_unknown_models_and_tags(name: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        open_backbone(name)
    assert what in str(caught.value)


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


def test_failing_download_says_what_and_what_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise OSError("no route to host\nsecond line")

    monkeypatch.setattr(openclip, "download_pretrained", fail)
    monkeypatch.setattr("timm.create_model", fail)
    for name in ("clip-rn50", "timm:resnet18"):
        with pytest.raises(UserError) as caught:
            open_backbone(name)
        text = str(caught.value)
        assert name in text
        assert "no route to host" in text
        assert "second line" not in text
        assert "--weights random" in text
        assert "--weights FILE" in text


def test_offline_never_downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise AssertionError("downloaded")

    monkeypatch.setattr(openclip, "download_pretrained", fail)
    monkeypatch.setattr("timm.create_model", fail)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    for name in ("clip-rn50", "timm:resnet18"):
        with pytest.raises(UserError, match="not on this machine"):
            open_backbone(name, offline=True)


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
    model = _small_architecture(monkeypatch)
    path = tmp_path / "ViT.pt"
    inputs = {"encode_image": torch.zeros(1, 3, 64, 64), "encode_text": torch.zeros(1, 77, dtype=torch.int64)}
    torch.jit.trace_module(model.eval(), inputs, check_trace=False).save(str(path))
    assert set(read_checkpoint(path)) == set(model.state_dict())

    with pytest.raises(UserError, match="trained with QuickGELU") as caught:
        open_backbone("open_clip:small", weights=str(path))
    assert caught.value.hint == "open_clip:small-quickgelu"

    unknown = open_backbone("open_clip:small-quickgelu", weights=str(path))
    assert unknown.card.pretraining == "unknown (local file ViT.pt)"
    assert unknown.card.weights_sha256 == state_sha256(model)

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    config = {"url": f"https://openaipublic.example/{digest}/ViT.pt", "quick_gelu": True}
    monkeypatch.setattr(openclip, "get_pretrained_cfg", lambda model, tag: config if tag == "openai" else {})
    known = open_backbone("open_clip:small/openai", weights=str(path))
    assert known.card.weights == "openai"
    assert "OpenAI WIT" in known.card.pretraining
    assert known.card.ranked

    monkeypatch.setattr(openclip, "download_pretrained", lambda config: str(path))
    released = open_backbone("open_clip:small/openai")
    assert released.card == known.card.model_copy(update={"name": "open_clip:small/openai"})


def test_other_input_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = _small_architecture(monkeypatch)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    backbone = open_backbone("open_clip:small", weights=str(tmp_path / "w.safetensors"), image_size=128)
    assert backbone.card.image_size == 128
    assert "128x128" in backbone.card.transform
    image = backbone.preprocess(noise_image(1, 100))
    assert image.shape == (3, 128, 128)
    assert backbone.encode_regions(image[None])[1].shape == (1, 64, 24)
    native = open_backbone("open_clip:small", weights=str(tmp_path / "w.safetensors"))
    assert native.card.transform_sha256 != backbone.card.transform_sha256


def test_timm_with_random_weights(tmp_path: Path) -> None:
    import timm

    one = open_backbone("timm:test_resnet", weights="random", seed=0)
    two = open_backbone("timm:test_resnet", weights="random", seed=0)
    assert one.card == two.card
    assert not one.card.ranked
    assert one.card.offers == ("image", "global")
    assert one.text is None
    image = one.preprocess(noise_image(0, 200))[None]
    assert image.shape[-1] == one.card.image_size
    features = one.encode_global(image)
    assert features.shape == (1, one.card.dim)
    assert features.std() > 0
    pooled, places = one.encode_regions(image)
    torch.testing.assert_close(pooled, features)
    torch.testing.assert_close(places.mean(1), pooled)
    tokens = open_backbone("timm:test_vit", weights="random", seed=0)
    with pytest.raises(TypeError, match="offers no regions"):
        tokens.encode_regions(tokens.preprocess(noise_image(0, 200))[None])

    model = timm.create_model("test_resnet", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    loaded = open_backbone("timm:test_resnet", weights=str(tmp_path / "w.pt"))
    with torch.no_grad():
        model.eval()
        expected = model.forward_head(model.forward_features(image), pre_logits=True)
        torch.testing.assert_close(loaded.encode_global(image), expected)
    other = timm.create_model("test_vit", num_classes=7)
    torch.save(other.state_dict(), tmp_path / "other.pt")
    with pytest.raises(UserError, match="do not fit timm:test_resnet"):
        open_backbone("timm:test_resnet", weights=str(tmp_path / "other.pt"))
    bare = next(n for n in timm.list_models() if not timm.list_pretrained(f"{n}.*"))
    with pytest.raises(UserError, match=f"no released weights of {bare}"):
        open_backbone(f"timm:{bare}")


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_timm_with_another_input_size(name: str) -> None:
    backbone = open_backbone(f"timm:{name}", weights="random", image_size=96)
    assert backbone.card.image_size == 96
    image = backbone.preprocess(noise_image(0, 200))[None]
    assert image.shape == (1, 3, 96, 96)
    assert backbone.encode_global(image).shape == (1, backbone.card.dim)


def _tiny(seed: int) -> torch.nn.Module:
    from ltbench.backbones.tiny_clip.model import build_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model()


def _small_architecture(monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Register a miniature architecture, with and without QuickGELU, and build it with."""
    from open_clip import factory
    from open_clip.model import CLIP

    from .conftest import TEXT

    config = {
        "embed_dim": 24,
        "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64},
        "text_cfg": TEXT,
    }
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small", config)
    monkeypatch.setitem(factory._MODEL_CONFIGS, "small-quickgelu", {**config, "quick_gelu": True})
    torch.manual_seed(0)
    return CLIP(**config, quick_gelu=True)
