"""Models of open_clip by address, without a tag, and with text towers of other libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ltbench.backbones.openclip_names import released, resolve
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import Released
from ltbench.backbones.weights import read_checkpoint
from ltbench.plugin.errors import UserError
from tests.backbones.weight_toys import small_architecture

from .conftest import TEXT, noise_image

VISION = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}


def saved(folder: Path, text: dict[str, Any], weights: bool = True) -> dict[str, torch.Tensor]:
    """A folder as open_clip saves a model, and the weights in it."""
    from open_clip.model import CustomTextCLIP

    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": text, "custom_text": True}
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    folder.mkdir(parents=True, exist_ok=True)
    content = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    torch.manual_seed(0)
    state = {key: value.clone() for key, value in CustomTextCLIP(24, VISION, text).state_dict().items()}
    if weights:
        save_file(state, folder / "open_clip_model.safetensors")
    return state


def test_a_folder_is_a_backbone(tmp_path: Path) -> None:
    state = saved(tmp_path / "model", TEXT)
    backbone = open_backbone(f"open_clip:local-dir:{tmp_path / 'model'}", offline=True)
    card = backbone.card
    assert card.offers == ("image", "global", "region", "text")
    assert card.transform.startswith(
        "both sides to 64 (bilinear, antialias), 64x64 RGB in [0, 1], minus (0.5, 0.5, 0.5)"
    )
    assert card.weights == "released"
    assert card.ranked
    assert backbone.text is not None
    assert torch.equal(backbone.text.token_embedding.weight, state["text.token_embedding.weight"])  # type: ignore[operator,union-attr]
    assert backbone.encode_global(backbone.preprocess(noise_image(0))[None]).shape == (1, 24)


def test_a_folder_without_its_parts_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no open_clip_config\.json"):
        open_backbone(f"open_clip:local-dir:{tmp_path}")
    (tmp_path / "open_clip_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="is no configuration of open_clip"):
        open_backbone(f"open_clip:local-dir:{tmp_path}")
    saved(tmp_path, TEXT, weights=False)
    with pytest.raises(UserError, match="holds no weights"):
        open_backbone(f"open_clip:local-dir:{tmp_path}")
    assert open_backbone(f"open_clip:local-dir:{tmp_path}", weights="random").card.weights == "random"


def test_an_address_of_the_hub_is_brought_as_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "open_clip:hf-hub:some/model"
    files = released(name)
    assert isinstance(files, tuple)
    assert [file.places[0].layout.rpartition("/")[2] for file in files] == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
    ]
    with pytest.raises(UserError, match="not on this machine"):
        open_backbone(name, offline=True)
    with pytest.raises(UserError, match="names no repository"):
        open_backbone("open_clip:hf-hub:model")
    saved(tmp_path / "web/huggingface.co/some/model/resolve/main", TEXT)
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path))
    backbone = open_backbone(name, offline=True)
    assert backbone.card.pretraining == "as hf-hub:some/model says"
    assert "text" in backbone.card.offers


def test_no_tag_takes_what_all_tags_share() -> None:
    without, tagged = resolve("ViT-B-16-SigLIP"), resolve("ViT-B-16-SigLIP/webli")
    assert without.preprocessing == tagged.preprocessing
    assert without.preprocessing["mean"] == (0.5, 0.5, 0.5)
    assert without.preprocessing["resize_mode"] == "squash"
    # Its tags were trained behind different ones.
    assert resolve("ViT-L-14").preprocessing == {}
    assert released("open_clip:ViT-B-16-SigLIP") is None
    assert isinstance(released("open_clip:ViT-B-16-SigLIP/webli"), Released)


def test_a_tokenizer_of_another_library_is_opened_with_the_first_text(tmp_path: Path) -> None:
    text = {**TEXT, "no_causal_mask": True, "pool_type": "last", "context_length": 16, "vocab_size": 300}
    saved(tmp_path / "model", {**text, "hf_tokenizer_name": "nobody/nothing"})
    name = f"open_clip:local-dir:{tmp_path / 'model'}"
    backbone = open_backbone(name, offline=True)
    assert "text" in backbone.card.offers
    assert backbone.text is not None
    assert not backbone.text.cuts
    assert backbone.encode_global(torch.zeros(1, 3, 64, 64)).shape == (1, 24)
    with pytest.raises(UserError, match="the tokenizer of local-dir:") as problem:
        backbone.text.encode(["a cat"])
    assert "\n" not in str(problem.value)
    # Random weights know no words anyway, and read letters.
    random = open_backbone(name, weights="random").text
    assert random is not None
    assert not torch.allclose(random.encode(["a cat"]), random.encode(["a dog"]))


@pytest.mark.parametrize("beside", [True, False])
def test_openai_state_dicts_want_their_activation(
    beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = dict(small_architecture(monkeypatch).state_dict())
    if beside:
        state |= {name: torch.tensor(64) for name in ("input_resolution", "context_length", "vocab_size")}
    path = tmp_path / "openai.pt"
    torch.save(state, path)
    assert open_backbone("open_clip:small-quickgelu", weights=str(path)).card.weights == "file openai.pt"
    if not beside:
        assert open_backbone("open_clip:small", weights=str(path)).card.weights == "file openai.pt"
        return
    with pytest.raises(UserError, match="trained with QuickGELU, which small does not use"):
        open_backbone("open_clip:small", weights=str(path))


LAYOUTS: dict[str, Any] = {
    "compiled": lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    "distributed and compiled": lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
    "compiled and distributed": lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
    "lightning": lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}},
    "model_state_dict": lambda s: {"epoch": 3, "model_state_dict": s},
    "model_ema": lambda s: {"model_ema": s},
    "no counters": lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_checkpoints_load_as_torch_and_timm_load_them(layout: str, tmp_path: Path) -> None:
    import timm

    state = timm.create_model("test_resnet").state_dict()
    path = tmp_path / "c.pt"
    torch.save(LAYOUTS[layout](state), path)
    found = open_backbone("timm:test_resnet", weights=str(path)).visual
    assert found is not None
    own = found.state_dict()
    assert own
    assert all(torch.equal(own[key], state[key]) for key in own if not key.endswith("num_batches_tracked"))


def test_a_part_called_model_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    torch.save({"model.weight": torch.zeros(2), "head.weight": torch.zeros(2)}, path)
    assert set(read_checkpoint(path)) == {"model.weight", "head.weight"}
