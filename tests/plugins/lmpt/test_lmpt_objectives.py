"""LMPT's losses by name, its switchable embedding loss on hand-computed cases, and the caption table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from ltbench.losses import cosine_distance
from ltbench.method import Batch, Stats
from ltbench_lmpt.captions import CaptionFeatures, captions_of
from ltbench_lmpt.objectives import SwitchableEmbeddingLoss, classification_loss

NAMES = ("db-focal", "db", "r-bce-focal", "r-bce", "cb-focal", "focal", "asl", "bce", "mls")
COUNTS = torch.tensor([16, 1])
# One row with class 0 present and class 1 absent, one the other way round.
DISTANCES = torch.tensor([[0.3, 0.4], [0.2, 0.9]])
LABELS = torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)


def embedding_loss(**switches):
    chosen = {"eta": 1.0, "gamma": 1.0, "class_aware_margin": True, "reweighting": True, **switches}
    return float(SwitchableEmbeddingLoss(COUNTS, **chosen)(DISTANCES, LABELS))


def test_embedding_loss_by_hand():
    # n^(-1/4) = 1/2 and 1; weights (1/16, 1) / (17/16) = 1/17 and 16/17; mean over two images of the sum over classes.
    first = 0.3 / 17 + 16 / 17 * (1 - 0.4)
    second = (0.5 - 0.2) / 17 + 16 / 17 * 0.9
    assert embedding_loss() == pytest.approx((first + second) / 2, rel=1e-6)


def test_embedding_loss_without_its_parts_by_hand():
    plain = (0.3 + (1 - 0.4) + (1 - 0.2) + 0.9) / 2
    assert embedding_loss(class_aware_margin=False, reweighting=False) == pytest.approx(plain, rel=1e-6)
    margins = (0.3 + (1 - 0.4) + (0.5 - 0.2) + 0.9) / 2
    assert embedding_loss(reweighting=False) == pytest.approx(margins, rel=1e-6)
    weights = (0.3 / 17 + 16 / 17 * 0.6 + 0.8 / 17 + 16 / 17 * 0.9) / 2
    assert embedding_loss(class_aware_margin=False) == pytest.approx(weights, rel=1e-6)


def test_negatives_beyond_the_margin_cost_nothing():
    loss = SwitchableEmbeddingLoss(COUNTS, eta=1.0, gamma=1.0, class_aware_margin=True, reweighting=True)
    assert float(loss(torch.tensor([[0.6, 1.2]]), torch.tensor([[-1, -1]], dtype=torch.int8))) == 0.0


def test_db_focal_is_equations_8_to_10():
    stats = Stats.of(np.array([[1, -1]] * 3 + [[1, 1]] + [[-1, -1]] * 4, dtype=np.int8))
    counts, rows = np.array([4.0, 1.0]), 8
    logits, zeta = torch.tensor([[0.7, -0.4]], dtype=torch.float64), 5.0
    value = classification_loss("db-focal", stats)(logits, torch.tensor([[1, -1]], dtype=torch.int8))
    r = (1 / counts) / (1 / counts).sum()
    weight = 0.1 + 1 / (1 + np.exp(-10 * (r - 0.3)))
    v = 0.05 * np.log(rows / counts - 1)
    q0 = 1 / (1 + math.exp(-(0.7 - v[0])))
    q1 = 1 / (1 + math.exp(-zeta * (-0.4 - v[1])))
    expected = -weight[0] * (1 - q0) ** 2 * math.log(q0) - weight[1] / zeta * q1**2 * math.log(1 - q1)
    assert float(value) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_reductions_differ_by_the_number_of_classes(name, full):
    stats = Stats.of(full)
    logits = torch.randn(*full.shape, generator=torch.Generator().manual_seed(2))
    labels = torch.from_numpy(full)
    printed = classification_loss(name, stats)(logits, labels)
    averaged = classification_loss(name, stats, reduction="mean")(logits, labels)
    assert float(printed) == pytest.approx(full.shape[1] * float(averaged), rel=1e-5)
    assert float(printed) > 0


@pytest.mark.parametrize("name", NAMES)
def test_unknown_labels_contribute_nothing(name, observed):
    logits = torch.randn(*observed.shape, generator=torch.Generator().manual_seed(2), requires_grad=True)
    classification_loss(name, Stats.of(observed))(logits, torch.from_numpy(observed)).backward()
    unknown = torch.from_numpy(observed == 0)
    assert not logits.grad[unknown].any()
    assert logits.grad[~unknown].any()


@pytest.mark.parametrize("name", NAMES)
def test_classes_without_positives_and_in_every_row(name):
    labels = np.array([[1, -1, 1], [1, -1, -1], [1, -1, 1]], dtype=np.int8)
    stats = Stats.of(labels)
    assert stats.usable_positives.tolist() == [2, 1, 2]
    assert torch.isfinite(classification_loss(name, stats)(torch.zeros(3, 3), torch.from_numpy(labels)))


def test_bce_and_mls_are_one_function(full):
    logits = torch.randn(*full.shape, generator=torch.Generator().manual_seed(2))
    labels = torch.from_numpy(full)
    reference = binary_cross_entropy_with_logits(logits, (labels > 0).float())
    for name in ("bce", "mls"):
        loss = classification_loss(name, Stats.of(full), reduction="mean")
        torch.testing.assert_close(loss(logits, labels), reference)


def test_captions_are_encoded_once_each(backbone, make_batch, scan_of):
    batch = make_batch()
    distinct = set(batch.captions)
    assert len(distinct) < len(batch.captions)
    table = CaptionFeatures(backbone.text.encode)
    table.collect(scan_of(batch))
    table.collect(scan_of(batch))
    table.lookup(batch.captions)
    assert backbone.text.encoded_rows == len(distinct) == len(table)


def test_caption_features_do_not_depend_on_what_was_asked_first(backbone, make_batch, scan_of):
    batch = make_batch()
    first, second = CaptionFeatures(backbone.text.encode), CaptionFeatures(backbone.text.encode)
    first.collect(scan_of(batch))
    backwards = Batch(batch.rows.flip(0), batch.input.flip(0), batch.observed.flip(0), batch.captions[::-1])
    second.collect(scan_of(backwards))
    assert torch.equal(first.lookup(batch.captions), second.lookup(batch.captions))
    expected = cosine_distance(backbone.text.encode(batch.captions), first.lookup(batch.captions)).diagonal()
    torch.testing.assert_close(expected, torch.zeros(len(batch.captions)), atol=1e-6, rtol=0)


def test_new_captions_join_the_table_and_none_of_it_is_state(backbone):
    table = CaptionFeatures(backbone.text.encode)
    kept = table.lookup(["a cat", "a dog"]).clone()
    assert table.lookup(["a bus", "a cat"]).shape == (2, kept.shape[1])
    torch.testing.assert_close(table.lookup(["a cat", "a dog"]), kept)
    assert table.state_dict() == {}


def test_missing_captions_are_named(make_batch):
    with pytest.raises(ValueError, match="caption for every training row"):
        captions_of(make_batch(captions=False))
