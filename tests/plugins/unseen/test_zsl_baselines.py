"""Zero-shot baselines: names first heard at test, unknown labels, word vectors, presets; alike for all."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltbench.backbones.base import Backbone
from ltbench.method import Batch
from ltbench.method.config import build_config, load_presets
from ltbench.nn import ensemble_features
from ltbench.plugin import UserError
from tests.plugins.unseen.zsl_toys import LEARNED, NAMES, SPECS, UNSEEN, batch_of, build


def total(module: Any, batch: Batch) -> Tensor:
    return torch.stack([term for name, term in module.loss(batch).items() if name.startswith("loss")]).sum()


@pytest.mark.parametrize("name", LEARNED)
def test_every_parameter_learns_and_nothing_else(backbone: Backbone, full: npt.NDArray[np.int8], name: str) -> None:
    stage = build(backbone, name, full)
    # An attention that starts at zero has no gradient for what it multiplies until it has moved.
    stage.module.train()
    total(stage.module, batch_of(full)).backward()  # type: ignore[no-untyped-call]
    declared = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in declared} == {id(p) for p in stage.module.parameters()}
    assert all(p.grad is not None for p in declared)
    assert backbone.text is not None
    assert all(p.grad is None for p in backbone.text.parameters())


@pytest.mark.parametrize("name", LEARNED)
def test_it_answers_for_names_first_heard_at_test_and_comes_back(
    backbone: Backbone, full: npt.NDArray[np.int8], name: str
) -> None:
    module: Any = build(backbone, name, full).module.eval()
    batch = batch_of(full)
    seen = module.logits(batch)
    module.set_classes((*NAMES, *UNSEEN))
    both = module.logits(batch)
    assert both.shape == (len(full), 7)
    # A class is scored by its own word vector: company at test changes nothing.
    torch.testing.assert_close(both[:, :5], seen)
    module.set_classes(tuple(reversed(UNSEEN)))
    torch.testing.assert_close(module.logits(batch), both[:, [6, 5]])
    module.set_classes(NAMES)
    assert torch.equal(module.logits(batch), seen)


@pytest.mark.parametrize("name", LEARNED)
def test_unknown_labels_a_single_row_and_empty_sides(backbone: Backbone, full: npt.NDArray[np.int8], name: str) -> None:
    module: Any = build(backbone, name, full).module.train()
    labels = full.copy()
    labels[:, 4] = -1
    labels[:3] = 0
    with torch.no_grad():  # some start at zero, where nothing flows back
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    batch = batch_of(labels)
    assert isinstance(batch.input, tuple)
    pooled, places = (part.requires_grad_(True) for part in batch.input)
    loss = total(module, Batch(batch.rows, (pooled, places), batch.observed))
    grads = torch.autograd.grad(loss, [pooled, places], allow_unused=True)
    assert torch.isfinite(loss)
    for gradient in grads:
        if gradient is not None:
            assert not gradient[:3].any()
            assert gradient[3:].any()
    for only in (np.zeros((1, 5)), -np.ones((1, 5)), np.ones((1, 5)), np.zeros((3, 5))):
        module.train()
        assert torch.isfinite(total(module, batch_of(only.astype(np.int8))))


@pytest.mark.parametrize("name", LEARNED)
def test_it_learns_to_rank_what_training_shows(backbone: Backbone, full: npt.NDArray[np.int8], name: str) -> None:
    stage = build(backbone, name, full)
    module: Any = stage.module.train()
    batch = batch_of(full)
    optimizer = torch.optim.Adam(stage.module.parameters(), lr=3e-2)
    losses = []
    for _ in range(40):
        loss = total(module, batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("name", LEARNED)
def test_state_holds_no_word_vectors_and_a_copy_shares_the_tower(
    backbone: Backbone, full: npt.NDArray[np.int8], name: str
) -> None:
    module: Any = build(backbone, name, full).module
    assert not {"words", "seen"} & set(module.state_dict())
    twin = copy.deepcopy(module)
    assert twin._lookup is module._lookup
    assert module._lookup._context.observed.numel() == 0
    assert module._lookup._context.backbone is backbone


@pytest.mark.parametrize("name", LEARNED)
def test_words_come_from_the_text_tower_or_a_file(
    backbone: Backbone, full: npt.NDArray[np.int8], name: str, tmp_path: Path
) -> None:
    assert backbone.text is not None
    module: Any = build(backbone, name, full).module
    torch.testing.assert_close(module.words, ensemble_features(backbone.text, NAMES))
    file = tmp_path / "words.txt"
    known = ("cat", "dog", "traffic", "light", "person", "bus", "zebra")
    file.write_text("".join(f"{word} {number} 1 -2\n" for number, word in enumerate(known)), encoding="utf-8")
    options = {"words": "glove", "glove_file": str(file)}
    spec = SPECS[name]
    needs = spec.load()(build_config(spec.load().Config, name, spec.config, options)).needs()
    assert (needs.text, needs.extras, needs.classes, needs.calibrated) == (False, ("GloVe",), "open", False)
    module = build(backbone, name, full, **options).module.eval()
    torch.testing.assert_close(module.words[2], normalize(torch.tensor([2.5, 1.0, -2.0]), dim=0))
    module.set_classes(("zebra",))
    assert module.logits(batch_of(full)).shape == (len(full), 1)
    with pytest.raises(UserError, match="lack red, umbrella"):
        module.set_classes(UNSEEN)


@pytest.mark.parametrize("name", LEARNED)
def test_one_hot_vectors_cannot_name_new_classes(name: str) -> None:
    spec = SPECS[name]
    with pytest.raises(UserError, match="words"):
        build_config(spec.load().Config, name, spec.config, {"words": "one-hot"})


def test_heads_that_do_not_divide_the_channels_are_refused(backbone: Backbone, full: npt.NDArray[np.int8]) -> None:
    with pytest.raises(UserError, match="3 heads do not divide 8 channels"):
        build(backbone, "biam", full, heads=3)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_recipe_has_a_preset_for_shapes(name: str) -> None:
    spec = SPECS[name]
    (preset,) = [p for p in load_presets(spec) if p.name == "shapes"]
    assert (preset.tasks, preset.backbones) == (("shapes-zsl",), ("tiny-clip",))
    assert set(spec.load().search_space()) <= set(spec.load().Config.model_fields)


def test_published_settings_are_those_of_the_releases() -> None:
    published = {
        (name, preset.tasks[0]): build_config(spec.load().Config, name, spec.config, preset.overrides).model_dump()
        for name, spec in SPECS.items()
        for preset in load_presets(spec)
        if preset.origin.startswith("published")
    }
    release = {
        "lr": 2.5e-5,
        "weight_decay": 3e-4,
        "epochs": 10,
        "batch_size": 32,
        "schedule": "onecycle",
        "spread": 0.01,
    }
    biam = {"lr": 1e-3, "weight_decay": 5e-4, "epochs": 40, "heads": 8, "channels": 256, "largest": 6}
    expected: dict[tuple[str, str], dict[str, Any]] = {
        ("sdl", "zsl-coco"): {**release, "directions": 2, "loss": "diversity", "optimizer": "adam"},
        ("sdl", "zsl-nus"): {**release, "directions": 7, "loss": "diversity", "optimizer": "adam"},
        ("biam", "zsl-nus"): {**biam, "optimizer": "adam", "schedule": "constant"},
        ("dual-templates", "zsl-coco"): {"positive": "a photo of a {}", "negative": "a photo without a {}"},
    }
    assert set(published) == set(expected)
    for key, stated in expected.items():
        assert {name: published[key][name] for name in stated} == stated
