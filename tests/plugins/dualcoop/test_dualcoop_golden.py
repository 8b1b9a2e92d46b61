"""DualCoOp against its released code: what its vectors hold, computed by the recipe's own module."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.backbones.text import ClipTextTower
from ltbench.data.formats.names import COCO_CLASSES
from ltbench.method import Batch, Context, GradientStage, Stats
from ltbench_dualcoop.augment import paint_patch
from ltbench_dualcoop.method import DualCoOp
from ltbench_dualcoop.module import DualCoOpModule
from ltbench_dualcoop.sides import PromptSides
from tests.golden import golden
from tests.plugins.toy_cards import toy_card

DIM, WIDTH = 24, 32
VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


class Blind(Backbone):
    """CLIP's tokenizer and a small text tower; regions are handed in."""

    def preprocess(self, image: Image.Image) -> Tensor:
        raise NotImplementedError

    def encode_global(self, images: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 16, "head_width": 16, "patch_size": 16, "image_size": 32}
    text = {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 2, "layers": 1}
    model = CLIP(embed_dim=DIM, vision_cfg=vision, text_cfg=text).eval().requires_grad_(False)
    model.logit_scale.data.fill_(math.log(100))  # as in CLIP's released weights
    card = toy_card("global", "region", "text", name="blind", dim=DIM, region_dim=DIM)
    return Blind(card=card, text=ClipTextTower(model, SimpleTokenizer()))


def stage_of(backbone: Backbone, names: tuple[str, ...], variant: Any = "code", **options: Any) -> GradientStage:
    stats = Stats.of(np.array([[1, -1] * len(names)], dtype=np.int8)[:, : len(names)])
    context = Context(names, stats, backbone, torch.device("cpu"), seed=0, variant=variant)
    (stage,) = DualCoOp(DualCoOp.Config(images="backbone", augment="none", **options)).stages(context)
    assert isinstance(stage, GradientStage)
    return stage


def module_of(backbone: Backbone, names: tuple[str, ...], variant: Any = "code", **options: Any) -> DualCoOpModule:
    module = stage_of(backbone, names, variant, **options).module
    assert isinstance(module, DualCoOpModule)
    return module


class Given(nn.Module):
    """Class features or scores from a file in the place of prompts."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, *_: Any) -> Tensor:
        return self.features


def batch_of(regions: Tensor, labels: Tensor | None = None) -> Batch:
    rows = torch.arange(len(regions))
    return Batch(rows, (regions.mean(1), regions), torch.zeros(len(rows), 0) if labels is None else labels)


@pytest.mark.parametrize("case", ["s0", "s2"])
def test_region_aggregation(backbone: Backbone, case: str) -> None:
    arrays = golden("limited-labels", "dualcoop_region_aggregation")
    regions = torch.from_numpy(arrays[f"{case}__image_features"]).transpose(1, 2)
    texts = torch.from_numpy(arrays[f"{case}__text_features"])
    expected = torch.from_numpy(arrays[f"{case}__logits"]).float()
    module = module_of(backbone, ("cat", "dog"))
    module.sides = Given(texts.float().reshape(2, -1, texts.shape[1]))  # type: ignore[assignment]
    batch = batch_of(regions)
    torch.testing.assert_close(module.scores(batch), expected, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(module.logits(batch), expected[:, 1] - expected[:, 0], atol=5e-5, rtol=2e-5)
    printed = module_of(backbone, ("cat", "dog"), "paper")
    printed.sides = module.sides
    unit = torch.nn.functional.normalize(regions, dim=-1)
    cosines = unit @ torch.nn.functional.normalize(texts, dim=-1).T
    negative, positive = cosines.chunk(2, dim=2)
    weights = positive.softmax(dim=1)
    as_printed = 100 * torch.stack([(weights * negative).sum(1), (weights * positive).sum(1)], dim=1)
    torch.testing.assert_close(printed.scores(batch), as_printed.float(), atol=2e-5, rtol=2e-5)
    assert (as_printed - expected).abs().max() > 0.1


def test_the_mean_token_joins_the_places(backbone: Backbone) -> None:
    """The release's first place, for an encoder that has one; the regions alone for one that has none."""
    arrays = golden("limited-labels", "dualcoop_region_aggregation")
    every = torch.from_numpy(arrays["s0__image_features"]).transpose(1, 2).float()
    texts = torch.from_numpy(arrays["s0__text_features"]).float()
    expected = torch.from_numpy(arrays["s0__logits"]).float()

    class WithMean(Blind):
        def mean_token(self, regions: Tensor) -> Tensor:
            return every[:, 0]

    pooled = WithMean(card=backbone.card, text=backbone.text)
    with_mean, without = (module_of(pooled, ("cat", "dog"), mean_token=keep) for keep in (True, False))
    with_mean.sides = without.sides = Given(texts.reshape(2, -1, texts.shape[1]))  # type: ignore[assignment]
    batch = batch_of(every[:, 1:])
    torch.testing.assert_close(with_mean.scores(batch), expected, atol=2e-5, rtol=2e-5)
    assert (without.scores(batch) - expected).abs().max() > 0.1


LOSSES: dict[str, dict[str, Any]] = {
    "dualcoop_asl_g2_1": {},
    "dualcoop_asl_g4_1": {"gamma_neg": 4},
    "dualcoop_asl_g0_0": {"gamma_neg": 0, "gamma_pos": 0},
    "dualcoop_single_prompt_asl_pos": {"prompts": "positive"},
    "dualcoop_single_prompt_asl_neg": {"prompts": "negative"},
}


@pytest.mark.parametrize("key", LOSSES)
def test_losses(backbone: Backbone, key: str) -> None:
    arrays = golden("limited-labels", key)
    cases = sorted({name.split("__")[0] for name in arrays if "BUG" not in name})
    assert len(cases) > 1
    for case in cases:
        logits = torch.from_numpy(arrays[f"{case}__logits"]).requires_grad_()
        labels = torch.from_numpy(arrays[f"{case}__labels"])
        # The release: 1, 0 and, in the dual loss, -1 for unknown.
        observed = torch.where(labels == 1, 1, torch.where(labels == 0, -1, 0)).to(torch.int8)
        module = module_of(backbone, ("cat", "dog"), loss_weight=0.03, classes_per_step=None, **LOSSES[key])
        scores = logits if module.dual else logits[:, None]
        module.scores = lambda batch, classes=None, given=scores: given  # type: ignore[method-assign]
        batch = Batch(torch.arange(len(labels)), torch.zeros(len(labels), DIM), observed)
        loss = module.loss(batch)["loss_cls"]
        expected = 0.03 * torch.from_numpy(arrays[f"{case}__loss"])
        torch.testing.assert_close(loss, expected.to(loss), atol=1e-9, rtol=1e-9)
        (gradient,) = torch.autograd.grad(loss, logits)
        torch.testing.assert_close(gradient, 0.03 * torch.from_numpy(arrays[f"{case}__grad"]), atol=1e-9, rtol=1e-9)
        if f"{case}__ppos" in arrays:
            probability = module.logits(batch).sigmoid()
            torch.testing.assert_close(probability, torch.from_numpy(arrays[f"{case}__ppos"]), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(("data", "names"), [("coco", COCO_CLASSES), ("voc", VOC)])
@pytest.mark.parametrize("count", [4, 16, 64])
def test_prompt_tokens(backbone: Backbone, data: str, names: tuple[str, ...], count: int) -> None:
    tokens = torch.from_numpy(golden("limited-labels", "dualcoop_prompt_tokens")[f"{data}_X{count}"]).long()
    module = module_of(backbone, tuple(name.replace(" ", "_") for name in names), context_tokens=count)
    assert isinstance(module.sides, PromptSides)
    assert list(module.sides.sides) == ["negative", "positive"]
    assert backbone.text is not None
    for side in module.sides.sides.values():
        embeddings, ends = side.prompts()  # type: ignore[operator]
        assert torch.equal(ends, tokens.argmax(dim=1))
        expected = backbone.text.embed_tokens(tokens[:, : embeddings.shape[1]])
        for row, end in enumerate(ends.tolist()):
            torch.testing.assert_close(embeddings[row, 0], expected[row, 0], atol=0, rtol=0)
            after = slice(1 + count, end + 1)
            torch.testing.assert_close(embeddings[row, after], expected[row, after], atol=0, rtol=0)
        learned = embeddings[:, 1 : 1 + count]
        torch.testing.assert_close(learned, side.prompts.ctx.expand_as(learned), atol=0, rtol=0)  # type: ignore[union-attr,operator]


@pytest.mark.parametrize(("data", "names"), [("coco", COCO_CLASSES), ("voc", VOC)])
def test_tokens_of_names_and_sentences(backbone: Backbone, data: str, names: tuple[str, ...]) -> None:
    arrays = golden("limited-labels", "dualcoop_prompt_tokens")
    assert backbone.text is not None
    plain = [name.replace("_", " ") for name in names]
    assert torch.equal(
        backbone.text.tokenize([f"a photo of a {name}." for name in plain]),
        torch.from_numpy(arrays[f"{data}_photo"]).long(),
    )
    # Between start and end.
    found = backbone.text.tokenize(plain).argmax(dim=1) - 1
    assert found.tolist() == arrays[f"{data}_name_token_count"].tolist()


@pytest.mark.parametrize("lr", [0.002, 0.001])
def test_learning_rates(backbone: Backbone, lr: float) -> None:
    expected = golden("limited-labels", "dualcoop_lr_schedule")[f"lr{lr}"]
    (group,) = stage_of(backbone, ("cat", "dog"), lr=lr).param_groups
    steps = 7
    rates = [group.lr * group.schedule.factor(step, steps, 50) for step in range(50 * steps)]
    np.testing.assert_allclose(rates, np.repeat(expected, steps), rtol=1e-12)
    assert (group.weight_decay, len(list(group.params))) == (5e-4, 2)


@pytest.mark.parametrize(("case", "size"), [("s0_16x16", (16, 16)), ("s2_20x12", (20, 12))])
def test_painted_patch(case: str, size: tuple[int, int]) -> None:
    arrays = golden("limited-labels", "cutout_pil")
    seed = int(arrays[f"{case}__seed"])
    random.seed(seed)
    draws = np.random.RandomState(seed)
    down, across = int(draws.randint(size[0])), int(draws.randint(size[1]))
    colour = (random.randint(0, 255), random.randint(0, 255), random.randint(0, 255))
    painted = paint_patch(Image.new("RGB", size, (1, 2, 3)), 0.5, down, across, colour)
    assert np.array_equal(np.asarray(painted), arrays[case])
