"""The registry of backbones: names, options and what is offered, told without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from open_clip.transformer import QuickGELU

from ltbench.backbones import openclip
from ltbench.backbones.openclip import resolve
from ltbench.backbones.registry import find_backbone, open_backbone
from ltbench.plugin.errors import UnknownName, UserError
from tests.backbones.weight_toys import small_architecture


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
    small_architecture(monkeypatch)
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
