"""HSPNet: what it trains, what it does with unknown labels, how variants differ, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ltbench.method import Batch, Context
from ltbench.plugin import UserError
from ltbench_hspnet.method import HSPNet
from tests.plugins.hspnet.hspnet_toys import (
    GROUPS,
    SPECS,
    build,
    config_of,
    context,
    features_of,
    single_positive,
    towers,
)
from tests.plugins.two_stream_toys import batch_of, phase_of


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("recipe", sorted(SPECS))
@pytest.mark.parametrize("trained", [True, False])
def test_gradients_reach_what_is_declared_and_nothing_else(recipe: str, variant: str, trained: bool) -> None:
    where, labels = context(variant=variant), single_positive()
    stage, module = build(where, recipe, train_encoder=trained)
    loss = module.loss(batch_of(labels) if trained else features_of(labels))["loss_splc"]
    assert torch.isfinite(loss)
    loss.backward()
    declared = [p for group in stage.param_groups for p in group.params]
    assert len(declared) == len({id(p) for p in declared})
    assert all(p.grad is not None and bool(p.grad.any()) for p in declared)
    assert all(p.grad is None for p in where.backbone.text.parameters())
    # What is left is the empty context that frames the prompts made from groups.
    rest = {name for name, p in module.named_parameters() if id(p) not in {id(q) for q in declared}}
    assert rest == ({"head.labels.prompts.prompts.ctx"} if config_of(recipe).prompts == "group" else set())
    needs = HSPNet(config_of(recipe, train_encoder=trained)).needs()
    assert (needs.input, needs.unknown, needs.text) == ("image" if trained else "global", "own", True)


def test_recipes_leave_out_what_their_names_say() -> None:
    trained = {}
    for recipe in SPECS:
        _, module = build(context(), recipe)
        names = {name.removeprefix("head.labels.").split(".")[0] for name, _ in module.head.named_parameters()}
        trained[recipe] = len(module.head.labels.graphs), names
    assert trained["hspnet"] == trained["hspnet-cluster"]
    assert [trained[name][0] for name in ("hspnet", "hcp", "spl-gcn", "spl")] == [1, 0, 1, 0]
    _, paper = build(context(variant="paper"))
    assert len(paper.head.labels.graphs) == 2
    _, shared = build(context(variant="paper"), share_graph=True)
    assert len(shared.head.labels.graphs) == 1
    assert len({key for key in shared.state_dict() if "graphs" in key}) == 3
    _, group_only = build(context(), label_graph=False)
    assert [group_only.head.labels._level[level] for level in ("label", "group")] == [None, 0]
    _, label_only = build(context(), group_graph=False)
    assert [label_only.head.labels._level[level] for level in ("label", "group")] == [0, None]


def test_chunks_change_nothing() -> None:
    found = []
    for chunk in (2, 1024):
        _, module = build(context(), chunk=chunk, train_encoder=False)
        batch = features_of(single_positive())
        module.loss(batch)["loss_splc"].backward()
        trained = [p for p in module.parameters() if p.grad is not None]
        found.append([module.logits(batch).detach(), *(p.grad for p in trained)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_unknown_labels_are_absent_until_they_are_rewritten_or_left_out() -> None:
    labels = single_positive()
    labels[5] = -1
    batch = features_of(labels)
    for unknown in ("assume", "ignore"):
        _, module = build(context(labels), train_encoder=False, unknown=unknown)
        for epoch in (0, 1):
            module.on_epoch_start(epoch, lambda: iter(()))
            logits = torch.full(labels.shape, 3.0, requires_grad=True)
            module.logits = lambda batch, logits=logits: logits
            module.loss(batch)["loss_splc"].backward()
            hidden = torch.from_numpy(labels == 0)
            assert logits.grad is not None
            slope = logits.grad[hidden]
            if unknown == "ignore":
                assert not slope.any()
            else:
                # Pulled down as absent ones at first; pushed up afterwards, since sigmoid(3) > 0.6.
                assert bool((slope > 0).all()) if epoch == 0 else bool((slope < 0).all())
            assert bool((logits.grad[5] > 0).all())
            pairs = module.decisions()
            assert len(pairs) == (int(hidden.sum()) if (unknown, epoch) == ("assume", 1) else 0)
            assert all(labels[row, column] == 0 for row, column in pairs)
        # The same ones are not reported again.
        module.on_epoch_start(2, lambda: iter(()))
        module.loss(batch)
        assert module.decisions() == []
    assert HSPNet(config_of(unknown="ignore")).needs().unknown == "ignore"


@pytest.mark.parametrize(("name", "pushed"), [("ll-r", 0.0), ("ll-ct", -1.0)])
def test_the_loss_of_largeloss_on_spls_prompts(name: str, pushed: float) -> None:
    """Of the unknown labels the one with the largest loss is left out, or counts as present; nothing is rewritten."""
    labels = single_positive()
    _, module = build(context(labels), "spl", loss=name, ll_delta=1e-6)
    batch = features_of(labels)
    for epoch in (0, 1):
        module.on_epoch_start(epoch, lambda: iter(()))
        logits = torch.zeros(labels.shape)
        logits[2, 4] = 3.0
        logits.requires_grad_(True)
        module.logits = lambda batch, logits=logits: logits
        (loss,) = module.loss(batch).values()
        loss.backward()
        assert logits.grad is not None
        assert labels[2, 4] == 0
        slope = float(logits.grad[2, 4])
        if epoch == 0:
            assert slope == pytest.approx(float(torch.sigmoid(torch.tensor(3.0))))
        else:
            assert slope == pytest.approx(pushed * float(torch.sigmoid(torch.tensor(-3.0))))
        # Summed over rows and classes, as SPLC's: an unknown label elsewhere is pulled down by sigmoid(0).
        assert float(logits.grad[0, 0]) == pytest.approx(0.5)
        assert module.decisions() == []
    with pytest.raises(UserError, match="picks among unknown labels"):
        config_of("spl", loss=name, unknown="ignore")


def test_runs_with_splcs_loss_keep_their_keys() -> None:
    """An option that came later does not move what is recorded."""
    assert not {"loss", "ll_delta"} & set(config_of("spl").model_dump())
    assert config_of("spl", loss="ll-r").model_dump()["loss"] == "ll-r"


def test_rows_without_labels_and_batches_of_one() -> None:
    labels = single_positive()
    _, module = build(context(labels), unknown="ignore")
    for row in (0, 3):
        cut = batch_of(labels)
        one = Batch(cut.rows[row : row + 1], cut.input[row : row + 1], cut.observed[row : row + 1])
        loss = module.loss(one)["loss_splc"]
        loss.backward()
        assert float(loss.detach()) == 0.0 if row == 0 else float(loss.detach()) > 0
    assert all(bool(torch.isfinite(p.grad).all()) for p in module.parameters() if p.grad is not None)


def test_statistics_of_the_tower_move_from_the_second_epoch_on() -> None:
    labels = single_positive()
    for use, moves in (("from-second", (False, True)), ("eval", (False, False)), ("train", (True, True))):
        _, module = build(context(labels), batch_norm=use)
        for epoch, moved in enumerate(moves):
            module.on_epoch_start(epoch, lambda: iter(()))
            module.train()
            before = module.tower.layer4[0][1].running_mean.clone()
            module.loss(batch_of(labels))
            assert (not torch.equal(module.tower.layer4[0][1].running_mean, before)) is moved, (use, epoch)


def test_variants_differ_in_what_the_card_lists() -> None:
    code, module = build(context())
    paper, printed = build(context(variant="paper"))
    assert [code.augment.kind, paper.augment.kind] == ["none", "live"]
    assert not isinstance(module.head.cosine.log_scale, torch.nn.Parameter)
    assert float(module.head.cosine.log_scale.exp()) == pytest.approx(10)
    assert isinstance(printed.head.cosine.log_scale, torch.nn.Parameter)
    assert float(printed.head.cosine.log_scale.detach().exp()) == pytest.approx(20)
    assert [graph.gate is None for graph in printed.head.labels.graphs] == [True, True]
    assert module.head.labels.graphs[0].gate.item() == pytest.approx(0.9)
    rates = [{group.name: group.lr for group in stage.param_groups} for stage in (code, paper)]
    assert rates[0]["graph"] == pytest.approx(5 * rates[0]["matrices"])
    assert rates[1]["graph"] == rates[1]["matrices"]
    # Whatever a variant takes, an option overrides.
    _, other = build(context(), scale=7.0, learn_scale=True, residual="sum", share_graph=False)
    assert float(other.head.cosine.log_scale.detach().exp()) == pytest.approx(7)
    assert isinstance(other.head.cosine.log_scale, torch.nn.Parameter)
    assert [graph.gate for graph in other.head.labels.graphs] == [None, None]


def test_partial_labels_are_learned_from_larger_images() -> None:
    needs = HSPNet(config_of(images="squeezed", image_size=448)).needs()
    assert (needs.images, needs.image_size) == ("squeezed", 448)


def test_average_can_be_switched_off() -> None:
    stage, _ = build(context(), ema_epoch=None)
    assert stage.ema is None
    stage, _ = build(context(), ema_epoch=0.5, batch_size=10)
    assert stage.ema == pytest.approx(0.5**0.25)


@pytest.mark.parametrize("trained", [True, False])
def test_a_few_steps_lower_the_loss_and_find_the_labels(trained: bool) -> None:
    labels = single_positive()
    stage, module = build(context(labels), train_encoder=trained, batch_norm="eval")
    batch = batch_of(labels) if trained else features_of(labels)
    optimiser = torch.optim.Adam([p for group in stage.param_groups for p in group.params], lr=3e-3)
    values = []
    for _ in range(12):
        loss = module.loss(batch)["loss_splc"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[-1] < 0.8 * values[0]


class Grouped(HSPNet):
    """The method on a task that has groups."""

    def stages(self, context: Context) -> Sequence[Any]:
        return super().stages(replace(context, label_groups=GROUPS))


@pytest.mark.parametrize("stop_after", [0, 2])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    monkeypatch.setattr("tests.plugins.two_stream_toys.encoder", towers)
    monkeypatch.setattr("tests.plugins.two_stream_toys.long_tail", single_positive)
    method = Grouped(config_of(epochs=4, batch_size=16, lr=3e-3, tau=0.5, ema_epoch=0.3, augment="none"))
    whole = phase_of(method, tmp_path / "whole")
    whole.run()
    first = phase_of(method, tmp_path / "cut")

    def stop(number: int, epoch: int) -> None:
        if epoch == stop_after:
            raise KeyboardInterrupt

    first.setup.after_epoch.append(stop)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = phase_of(method, tmp_path / "cut")
    second.run()
    assert whole.decisions
    assert {epoch for *_, epoch in whole.decisions} <= {1, 2, 3}
    assert sorted(whole.decisions) == sorted(second.decisions)
    for one, other in zip(whole.capture().values(), second.capture().values(), strict=True):
        assert torch.equal(one, other)
