"""The linear probe: both solvers, the choice of C, and what happens to labels nobody knows."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from ltbench.method import Batch, FitData, FitStage, GradientStage, Stats
from ltbench.plugin import UserError
from ltbench_baselines.clip.linear import LinearProbe
from ltbench_baselines.clip.logistic import fit_logistic
from ltbench_baselines.common.losses_by_name import LossConfig, build_loss
from ltbench_baselines.common.probe import ProbeModule
from tests.conftest import SHARED

COCO_MINI = SHARED / "data" / "coco-mini"
GRID = (0.1, 1.0, 10.0)


def separable(rows=60, dim=8, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, dim))
    noise = rng.normal(size=(rows, 3))
    return features, np.where(features[:, :3] + noise > 0.3, 1, -1).astype(np.int8)


@pytest.mark.parametrize("rows", [60, 5], ids=["more rows than dimensions", "fewer"])
def test_given_c_is_scikit_learn(rows):
    features, observed = separable(rows)
    observed[0], observed[1] = 1, -1
    fit = fit_logistic(features, observed, grid=GRID, c=2.0)
    for column in range(3):
        reference = LogisticRegression(C=2.0, tol=1e-8, max_iter=5000).fit(features, observed[:, column])
        np.testing.assert_allclose(fit.weight[column], reference.coef_[0], atol=2e-3)
        np.testing.assert_allclose(fit.bias[column], reference.intercept_[0], atol=2e-3)
    assert fit.c.tolist() == [2.0] * 3


def test_chosen_c_has_the_lowest_heldout_loss():
    features, observed = separable(80)
    common = fit_logistic(features, observed, grid=GRID, choice="common")
    assert set(common.c) == {GRID[int(common.heldout_loss.mean(axis=0).argmin())]}
    per_class = fit_logistic(features, observed, grid=GRID, choice="per-class")
    assert per_class.c.tolist() == [GRID[int(k)] for k in per_class.heldout_loss.argmin(axis=1)]


def test_class_too_rare_for_the_folds_takes_the_c_of_the_others():
    features, observed = separable(80)
    observed[:, 2] = -1
    observed[:3, 2] = 1
    fit = fit_logistic(features, observed, grid=GRID, choice="per-class", folds=5)
    assert np.isnan(fit.heldout_loss[2]).all()
    assert fit.c[2] == GRID[int(fit.heldout_loss[:2].mean(axis=0).argmin())]


def test_fewer_folds_when_no_class_has_enough():
    features, observed = separable(30)
    observed[:] = -1
    for column in range(3):
        observed[column * 4 : column * 4 + 3, column] = 1
    fit = fit_logistic(features, observed, grid=GRID, folds=10)
    assert np.isfinite(fit.heldout_loss).all()


def test_nothing_to_choose_on_is_an_error_with_the_way_out():
    features, observed = separable(20)
    observed[:] = -1
    observed[0] = 1
    with pytest.raises(UserError, match="two observed positives") as caught:
        fit_logistic(features, observed, grid=GRID)
    assert "-o c=" in caught.value.hint
    assert np.isfinite(fit_logistic(features, observed, grid=GRID, c=1.0).weight).all()


def test_unknown_labels_change_nothing():
    features, observed = separable(60)
    observed[::3, 0] = 0
    fit = fit_logistic(features, observed, grid=GRID)
    moved = features.copy()
    keep = observed[:, 0] != 0
    alone = fit_logistic(features[keep], observed[keep][:, :1], grid=GRID, c=fit.c[0])
    np.testing.assert_allclose(fit.weight[0], alone.weight[0], atol=1e-6)
    moved[~keep] += 5.0
    again = fit_logistic(moved, observed[:, :1], grid=GRID, c=fit.c[0])
    np.testing.assert_allclose(fit.weight[0], again.weight[0], atol=1e-6)


def test_class_without_positives_has_a_constant_logit():
    features, observed = separable(60)
    observed[:, 1] = -1
    observed[:10, 1] = 0
    fit = fit_logistic(features, observed, grid=GRID)
    assert not fit.weight[1].any()
    assert fit.bias[1] == pytest.approx(np.log(0.5 / 50.5))
    assert np.isnan(fit.c[1])


def run_lbfgs(method, context, batch, scan):
    (stage,) = method.stages(context)
    assert isinstance(stage, FitStage)
    assert stage.fit is not None
    stage.fit(FitData(scan, len(batch.rows), 0, context.stats))
    return stage.module


@pytest.mark.parametrize("features", ["scaled", "l2"])
def test_lbfgs_stage_fits_the_training_rows(make_context, make_batch, scan_of, full, features):
    batch = make_batch()
    module = run_lbfgs(
        LinearProbe(LinearProbe.Config(solver="lbfgs", features=features, c_grid=GRID)),
        make_context(full),
        batch,
        scan_of(batch),
    )
    logits = module.logits(batch).detach().numpy()
    assert logits.shape == full.shape
    assert np.mean([average_precision_score(full[:, c] > 0, logits[:, c]) for c in range(5)]) > 0.9
    assert (module.chosen_c > 0).all()


def test_scaled_features_make_the_unit_irrelevant(make_context, make_batch, scan_of, full):
    batch = make_batch()
    larger = Batch(batch.rows, batch.input * 40, batch.observed, batch.captions)
    method = LinearProbe(LinearProbe.Config(solver="lbfgs", c_grid=(1.0, 10.0)))
    first = run_lbfgs(method, make_context(full), batch, scan_of(batch)).logits(batch)
    second = run_lbfgs(method, make_context(full), larger, scan_of(larger)).logits(larger)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)


def test_gradient_stage_trains_what_it_declares(make_context, make_batch, scan_of, full):
    batch = make_batch()
    (stage,) = LinearProbe(LinearProbe.Config()).stages(make_context(full))
    assert isinstance(stage, GradientStage)
    head = stage.module
    assert isinstance(head, ProbeModule)
    head.on_epoch_start(0, scan_of(batch))
    assert float(head.scale) == pytest.approx(float(batch.input.norm(dim=1).square().mean().sqrt()))
    optimiser = torch.optim.AdamW([p for group in stage.param_groups for p in group.params], lr=0.05)
    losses = []
    for _ in range(60):
        (loss,) = head.loss(batch).values()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert {id(p) for p in head.parameters()} == {id(p) for g in stage.param_groups for p in g.params}


def test_biases_start_at_the_observed_log_odds(observed):
    stats = Stats.of(observed)
    head = ProbeModule(4, stats, "l2")
    expected = np.log((stats.positives + 0.5) / (stats.negatives + 0.5))
    np.testing.assert_allclose(head.bias.detach().numpy(), expected, rtol=1e-6)


def test_unknown_labels_contribute_no_gradient(make_context, make_batch, observed):
    observed = observed.copy()
    observed[:, 3] = 0
    (stage,) = LinearProbe(LinearProbe.Config(features="l2")).stages(make_context(observed))
    sum(stage.module.loss(make_batch(observed)).values()).backward()
    assert not stage.module.weight.grad[3].any()
    assert stage.module.weight.grad[0].any()


def test_another_loss_is_the_one_of_the_visual_recipes(make_context, make_batch, full):
    batch = make_batch(full)
    terms = {}
    for name in ("bce", "db-focal"):
        method = LinearProbe(LinearProbe.Config(loss=name))
        (stage,) = method.stages(make_context(full))
        terms[name] = float(stage.module.loss(batch)["loss_cls"].detach())
        logits = stage.module.logits(batch).detach()
        criterion = build_loss(LossConfig(loss=name), Stats.of(full), "paper")
        assert terms[name] == pytest.approx(float(criterion(logits, batch.observed)))
        assert method.needs().calibrated is (name == "bce")
    assert terms["bce"] != terms["db-focal"]


def test_lbfgs_minimises_one_loss_only():
    with pytest.raises(UserError, match="cross-entropy only") as caught:
        LinearProbe(LinearProbe.Config(solver="lbfgs", loss="asl")).needs()
    assert caught.value.hint == "-o solver=gradient"


def test_config_forbids_extra_keys():
    with pytest.raises(ValidationError, match="Extra inputs"):
        LinearProbe.Config(learning_rate=1.0)
    with pytest.raises(ValidationError):
        LinearProbe.Config(folds=1)


@pytest.mark.slow
def test_lbfgs_on_real_photographs(scan_of):
    """C is chosen on the 335 training photographs alone; scikit-learn with C picked on the test part has 47.5."""
    if not COCO_MINI.is_dir():
        pytest.skip("real photographs not found (../shared/data/coco-mini)")
    with np.load(COCO_MINI / "features_mobilenetv2.npz") as archive:
        files, features = archive["files"], torch.from_numpy(archive["features"].astype(np.float32))
    with (COCO_MINI / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == list(files)
    names = sorted({name for row in rows for name in row["labels"].split("|")})
    labels = np.array([[1 if n in row["labels"].split("|") else -1 for n in names] for row in rows], dtype=np.int8)
    train = np.array([row["split"] == "train" for row in rows])

    def batch_of(part):
        shown = torch.from_numpy(labels[part])
        return Batch(torch.arange(len(shown)), features[torch.from_numpy(part)], shown)

    fitting, testing = batch_of(train), batch_of(~train)
    head = ProbeModule(features.shape[1], Stats.of(labels[train]), "scaled")
    method = LinearProbe(LinearProbe.Config(solver="lbfgs"))
    method._fit(head, FitData(scan_of(fitting), int(train.sum()), 0, Stats.of(labels[train])))
    logits = head.logits(testing).detach().numpy()
    truth = labels[~train] > 0
    scored = np.flatnonzero(truth.any(axis=0))
    mean_ap = 100 * np.mean([average_precision_score(truth[:, c], logits[:, c]) for c in scored])
    assert mean_ap >= 46.5


def test_raw_features_and_torchs_own_start(make_context, make_batch, full):
    """What LMPT's fc.py trains: a linear layer of torch's on the features as they are."""
    context, batch = make_context(full), make_batch()
    options = {"features": "raw", "weight_init": "drawn", "bias_init": "drawn"}
    torch.manual_seed(5)
    (stage,) = LinearProbe(LinearProbe.Config(**options)).stages(context)
    module, dim = stage.module, context.backbone.card.dim
    for values in (module.weight, module.bias):
        assert float(values.detach().abs().max()) <= dim**-0.5
        assert len(values.detach().unique()) == values.numel()
    assert float(module.weight.detach().std()) == pytest.approx(dim**-0.5 / 3**0.5, rel=0.2)
    module.on_epoch_start(0, lambda: pytest.fail("raw features have no scale to measure"))
    torch.testing.assert_close(module.logits(batch), batch.input @ module.weight.T + module.bias)


@pytest.mark.parametrize(("start", "bias"), [("log-odds", None), ("zero", 0.0)])
def test_the_start_of_the_biases(make_context, full, start, bias):
    (stage,) = LinearProbe(LinearProbe.Config(bias_init=start)).stages(make_context(full))
    positives, negatives = (full == 1).sum(axis=0) + 0.5, (full == -1).sum(axis=0) + 0.5
    expected = np.log(positives / negatives) if bias is None else np.full(full.shape[1], bias)
    np.testing.assert_allclose(stage.module.bias.detach().numpy(), expected, rtol=1e-6)
    assert not stage.module.weight.any()


def test_it_may_answer_with_the_softmax_over_classes(make_context, make_batch, full):
    context, batch = make_context(full), make_batch()
    (raw,) = LinearProbe(LinearProbe.Config()).stages(context)
    (softmax,) = LinearProbe(LinearProbe.Config(score="softmax")).stages(context)
    torch.testing.assert_close(softmax.module.logits(batch), torch.log_softmax(raw.module.logits(batch), dim=1))
    assert torch.equal(softmax.module.loss(batch)["loss_cls"], raw.module.loss(batch)["loss_cls"])
    assert not LinearProbe(LinearProbe.Config(score="softmax")).needs().calibrated
    assert LinearProbe(LinearProbe.Config()).needs().calibrated


def test_the_rate_may_stay_constant(make_context, full):
    kinds = {}
    for schedule in ("cosine", "constant"):
        (stage,) = LinearProbe(LinearProbe.Config(schedule=schedule)).stages(make_context(full))
        kinds[schedule] = {group.schedule.kind for group in stage.param_groups}
    assert kinds == {"cosine": {"cosine"}, "constant": {"constant"}}
