"""What COMIC does with labels and state: corrections, counters, ablations, and rows that would break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.method import Batch
from ltbench_comic.method import Comic
from tests.plugins.comic.comic_toys import batch_of, method_of, module_of, partial, stage_of, total
from tests.plugins.two_stream_toys import (
    NAMES,
    ROWS,
    interrupted_and_not,
)

ABLATIONS: dict[str, dict[str, Any]] = {
    "comic": {},
    "no-rlc": {"rlc": False},
    "no-mfm": {"mfm": "off"},
    "pn": {"mfm": "pn"},
    "ht": {"mfm": "ht"},
    "no-htb": {"htb": False},
    "head": {"model": "head"},
    "tail": {"model": "tail", "rlc": False},
}


def nothing() -> Iterator[Batch]:
    return iter(())


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_group_learns_and_odd_batches_give_no_nan(name: str, variant: str) -> None:
    labels = partial()
    stage = stage_of(labels, variant, **ABLATIONS[name])
    module = module_of(stage)
    params = [p for group in stage.param_groups for p in group.params]
    assert {id(p) for p in params} == {id(p) for p in module.parameters()}
    assert len({group.name for group in stage.param_groups}) == len(stage.param_groups)
    odd = labels[:9].copy()
    odd[0] = 0  # a row without a present label
    odd[1] = 1  # a row that shows everything
    odd[2] = -1  # a row that is known to show nothing
    batches = (odd, odd[:1], odd[1:2], odd[2:3], np.zeros((3, len(NAMES)), np.int8), odd[:0])
    for number, rows in enumerate(batches):
        module.zero_grad()
        loss = total(module.loss(batch_of(rows)))
        assert torch.isfinite(loss), number
        if len(rows) > 1:
            loss.backward()
            assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in params), number
            if number == 0:
                assert all(any((p.grad != 0).any() for p in group.params) for group in stage.param_groups)
        assert torch.isfinite(module.logits(batch_of(rows))).all()


def test_groups_and_terms_of_each_ablation() -> None:
    def parts(**options: Any) -> tuple[set[str], set[str]]:
        stage = stage_of(partial(), **options)
        terms = module_of(stage).loss(batch_of(partial()[:8]))
        return {group.name for group in stage.param_groups}, set(terms)

    models = ("head", "tail", "balanced")
    groups, terms = parts()
    assert groups == {f"{m}-{part}" for m in models for part in ("features", "classifier")} | {"attention"}
    assert terms == {f"loss_{part}_{m}" for m in models for part in ("mfm", "rlc")} | {"loss_htb"}
    assert parts(rlc=False) == (groups, {f"loss_mfm_{m}" for m in models} | {"loss_htb"})
    for model, options in (("balanced", {"htb": False}), ("head", {"model": "head"}), ("tail", {"model": "tail"})):
        found = parts(**options)
        assert found == ({f"{model}-features", f"{model}-classifier"}, {f"loss_mfm_{model}", f"loss_rlc_{model}"})
    assert parts(attention=0.0) == (groups - {"attention"}, terms)
    assert parts(htb_weight=0.0) == (groups, terms - {"loss_htb"})


def test_factors_alone_and_cross_entropy() -> None:
    labels = partial()
    logits = torch.randn(8, len(NAMES), generator=torch.Generator().manual_seed(0))
    target = (torch.from_numpy(labels[:8]) > 0).float()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = torch.sigmoid(logits)
    for variant in ("code", "paper"):
        made = {
            name: module_of(stage_of(labels, variant, **ABLATIONS[name])).criterion for name in ("no-mfm", "pn", "ht")
        }
        given = torch.from_numpy(labels[:8])
        torch.testing.assert_close(made["no-mfm"](logits, given), entropy.sum())
        factor = made["ht"].factors.of_classes(made["ht"].class_counts, torch.float32)
        assert factor.tolist() == sorted(factor.tolist())
        if variant == "paper":
            pn = torch.where(target > 0, 1.0, p**3) * entropy
            torch.testing.assert_close(made["pn"](logits, given), pn.sum())
            ht = torch.where(target > 0, 1.0, p**factor) * entropy
            torch.testing.assert_close(made["ht"](logits, given), ht.sum())


def test_corrections_are_unknown_labels_of_this_epoch_and_batches_keep_theirs() -> None:
    labels = partial()
    labels[:20, 1] = -1
    stage = stage_of(labels, tau=0.5)
    module = module_of(stage)
    module.on_epoch_start(0, nothing)
    assert module.decisions() == []
    expected: set[tuple[int, int]] = set()
    for start in (0, 8, 16, 24, 32):
        batch = batch_of(labels[start : start + 8], start)
        before = batch.observed.clone()
        corrector = module.stream("balanced").corrector
        assert corrector is not None
        counts = corrector.class_counts.clone()
        module.loss(batch)
        assert torch.equal(batch.observed, before)
        found = module.corrected[start : start + 8]
        assert not found[batch.observed != 0].any()
        assert torch.equal(corrector.class_counts, counts + found.sum(dim=0))
        expected |= {(start + row, column) for row, column in found.nonzero().tolist()}
    assert expected
    assert set(module.decisions()) == expected
    moving = {name: module.stream(name).moving.value.clone() for name in module.models}
    module.on_epoch_start(1, nothing)
    assert module.decisions() == []
    for name in module.models:
        corrector = module.stream(name).corrector
        assert corrector is not None
        assert torch.equal(corrector.class_counts, corrector.initial)
        assert torch.equal(module.stream(name).moving.value, moving[name])
    # One row is its own mean, which nothing exceeds.
    module.loss(batch_of(labels[:1]))
    assert module.decisions() == []


def test_evaluation_changes_no_state() -> None:
    stage = stage_of(partial(), tau=0.3)
    module = module_of(stage)
    module.loss(batch_of(partial()[:8]))
    module.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    batch = batch_of(partial()[8:16], 8)
    assert torch.equal(module.logits(batch), module.logits(batch))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    alone = torch.cat([module.logits(batch_of(partial()[8:9], 8)), module.logits(batch)[1:]])
    torch.testing.assert_close(alone[1:], module.logits(batch)[1:])


def test_head_loses_and_tail_gains_what_lies_along_the_moving_vector() -> None:
    module = module_of(stage_of(partial()))
    inputs = dict.fromkeys(module.models, batch_of(partial()[:8]).features)
    found = module.outputs(inputs)
    for name, effect in (("head", -1.0), ("tail", 2.0)):
        model = module.stream(name)
        features = torch.log_softmax(model.linear(inputs[name]), dim=1)
        part = model.classifier.effect(features, model.moving.value)
        torch.testing.assert_close(found.moved[name], found.plain[name] + effect * part)
    assert found.moved["balanced"] is found.plain["balanced"]


@pytest.mark.parametrize("options", [{}, {"drop_last": True, "mfm": "off"}, {"model": "tail"}])
def test_resume_in_the_middle_equals_no_interruption(tmp_path: Path, options: dict[str, Any]) -> None:
    whole, resumed = interrupted_and_not(method_of(tau=0.2, **options), tmp_path, stop_after=0)
    assert whole.decisions == resumed.decisions
    # Found before the interruption and after it.
    assert {0, 1} <= {epoch for _, _, epoch in whole.decisions}
    first, second = whole.capture(), resumed.capture()
    assert set(first) == set(second)
    assert any(name.endswith("moving.value") for name in first)
    assert any(name.endswith("corrected") for name in first)
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_it_learns_what_features_show() -> None:
    labels = partial()
    stage = stage_of(labels, feature_dim=32)
    module = module_of(stage)
    batch = batch_of(labels)
    assert len(batch.rows) == ROWS
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        total(module.loss(batch)).backward()
        optimiser.step()
    module.eval()
    logits = module.logits(batch)
    for column in range(3):
        shown = batch.observed[:, column] == 1
        assert logits[shown, column].mean() > logits[~shown, column].mean() + 1


def test_needs_and_search_space() -> None:
    method = method_of()
    needs = method.needs()
    assert (needs.input, needs.unknown, needs.classes) == ("global", "own", "fixed")
    assert set(Comic.search_space()) <= set(Comic.Config.model_fields)
