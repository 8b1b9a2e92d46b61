"""``lite0-minilm`` computes what its card says: ConSE's join, regions in the same way, a centred text tower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.registry import open_backbone
from ltbench.nn import PromptLearner, RegionAggregation
from ltbench_photos import opening
from ltbench_photos.image import WordedTower, in_timm_names
from ltbench_photos.names import TEMPLATE, encoded_names, imagenet_names
from ltbench_photos.opening import SCALE, TEMPERATURE, PhotoBackbone, open_lite0_minilm
from ltbench_photos.text import WordPieces

BOTH = pytest.mark.parametrize("which", ["random", "released"])


@pytest.fixture
def backbone(which: str, request: pytest.FixtureRequest) -> PhotoBackbone:
    found: PhotoBackbone = request.getfixturevalue(which)
    return found


def pixels(backbone: PhotoBackbone, count: int = 2) -> torch.Tensor:
    drawn = np.random.default_rng(0).integers(0, 256, (count, 60, 90, 3), dtype=np.uint8)
    return torch.stack([backbone.preprocess(Image.fromarray(image)) for image in drawn])


@BOTH
def test_the_card_says_what_there_is(backbone: PhotoBackbone, which: str) -> None:
    card = backbone.card
    assert card.offers == ("image", "global", "region", "text")
    assert (card.dim, card.region_dim, card.image_size) == (384, 384, 224)
    assert (card.weights, card.ranked) == (which, which == "released")
    assert "T=2 names-" in card.revision
    assert card.transform.startswith("Resize(size=256, interpolation=bicubic")
    assert not any(p.requires_grad for tower in (backbone.visual, backbone.text) for p in tower.parameters())  # type: ignore[union-attr]


@BOTH
@torch.no_grad()
def test_images_are_convex_combinations_of_names(backbone: PhotoBackbone) -> None:
    images = pixels(backbone)
    tower = backbone.tower
    logits = tower.classifier(tower.map(images).mean(dim=(2, 3)))
    shares = (logits / TEMPERATURE).exp() / (logits / TEMPERATURE).exp().sum(1, keepdim=True)
    text: Any = backbone.text
    plain = text.encode([TEMPLATE.format(name) for name in imagenet_names()[:64]]) + text.centre
    torch.testing.assert_close(tower.words[:64], normalize(plain - text.centre, dim=1), atol=1e-5, rtol=0)
    expected = normalize(shares @ tower.words, dim=1)
    torch.testing.assert_close(backbone.encode_global(images), expected, atol=1e-5, rtol=0)
    whole, places = backbone.encode_regions(images)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)
    assert places.shape == (2, 49, 384)
    # A place is what an image that is this place all over would be.
    corner = tower.map(images)[:, :, :1, :1]
    torch.testing.assert_close(places[:, 0], tower.embed(corner.mean(dim=(2, 3))), atol=1e-5, rtol=0)


@BOTH
def test_prompts_and_regions_go_through(backbone: PhotoBackbone) -> None:
    text: Any = backbone.text
    assert (text.starts, text.cuts, text.logit_scale) == (text.tokenizer.starts, True, SCALE)
    learner = PromptLearner(text, ("dog", "potted plant"), context_tokens=3, init=None, seed=0)
    with torch.no_grad():
        _, places = backbone.encode_regions(pixels(backbone))
    scores = RegionAggregation()(places, learner.class_features()[None])
    assert scores.shape == (2, 1, 2)
    scores.sum().backward()
    assert learner.ctx.grad is not None
    assert bool(learner.ctx.grad.abs().sum() > 0)


@BOTH
def test_towers_train_and_know_other_sizes(backbone: PhotoBackbone, which: str) -> None:
    weights = "random" if which == "random" else None
    own = open_lite0_minilm("lite0-minilm", BackboneOptions(weights=weights, offline=True, image_size=64))
    assert own.card.image_size == 64
    own.tower.requires_grad_(True)
    images = pixels(own)
    assert images.shape == (2, 3, 64, 64)
    own.encode_global(images)[:, 0].sum().backward()
    assert own.tower.conv_stem.weight.grad is not None  # type: ignore[union-attr]
    assert own.encode_regions(images)[1].shape == (2, 4, 384)


def test_the_text_tower_is_the_released_one(released: PhotoBackbone) -> None:
    """As sentence-transformers computes it, but for the centring: cosines of its card's examples."""
    text: Any = released.text
    assert isinstance(text.tokenizer, WordPieces)
    assert text.tokenize(["a photo of a dog."])[0, :9].tolist() == [101, 1037, 6302, 1997, 1037, 3899, 1012, 102, 0]
    plain = normalize(text.encode(["a dog", "a puppy", "a bus"]) + text.centre, dim=1)
    cosines = plain @ plain.T
    assert float(cosines[0, 1]) > 0.75 > 0.5 > float(cosines[0, 2])
    assert text.unknown_parts(["dog", "x" * 3 + " word" * 200, "\u4e5f\u2764"]) != {}
    assert "dog" not in text.unknown_parts(["dog"])


def test_the_words_are_kept_and_made_again(random: PhotoBackbone, tmp_path: Path) -> None:
    text: Any = random.text
    first = encoded_names(text, ("cat", "dog"), tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    assert torch.equal(encoded_names(text, ("cat", "dog"), tmp_path), first)
    path.write_bytes(path.read_bytes()[:40])
    assert torch.equal(encoded_names(text, ("cat", "dog"), tmp_path), first)
    encoded_names(text, ("cat", "cow"), tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2


def test_names_of_the_file_are_timms() -> None:
    wanted = opening.build(0).state_dict()
    inner = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    given = {"_blocks.15._expand_conv.weight": wanted["blocks.6.0.conv_pw.weight"], "_bn1.bias": wanted["bn2.bias"]}
    given |= {"_blocks.0._bn1.weight": wanted["blocks.0.0.bn1.weight"], "_fc.bias": wanted["classifier.bias"]}
    found = in_timm_names(given)
    assert all(found[key] is wanted[key] for key in found)
    assert len(found) == len(given)
    assert set(in_timm_names(wanted)) == set(wanted)
    assert in_timm_names({f"_blocks.4.{own}.weight": wanted["bn1.weight"] for own in inner.values()}).keys() == {
        f"blocks.2.1.{name}.weight" for name in inner
    }


def test_every_photograph_ranks_what_it_shows(released: PhotoBackbone, shared: Path) -> None:
    """Zero-shot on 40 photographs of VOC2007's: far from what a shuffled answer would give."""
    from sklearn.metrics import average_precision_score

    from ltbench.nn.templates import ensemble_features

    folder = shared / "data" / "voc2007-mini" / "VOCdevkit" / "VOC2007"
    files = sorted((folder / "JPEGImages").glob("*.jpg"))[:40]
    names = ("person", "car", "dog", "cat", "chair")
    shown = np.array([[f"<name>{n}</name>" in _annotation(folder, path) for n in names] for path in files])
    with torch.no_grad():
        images = torch.stack([released.preprocess(Image.open(path).convert("RGB")) for path in files])
        cosines = released.encode_global(images) @ ensemble_features(released.text, names).T  # type: ignore[arg-type]
    columns = [c for c in range(len(names)) if shown[:, c].any()]
    assert len(columns) >= 3
    precision = [average_precision_score(shown[:, c], cosines[:, c].numpy()) for c in columns]
    assert np.mean(precision) > 2 * shown[:, columns].mean()


def _annotation(folder: Path, image: Path) -> str:
    return (folder / "Annotations" / f"{image.stem}.xml").read_text(encoding="utf-8")


def test_lite0_is_the_tower_alone() -> None:
    backbone = open_backbone("lite0", weights="random")
    assert backbone.card.offers == ("image", "global")
    assert backbone.card.dim == 1280
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled, places = backbone.encode_regions(images)
        torch.testing.assert_close(backbone.encode_global(images), pooled)
    assert places.shape == (2, 4, 1280)


def test_the_places_are_the_tower_s_own(random: PhotoBackbone) -> None:
    assert isinstance(random.visual, WordedTower)
    assert {"conv_stem", "blocks", "classifier"} <= dict(random.visual.named_children()).keys()
