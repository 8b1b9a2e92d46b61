"""Losses of partial labels and of zero-shot recognition: edges, unknown labels, inputs that are no [B, C] logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ltbench.losses import (
    AsymmetricLoss,
    BCELoss,
    ClassContrastiveLoss,
    MarginRankingLoss,
    PartialAsymmetricLoss,
    PartialBCELoss,
    RankNetLoss,
    SelectiveAsymmetricLoss,
    SemanticDiversityLoss,
    SoftPartialBCELoss,
    co_occurrence_labels,
    inter_pseudo_labels,
    intra_pseudo_labels,
    largest_scores,
    mixed_labels,
    two_way_scores,
)

LABELS = torch.tensor([[1, -1, 0, 0, -1], [-1, 0, 0, 1, 0], [0, 0, 1, -1, 1], [0, 0, 0, 0, 0]], dtype=torch.int8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def logits() -> Tensor:
    return 2 * torch.randn(4, 5, dtype=torch.float64, generator=seeded())


@pytest.fixture
def two_way() -> Tensor:
    return 2 * torch.randn(4, 2, 5, dtype=torch.float64, generator=seeded(1))


def test_the_positive_of_two_ways_is_a_sigmoid_of_the_difference(two_way: Tensor) -> None:
    probability = two_way.softmax(dim=1)[:, 1]
    torch.testing.assert_close(torch.sigmoid(two_way_scores(two_way)), probability)
    known = LABELS != 0
    p, y = probability[known], LABELS[known]
    shifted = (p - 0.05).clamp(min=0)
    expected = torch.where(y > 0, -(1 - p) * p.log(), -(shifted**2) * (1 - shifted).log())
    loss = PartialAsymmetricLoss(reduction="none")(two_way, LABELS)
    torch.testing.assert_close(loss[known], expected)
    torch.testing.assert_close(PartialAsymmetricLoss()(two_way, LABELS), expected.mean())


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_unknown_pairs_of_prompts_contribute_nothing(variant: Any, two_way: Tensor) -> None:
    loss = PartialAsymmetricLoss(variant=variant, detach_weights=False)
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS), two_way.requires_grad_())
    hostile = torch.where((LABELS == 0).unsqueeze(1), torch.nan, two_way.detach()).requires_grad_()
    value = loss(hostile, LABELS)
    assert torch.equal(value, loss(two_way, LABELS))
    (grad,) = torch.autograd.grad(value, hostile)
    assert torch.isfinite(grad).all()
    assert (grad.transpose(1, 2)[LABELS == 0] == 0).all()
    assert loss(two_way, torch.zeros_like(LABELS)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_two_ways_are_finite_and_computed_in_float32(dtype: torch.dtype) -> None:
    for sign in (1, -1):
        logits = (100 * sign * torch.tensor([-1.0, 1.0]).view(1, 2, 1).expand(4, 2, 5)).to(dtype).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = PartialAsymmetricLoss()(logits, LABELS)
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, logits)[0]).all()


def test_two_ways_are_checked(logits: Tensor, two_way: Tensor) -> None:
    with pytest.raises(ValueError, match=r"logits: expected shape \[B, 2, C\].*got \[4, 5\]"):
        PartialAsymmetricLoss()(logits, LABELS)
    with pytest.raises(TypeError, match="logits: "):
        PartialAsymmetricLoss()(two_way.long(), LABELS)
    with pytest.raises(ValueError, match=r"labels: expected shape \[4, 5\].*got \[3, 5\]"):
        PartialAsymmetricLoss()(two_way, LABELS[:3])


@pytest.mark.parametrize("detach", [True, False])
def test_powers_are_constants_to_the_gradient_where_said(detach: bool, logits: Tensor) -> None:
    leaf = logits.requires_grad_()
    p = torch.sigmoid(leaf)
    power = (p.detach() if detach else p) ** 2
    labels = -torch.ones_like(LABELS)
    loss = PartialAsymmetricLoss(clip=0.0, prompts="positive", detach_weights=detach)
    expected = torch.autograd.grad((power * softplus(leaf)).mean(), leaf)[0]
    torch.testing.assert_close(torch.autograd.grad(loss(leaf, labels), leaf)[0], expected)
    selective = SelectiveAsymmetricLoss(top_k=0, detach_weights=detach)
    unknown = torch.autograd.grad(selective(leaf, torch.zeros_like(LABELS)), leaf)[0]
    torch.testing.assert_close(unknown, expected)


def test_selection_leaves_out_the_likeliest_unknown_labels(logits: Tensor) -> None:
    """Two of each image in the paper, eight of the batch in the release: the rest is absent, with its own exponent."""
    absent = torch.where(LABELS == 0, -1, LABELS)
    known = AsymmetricLoss(gamma_pos=0, gamma_neg=1, clip=0, reduction="none")(logits, LABELS)
    assumed = AsymmetricLoss(gamma_pos=0, gamma_neg=2, clip=0, reduction="none")(logits, absent)
    for variant in ("paper", "code"):
        elements = SelectiveAsymmetricLoss(top_k=2, variant=variant, reduction="none")(logits, LABELS)  # type: ignore[arg-type]
        torch.testing.assert_close(elements[LABELS != 0], known[LABELS != 0])
        left_out = (LABELS == 0) & (elements == 0)
        read = (LABELS == 0) & ~left_out
        torch.testing.assert_close(elements[read], assumed[read])
        rows = range(4) if variant == "paper" else [slice(None)]
        for row in rows:
            assert left_out[row].sum() == (2 if variant == "paper" else 8)
            assert (logits[row][left_out[row]].min() > logits[row][read[row]]).all()


def test_selection_by_prior(logits: Tensor) -> None:
    prior = torch.tensor([0.5, 0.01, 0.2, 0.05, 0.0])
    loss = SelectiveAsymmetricLoss(top_k=0, prior=prior, reduction="none")
    elements = loss(logits, LABELS)
    frequent = (prior > 0.05).expand(4, 5)
    assert (elements[(LABELS == 0) & frequent] == 0).all()
    assert (elements[(LABELS == 0) & ~frequent] > 0).all()
    assert (elements[LABELS != 0] > 0).all()
    assert torch.equal(loss.half()(logits, LABELS), elements)
    with pytest.raises(ValueError, match=r"prior: expected shape \[4\] for this input, got \[5\]"):
        loss(logits[:, :4], LABELS[:, :4])


def test_partial_bce_weighs_images_by_what_is_known() -> None:
    labels = torch.zeros(3, 10)
    labels[0], labels[1, 0] = 1, -1
    losses = PartialBCELoss(reduction="none")(torch.zeros(3, 10), labels)
    log2 = torch.log(torch.tensor(2.0))
    torch.testing.assert_close(losses, torch.stack((log2, 5.005 * log2 / 10, 0 * log2)))


def test_soft_labels_between_unknown_and_known(logits: Tensor) -> None:
    torch.testing.assert_close(SoftPartialBCELoss()(logits, LABELS), BCELoss()(logits, LABELS))
    soft = torch.tensor([0.5, -0.3, 0.0, 0.2, 1.0], dtype=torch.float64).expand(4, 5).clone().requires_grad_()
    elements = SoftPartialBCELoss(margin=0.2, reduction="none")(logits, soft)
    t, s = soft.abs(), soft.sign() * logits
    expected = t * softplus(-s) + (1 - t) * softplus(s)
    counts = torch.tensor([True, True, False, False, True]).expand(4, 5)
    torch.testing.assert_close(elements, torch.where(counts, expected, 0.0))
    (grad,) = torch.autograd.grad(elements.sum(), soft)
    torch.testing.assert_close(grad, torch.where(counts, -soft.sign() * s, 0.0))
    with pytest.raises(ValueError, match=r"labels: expected values in \[-1, \+1\], got 1.5"):
        SoftPartialBCELoss()(logits, torch.full((4, 5), 1.5))


def test_pairs_are_present_together_absent_or_unknown() -> None:
    labels = torch.tensor([[1, 1, -1, 0]])
    assert co_occurrence_labels(labels).tolist() == [[1, -1, -1, -1, -1, -1]]
    assert co_occurrence_labels(labels, unknown="ignore").tolist() == [[1, -1, 0, -1, 0, -1]]
    with pytest.raises(ValueError, match="labels: "):
        co_occurrence_labels(torch.tensor([[2]]))


def test_pseudo_labels_leave_known_ones_alone() -> None:
    certain = torch.full((4, 10), 20.0)
    assert torch.equal(intra_pseudo_labels(certain, LABELS, margin=1.5), LABELS)
    raised = intra_pseudo_labels(certain, LABELS, margin=0.9)
    assert torch.equal(raised[LABELS != 0], LABELS[LABELS != 0])
    assert (raised[:3][LABELS[:3] == 0] == 1).all()
    assert (raised[3] == 0).all()  # no known positive to reason from
    features = torch.randn(4, 5, 3, generator=seeded())
    everywhere = inter_pseudo_labels(features, LABELS, torch.randn(5, 7, 3, generator=seeded(1)), margin=-1.0)
    assert torch.equal(everywhere, torch.where(LABELS == 0, 1, LABELS))
    with pytest.raises(ValueError, match=r"pair_logits: expected shape \[4, 10\], got \[4, 9\]"):
        intra_pseudo_labels(certain[:, 1:], LABELS, margin=0.9)
    with pytest.raises(ValueError, match=r"positives: expected shape \[5, E, 3\], got \[5, 7, 2\]"):
        inter_pseudo_labels(features, LABELS, torch.zeros(5, 7, 2), margin=0.9)


def test_blending_learns_its_coefficient() -> None:
    labels = torch.tensor([[1, 0, -1, 0]])
    share = torch.tensor(0.25, requires_grad=True)
    weights, mixed = mixed_labels(labels, torch.tensor([[0, 1, 1, -1]]), share)
    assert weights.tolist() == [[1, 0.25, 1, 1]]
    assert mixed.tolist() == [[1, 0.75, -1, 0]]
    (grad,) = torch.autograd.grad(SoftPartialBCELoss(reduction="sum")(torch.full((1, 4), 2.0), mixed), share)
    torch.testing.assert_close(grad, torch.tensor(2.0))
    with pytest.raises(ValueError, match="coefficient: .*got 1.5"):  # noqa: RUF043
        mixed_labels(labels, labels, 1.5)
    with pytest.raises(ValueError, match="partner: "):
        mixed_labels(labels, labels[:, :3], 0.5)


def test_contrast_keeps_all_pairs_without_a_shared_class() -> None:
    features = torch.randn(4, 3, 6, dtype=torch.float64, generator=seeded())
    labels = torch.tensor([[1, -1, 0], [-1, -1, 0], [-1, 0, 1], [0, 0, 0]])
    terms = ClassContrastiveLoss(reduction="none")(features, labels)
    cosine = torch.nn.functional.cosine_similarity(features.unsqueeze(1), features.unsqueeze(0), dim=3)
    expected = 1 + torch.stack((cosine[0, 1, 0], cosine[0, 2, 0], cosine[0, 1, 1], cosine[1, 2, 0]))
    torch.testing.assert_close(terms, expected)
    assert ClassContrastiveLoss()(features, torch.zeros_like(labels)) == 0


def test_contrast_thins_the_other_pairs_and_leaves_unknown_features_alone() -> None:
    generator = seeded()
    features = torch.randn(12, 2, 6, dtype=torch.float64, generator=generator)
    labels = -torch.ones(12, 2)
    labels[:2, 0] = 1  # one pair that shares a class; 20 mixed pairs of class 0, 45 + 66 absent ones
    labels[11, 1] = 0  # 11 of the absent pairs are unknown
    hostile = features.clone()
    hostile[11, 1] = torch.nan
    leaf = hostile.requires_grad_()
    terms = ClassContrastiveLoss(reduction="none")(leaf, labels, generator=seeded(5))
    assert terms.numel() == 1 + 3 + 3
    (grad,) = torch.autograd.grad(terms.mean(), leaf)
    assert (grad[11, 1] == 0).all()
    assert torch.isfinite(grad).all()
    # Beside the drawn ones the largest: the mixed pair of least distance is always among them.
    mixed = 1 + torch.nn.functional.cosine_similarity(features[:2, None, 0], features[None, 2:, 0], dim=2)
    torch.testing.assert_close(terms[3], mixed.max())
    again = ClassContrastiveLoss(reduction="none")(leaf, labels, generator=seeded(5))
    assert torch.equal(terms, again)


def test_ranking_an_image_without_one_side_is_zero() -> None:
    logits, labels = torch.randn(2, 4, generator=seeded()), torch.tensor([[1, 1, 0, 0], [-1, -1, 0, -1]])
    assert RankNetLoss()(logits, labels) == 0
    assert MarginRankingLoss()(logits, labels) == 0


def test_margin_ranking_averages_over_violations() -> None:
    logits, labels = torch.tensor([[2.0, 1.5, -3.0, 9.0]]), torch.tensor([[1, -1, -1, 0]])
    torch.testing.assert_close(MarginRankingLoss()(logits, labels), torch.tensor(0.5))  # of two pairs one violates


def sdl_inputs() -> tuple[Tensor, Tensor]:
    generator = seeded()
    matrices = torch.randn(4, 6, 3, dtype=torch.float64, generator=generator)
    return matrices, torch.randn(5, 6, dtype=torch.float64, generator=generator)


def test_semantic_diversity_written_out() -> None:
    matrices, words = sdl_inputs()
    scores = torch.einsum("bdm,cd->bcm", matrices, words).amax(dim=2)
    torch.testing.assert_close(largest_scores(matrices, words), scores)
    losses = SemanticDiversityLoss(weight=None, reduction="none")(matrices, words, LABELS)
    for row, labels in enumerate(LABELS):
        present, absent = scores[row][labels > 0], scores[row][labels < 0]
        if len(present) == 0:
            assert losses[row] == 0
            continue
        variance = words[labels > 0].var(dim=0).sum() if len(present) > 1 else 0
        expected = (1 + variance) * softplus(absent[None] - present[:, None]).sum() / len(present)
        torch.testing.assert_close(losses[row], expected)
    weighted = SemanticDiversityLoss(weight=0.3, reduction="none")(matrices, words, LABELS)
    torch.testing.assert_close(weighted, 2 * (0.7 * losses + 0.3 * matrices.var(dim=2).sum(dim=1)))


def test_semantic_diversity_edges() -> None:
    matrices, words = sdl_inputs()
    loss = SemanticDiversityLoss()
    assert torch.autograd.gradcheck(lambda x: loss(x, words, LABELS), matrices.clone().requires_grad_())
    assert torch.isfinite(loss(1e4 * matrices.float(), words.float(), LABELS))
    present = torch.ones(4, 5)
    assert SemanticDiversityLoss(weight=None)(matrices, words, present) > 0  # ranked above 0
    assert SemanticDiversityLoss(weight=0.5)(matrices[:, :, :1], words, torch.zeros(4, 5)) == 0  # one direction
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(matrices.float(), words.float(), LABELS).dtype == torch.float32
    with pytest.raises(ValueError, match=r"got \[4, 6, 3\] and \[5, 7\]"):
        loss(matrices, torch.zeros(5, 7), LABELS)
    with pytest.raises(ValueError, match=r"labels: .*got 2"):
        loss(matrices, words, torch.full((4, 5), 2))
    with pytest.raises(ValueError, match="weight: "):
        SemanticDiversityLoss(weight=1.1)
