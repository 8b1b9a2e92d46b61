"""LMPT's variant ``code``: the released formulas through the recipe's own path, and its drifting image tower."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, Stats
from ltbench.plugin import MethodSpec
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import extra_specs
from ltbench.testing import checks, kit
from ltbench_lmpt.method import LMPT
from ltbench_lmpt.module import LMPTModule, TokenCaptions
from ltbench_lmpt.tower import DriftingTower
from tests.golden import golden as vectors

DATA_SETS = {"voc": (1142, 0.3, 5.0), "coco": (1909, 0.2, 2.0)}
SAMPLE = ("voc_b8_s0", "voc_b32_s1", "voc_allpos_row", "voc_big_wrong", "voc_mid20", "voc_b1", "coco_b16_s0")


@pytest.fixture
def golden() -> Callable[[str], dict[str, np.ndarray]]:
    return partial(vectors, "ltml")


@pytest.fixture
def build(backbone) -> Callable[..., LMPTModule]:
    """The recipe's module under variant ``code`` for given counts of positives."""

    def make(counts: np.ndarray, rows: int, encoder: Backbone | None = None, **options) -> LMPTModule:
        positives = np.asarray(counts, dtype=np.int64)
        stats = Stats(rows, positives, rows - positives, np.diag(positives))
        names = tuple(f"name{number}" for number in range(len(positives)))
        context = Context(names, stats, encoder or backbone, torch.device("cpu"), seed=0, variant="code")
        (stage,) = LMPT(LMPT.Config(**options)).stages(context)
        return stage.module

    return make


def close(actual: Tensor, expected: np.ndarray, digits: float = 1e-12) -> None:
    wanted = torch.as_tensor(np.asarray(expected), dtype=torch.float64)
    scale = max(float(wanted.abs().max()), 1 / wanted.numel())
    torch.testing.assert_close(actual.detach().double(), wanted, rtol=1e-10, atol=digits * scale)


@pytest.mark.parametrize("case", SAMPLE)
@pytest.mark.parametrize(
    ("key", "loss"),
    [
        ("lmpt_dbl_focal", "db-focal"),
        ("lmpt_dbl_nofocal", "db"),
        ("lmpt_asl", "asl"),
        ("lmpt_bce", "bce"),
        ("lmpt_mls", "mls"),
    ],
)
def test_classification_losses_are_the_released_ones(golden, build, key, loss, case):
    inputs, arrays = golden("inputs"), golden(key)
    data = case.split("_")[0]
    rows, theta, neg_scale = DATA_SETS[data]
    module = build(inputs[f"class_freq_{data}"], rows, loss=loss, theta=theta, neg_scale=neg_scale)
    logits = torch.from_numpy(inputs[f"{case}__x"]).double().requires_grad_()
    value = module.criterion(logits, torch.from_numpy(inputs[f"{case}__y"] * 2 - 1).to(torch.int8))
    close(value, arrays[f"{case}__loss_f64"])
    (gradient,) = torch.autograd.grad(value, logits)
    close(gradient, arrays[f"{case}__grad_f64"])


@pytest.mark.parametrize("case", ["small", "b8"])
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "dimfix_raw_counts_margin0.2_gamma2"),
        ({"eta": 1.0, "cse_gamma": 1.0}, "dimfix_raw_counts_margin1.0_gamma1"),
        ({"class_aware_margin": False, "reweighting": False}, "no_counts_margin0.2_gamma2"),
    ],
)
def test_embedding_loss_is_the_released_one_repaired(golden, build, monkeypatch, backbone, case, options, field):
    inputs, arrays = golden("inputs"), golden("lmpt_cse_code")
    skip = int(arrays[f"{case}__m_ctx"])
    module = build(inputs["class_freq_voc"], 1142, lambda_cls=0.0, cse_skip=skip, **options)
    # The vectors are embeddings, not texts: a vocabulary in which every position of every caption is a word.
    captions = torch.from_numpy(arrays[f"{case}__captions_embedding"]).double()
    prompts = torch.from_numpy(arrays[f"{case}__prompt_embedding"]).double().requires_grad_()
    count, length, _ = captions.shape
    first = 1000  # beyond the vocabulary of the class names
    words = first + torch.arange(count * length).reshape(count, length)
    embed = backbone.text.embed_tokens

    def embedded(tokens: Tensor) -> Tensor:
        return captions.flatten(0, 1)[tokens - first] if bool((tokens >= first).all()) else embed(tokens)

    monkeypatch.setattr(backbone.text, "tokenize", lambda texts: words[[int(text) for text in texts]])
    monkeypatch.setattr(backbone.text, "embed_tokens", embedded)
    monkeypatch.setattr(module.classifier.prompts, "padded", lambda: prompts)
    labels = torch.from_numpy(arrays[f"{case}__labels"] * 2 - 1).to(torch.int8)
    batch = Batch(torch.arange(count), torch.randn(count, 16), labels, tuple(str(row) for row in range(count)))
    value = module.loss(batch)["loss_cse"]
    close(value, arrays[f"{case}__{field}__loss_f64"])
    (gradient,) = torch.autograd.grad(value, prompts)
    close(gradient, arrays[f"{case}__{field}__gradprompt_f64"])


def test_embedding_loss_spelled_out(build, make_batch, backbone, full):
    """Captions cut to 75 characters, prompts of full length, m positions dropped, the sign as released."""
    counts = [float(n) for n in Stats.of(full).positives]
    module = build(Stats.of(full).positives, len(full), lambda_cls=0.25, cse_skip=2, eta=30.0)
    assert isinstance(module.embedding, TokenCaptions)
    batch = make_batch()
    long = Batch(
        batch.rows, batch.input, batch.observed, tuple(f"{text} {'x' * 80} cut off" for text in batch.captions)
    )
    tower = backbone.text
    captions = tower.embed_tokens(tower.tokenize([text[:75] for text in long.captions]))
    prompts = tower.embed_tokens(tower.tokenize([f"a photo of a name{number}." for number in range(len(counts))]))
    weights = torch.tensor([n**-2.0 for n in counts])
    weights = weights / weights.sum()
    total = 0.0
    for row in range(len(full)):
        for column, count in enumerate(counts):
            cosines = torch.cosine_similarity(captions[row, :-2], prompts[column, 2:], dim=1)
            distance = float((1 - cosines).sum())
            hinge = max(0.0, 30.0 * count**-0.25 - float(full[row, column]) * distance)
            total += float(weights[column]) * hinge
    value = module.loss(long)["loss_cse"]
    assert float(value.detach()) == pytest.approx(0.75 * total / full.size, rel=1e-4)


def test_absent_classes_are_pulled_and_dropped_positions_get_no_gradient(build, make_batch, full):
    module = build(Stats.of(full).positives, len(full), lambda_cls=0.0, cse_skip=3, class_specific=True)
    batch = make_batch()
    before = module.loss(batch)["loss_cse"]
    before.backward()
    context = module.classifier.prompts.ctx
    # Positions 1 to 4 hold the context, position 0 the start: the first three are dropped.
    assert not context.grad[:, :2].any()
    assert context.grad[:, 2:].any()
    with torch.no_grad():
        context -= 0.1 * context.grad / context.grad.norm()
    assert module.loss(batch)["loss_cse"] < before
    absent = torch.full_like(batch.observed, -1)
    bare = Batch(batch.rows, batch.input, absent, batch.captions)
    assert module.loss(bare)["loss_cse"] > module.loss(Batch(*bare_as(bare, 1)))["loss_cse"]


def bare_as(batch: Batch, label: int) -> tuple[Tensor, Tensor, Tensor, tuple[str, ...]]:
    return batch.rows, batch.input, torch.full_like(batch.observed, label), batch.captions


def test_unknown_labels_contribute_nothing(build, make_batch, observed):
    observed = observed.copy()
    observed[:, 2] = 0
    module = build(Stats.of(observed).positives, len(observed), class_specific=True, init=None, context_tokens=4)
    sum(module.loss(make_batch(observed)).values()).backward()
    gradient = module.classifier.prompts.ctx.grad
    assert not gradient[2].any()
    assert gradient[0].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "focal"}, "does not train with loss focal, only with db-focal, db, asl, bce, mls"),
        ({"reduction": "per-image"}, "one focal factor a batch"),
        ({"cse_tokens": 2}, "the released code has no cse_tokens"),
        ({"cse_skip": 24}, "cse_skip is 24, and prompts of this backbone have 24 positions"),
    ],
)
def test_what_the_code_cannot_do_is_refused(build, options, message):
    with pytest.raises(UserError, match=message):
        build(np.array([4, 3, 1]), 8, **options)


@pytest.fixture
def convolutional(backbone) -> Backbone:
    """The toy's text tower beside an image tower with batch normalisation."""

    class Convolutional(type(backbone)):  # type: ignore[misc]
        def encode_global(self, images: Tensor) -> Tensor:
            features: Tensor = self.visual(images)
            return features

    torch.manual_seed(8)
    visual = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Convolutional(backbone.card, visual.eval().requires_grad_(False), backbone.text)


@pytest.fixture
def images() -> Tensor:
    return torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(9)) * 3 + 1


def test_batch_statistics_drift_in_a_copy(convolutional, images):
    before = copy.deepcopy(convolutional.visual.state_dict())
    tower = DriftingTower(convolutional)
    assert not tower.training or tower.train() is tower
    plain = convolutional.encode_global(images)
    tower.eval()
    torch.testing.assert_close(tower(images), plain)
    tower.train()
    assert not torch.allclose(tower(images), plain)
    hidden = convolutional.visual[0](images)
    torch.testing.assert_close(tower.norms[0].running_mean, 0.1 * hidden.mean(dim=(0, 2, 3)))
    tower.eval()
    assert not torch.allclose(tower(images), plain)
    for name, value in convolutional.visual.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_drift_is_state_and_nothing_else_of_the_tower_is(convolutional, images):
    tower = DriftingTower(convolutional).train()
    tower(images)
    state = copy.deepcopy(tower.state_dict())
    assert {name.split(".")[0] for name in state} == {"norms"}
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    again = DriftingTower(convolutional)
    again.load_state_dict(state)
    assert torch.equal(again.eval()(images), tower.eval()(images))
    moved = again.double()
    assert moved(images.double()).dtype == torch.float64
    assert convolutional.encode_global(images).dtype == torch.float32


def test_module_with_drift_reads_images(build, convolutional, images, full):
    module = build(Stats.of(full).positives, len(full), convolutional, batch_norm="drift", use_cse=False)
    batch = Batch(torch.arange(6), images, torch.from_numpy(full[:6]))
    module.train()
    module.loss(batch)["loss_cls"].backward()
    assert [name for name, p in module.named_parameters() if p.grad is not None] == ["classifier.prompts.ctx"]
    module.eval()
    first, second = module.logits(batch), module.logits(batch)
    assert first.shape == (6, 5)
    assert torch.equal(first, second)


def test_needs_follow_the_options():
    assert LMPT(LMPT.Config()).needs().input == "global"
    needs = LMPT(LMPT.Config(batch_norm="drift", images="square")).needs()
    assert (needs.input, needs.images) == ("image", "square")


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({"images": "square"}, ("finite loss", "another class count works")),
        ({"batch_norm": "drift"}, ("gradients only where declared", "resume equals no interruption")),
    ],
    ids=["cached", "drift"],
)
def test_variant_code_keeps_the_contract(monkeypatch, config, kept):
    monkeypatch.setattr(kit, "CHECKS", {title: checks.CHECKS[title] for title in kept})
    spec = MethodSpec(
        name="released", target="ltbench_lmpt.method:LMPT", summary="a toy", variants=("code",), config=config
    )
    with extra_specs([spec]):
        results = kit.check_method("released", weights="random")
    assert [(result.name, result.status) for result in results] == [(title, "passed") for title in kept], results
