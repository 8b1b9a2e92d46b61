"""Batch norms folded into convolutions: while a frozen tower encodes, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.backbones.precision import foldable, folded
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.square import SquareImages
from ltbench.backbones.views import identity
from ltbench.backbones.weights import state_sha256
from ltbench.engine.inputs import EncodedLive, ImageInputs
from ltbench.method import Batch, FineTuned
from tests.benchmarks.test_whole_job import Photographs

PIXELS = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))

TIMM = ("resnet18", "resnet50d", "seresnet50", "resnetaa50", "resnest14d", "res2net50_14w_8s")


def stirred(backbone: Backbone) -> Backbone:
    """With batch norms that do something: those of random weights are nearly the identity."""
    assert backbone.visual is not None
    generator = torch.Generator().manual_seed(1)
    for part in backbone.visual.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values, low in ((part.weight, 0.7), (part.running_var, 0.5), (part.bias, -0.1), (part.running_mean, 0)):
                assert values is not None
                values.data = low + 0.6 * torch.rand(values.shape, generator=generator)
    return backbone


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def rn50() -> Backbone:
    return stirred(open_backbone("clip-rn50", weights="random"))


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_features_and_regions_of_rn50(rn50: Backbone) -> None:
    assert isinstance(rn50, ClipBackbone)
    quick = rn50.for_encoding()
    assert isinstance(quick, ClipBackbone)
    assert norms(quick.tower) == 0
    assert norms(rn50.tower) == 55
    with torch.no_grad():
        pairs = [
            (quick.encode_global(PIXELS), rn50.encode_global(PIXELS)),
            *zip(quick.encode_regions(PIXELS), rn50.encode_regions(PIXELS), strict=True),
            (quick.encode_fitted(PIXELS), rn50.encode_fitted(PIXELS)),
        ]
    for found, expected in pairs:
        assert not torch.equal(found, expected)
        assert relative(found, expected) < 1e-5


def test_the_tower_is_what_it_was(rn50: Backbone) -> None:
    assert rn50.visual is not None
    before = state_sha256(rn50.visual)
    quick = rn50.for_encoding()
    assert quick.visual is rn50.visual
    assert quick.text is rn50.text
    assert quick.card is rn50.card
    assert state_sha256(rn50.visual) == before
    assert "channels-last folded-norms" in rn50.card.revision


@pytest.mark.parametrize("name", TIMM)
def test_resnets_of_timm(name: str) -> None:
    backbone = stirred(open_backbone(f"timm:{name}", weights="random"))
    assert "folded-norms" in backbone.card.revision
    quick = backbone.for_encoding()
    with torch.no_grad():
        found, expected = quick.encode_global(PIXELS), backbone.encode_global(PIXELS)
        assert relative(quick.encode_regions(PIXELS)[1], backbone.encode_regions(PIXELS)[1]) < 1e-5
    assert not torch.equal(found, expected)
    assert relative(found, expected) < 1e-5


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("tiny-clip", "float32"), ("clip-vit-b32", "float32"), ("timm:resnet50_gn", "float32"), ("clip-rn50", "bfloat16")],
)
def test_others_encode_as_they_did(name: str, dtype: str) -> None:
    weights = None if name == "tiny-clip" else "random"
    backbone = open_backbone(name, weights=weights, dtype=dtype)  # type: ignore[arg-type]
    assert backbone.for_encoding() is backbone
    assert "folded-norms" not in backbone.card.revision


def test_what_does_more_than_normalise_is_left_alone() -> None:
    class Activated(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    tower = nn.Sequential(nn.Conv2d(3, 4, 3), Activated(4), nn.Conv2d(4, 5, 1), nn.ReLU(), nn.BatchNorm2d(5)).eval()
    assert foldable(tower) == []
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
    assert [names[1:] for names in foldable(plain)] == [("0", "1")]
    assert foldable(folded(plain)) == []


def test_the_cache_holds_what_the_folded_tower_gives(rn50: Backbone, tmp_path: Path) -> None:
    """Also behind square images, and for images that are augmented live."""
    photographs = Photographs(3)
    square = SquareImages(rn50, 224)
    for backbone in (rn50, square):
        found = FeatureCache(tmp_path / str(backbone is square)).features(
            backbone, photographs, ["a", "b", "c"], views=[identity()]
        )
        cached = torch.from_numpy(found.global_[:, 0].copy())
        pixels = torch.stack([backbone.preprocess(photographs.load(row)) for row in range(3)])
        live = EncodedLive(ImageInputs(photographs, backbone, None), backbone, False, torch.device("cpu"))
        with torch.no_grad():
            assert torch.equal(cached, backbone.for_encoding().encode_global(pixels))
            plain = backbone.encode_global(pixels)
        again = live.finish(list(pixels))
        assert isinstance(again, Tensor)
        assert torch.equal(again, cached)
        assert not torch.equal(plain, cached)
        assert relative(cached, plain) < 1e-5


def test_a_tower_that_is_trained_is_the_module_itself() -> None:
    backbone = stirred(open_backbone("timm:resnet18", weights="random"))
    module = FineTuned(backbone, nn.Linear(512, 3), nn.BCEWithLogitsLoss())
    for parameter in module.parameters():
        parameter.requires_grad_()
    batch = Batch(torch.arange(2), PIXELS, torch.ones(2, 3))
    module.train()
    torch.autograd.backward(module.loss(batch)["loss_cls"])
    assert module.tower is backbone.visual
    trained = [name for name, parameter in module.tower.named_parameters() if parameter.grad is not None]
    assert any(".bn1." in name for name in trained)
    assert len(trained) == len(list(module.tower.parameters()))
