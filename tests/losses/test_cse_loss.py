"""Class-specific embedding loss: golden vectors of paper and code, distances, unknown labels, checks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ltbench.losses import ClassSpecificEmbeddingLoss, cosine_distance, token_cosine_distance

COUNTS = [40, 9, 1]
LABELS = torch.tensor([[1, -1, 0], [-1, 1, 1], [0, 0, 0], [1, 0, -1]], dtype=torch.int8)


@pytest.fixture
def distances() -> Tensor:
    return torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("case", ["a", "b"])
@pytest.mark.parametrize(("eta", "gamma"), [(1.0, 1.0), (0.2, 2.0)])
def test_paper_golden(golden: Any, assert_matches: Any, case: str, eta: float, gamma: float) -> None:
    arrays = golden("paper_lmpt_cse")
    counts = golden("inputs")["class_freq_voc"]
    labels = torch.from_numpy(arrays[f"{case}__labels"]) * 2 - 1
    field = f"{case}__eta{eta}_gamma{gamma}__"
    for dtype in (torch.float64, torch.float32):
        delta = torch.from_numpy(arrays[f"{case}__delta"]).to(dtype).requires_grad_()
        loss = ClassSpecificEmbeddingLoss(counts, eta=eta, gamma=gamma)
        assert_matches(loss.margins(dtype), arrays[field + "margin"], dtype)
        assert_matches(loss.weights(dtype), arrays[field + "weight"], dtype)
        assert_matches(loss(delta, labels), arrays[field + "sum_over_classes_mean_over_images"], dtype)
        elements = ClassSpecificEmbeddingLoss(counts, eta=eta, gamma=gamma, reduction="none")(delta, labels)
        assert_matches(elements, arrays[field + "elementwise"], dtype)
        assert_matches(elements.mean(), arrays[field + "mean_all"], dtype)
        total = ClassSpecificEmbeddingLoss(counts, eta=eta, gamma=gamma, reduction="sum")(delta, labels)
        (grad,) = torch.autograd.grad(total, delta)
        assert_matches(grad, arrays[field + "grad_of_elementwise_sum_wrt_delta"], dtype)


@pytest.mark.parametrize("case", ["a", "b"])
def test_paper_golden_without_counts(golden: Any, assert_matches: Any, case: str) -> None:
    arrays = golden("paper_lmpt_cse")
    labels = torch.from_numpy(arrays[f"{case}__labels"]) * 2 - 1
    elements = ClassSpecificEmbeddingLoss(None, reduction="none")(torch.from_numpy(arrays[f"{case}__delta"]), labels)
    assert_matches(elements, arrays[f"{case}__eq3_mu1_elementwise"], torch.float64)


@pytest.mark.parametrize("case", ["small", "b8"])
@pytest.mark.parametrize("counted", ["dimfix_raw_counts", "no_counts"])
@pytest.mark.parametrize(("eta", "gamma"), [(1.0, 1), (0.2, 2)])
def test_code_golden(golden: Any, assert_matches: Any, case: str, counted: str, eta: float, gamma: int) -> None:
    arrays = golden("lmpt_cse_code")
    counts = golden("inputs")["class_freq_voc"] if counted == "dimfix_raw_counts" else None
    labels = torch.from_numpy(arrays[f"{case}__labels"]) * 2 - 1
    field = f"{case}__{counted}_margin{eta}_gamma{gamma}__"
    loss = ClassSpecificEmbeddingLoss(counts, eta=eta, gamma=gamma, variant="code")
    for dtype, tag in ((torch.float64, "f64"), (torch.float32, "f32")):
        captions = torch.from_numpy(arrays[f"{case}__captions_embedding"]).to(dtype)
        prompts = torch.from_numpy(arrays[f"{case}__prompt_embedding"]).to(dtype).requires_grad_()
        x = token_cosine_distance(captions, prompts, skip=int(arrays[f"{case}__m_ctx"]))
        # In float32 a distance near 0 is a difference of ones: only its absolute error is bounded.
        torch.testing.assert_close(
            x.detach().double(),
            torch.from_numpy(arrays[f"{case}__x_{tag}"]).double(),
            rtol=0,
            atol=1e-12 if dtype == torch.float64 else 1e-6,
        )
        value = loss(x, labels)
        assert_matches(value, arrays[field + f"loss_{tag}"], dtype)
        by_x, by_prompt = torch.autograd.grad(value, [x, prompts])
        assert_matches(by_x, arrays[field + f"gradx_{tag}"], dtype)
        assert_matches(by_prompt, arrays[field + f"gradprompt_{tag}"], dtype)


def test_reductions(distances: Tensor) -> None:
    elements = ClassSpecificEmbeddingLoss(COUNTS, reduction="none")(distances, LABELS)
    torch.testing.assert_close(ClassSpecificEmbeddingLoss(COUNTS)(distances, LABELS), elements.sum(dim=1).mean())
    torch.testing.assert_close(ClassSpecificEmbeddingLoss(COUNTS, reduction="sum")(distances, LABELS), elements.sum())
    positions = distances[..., None].expand(4, 3, 2)
    elements = ClassSpecificEmbeddingLoss(COUNTS, variant="code", reduction="none")(positions, LABELS)
    mean = ClassSpecificEmbeddingLoss(COUNTS, variant="code")(positions, LABELS)
    torch.testing.assert_close(mean, elements.sum() / (LABELS != 0).sum())


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_gradients_and_unknown_labels(distances: Tensor, variant: Any) -> None:
    values = (distances if variant == "paper" else torch.stack([distances, distances / 2], dim=2)).requires_grad_()
    loss = ClassSpecificEmbeddingLoss(COUNTS, eta=2.0, variant=variant)
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS), values)
    (grad,) = torch.autograd.grad(loss(values, LABELS), values)
    unknown = LABELS == 0
    assert (grad[unknown] == 0).all()
    assert (grad[~unknown] != 0).any()
    with torch.no_grad():
        hostile = values.clone()
        hostile[unknown] = torch.nan
    assert torch.equal(loss(hostile, LABELS), loss(values, LABELS))
    assert loss(values, torch.zeros_like(LABELS)) == 0


def test_positives_are_pulled_and_negatives_pushed_past_the_margin() -> None:
    loss = ClassSpecificEmbeddingLoss([1, 16, 1], eta=1.0, gamma=0.0, reduction="none")
    elements = loss(torch.tensor([[0.3, 0.3, 1.2]]), torch.tensor([[1, -1, -1]]))
    torch.testing.assert_close(elements, torch.tensor([[0.3, 0.5 - 0.3, 0.0]]) / 3)


def test_cosine_distance() -> None:
    generator = torch.Generator().manual_seed(2)
    captions, classes = (torch.randn(n, 6, dtype=torch.float64, generator=generator) for n in (4, 3))
    expected = 1 - torch.nn.functional.cosine_similarity(captions[:, None], classes[None], dim=2)
    torch.testing.assert_close(cosine_distance(captions, classes), expected)
    assert torch.autograd.gradcheck(cosine_distance, (captions, classes.requires_grad_()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distance = cosine_distance(captions.float(), classes.float())
    assert distance.dtype == torch.float32
    torch.testing.assert_close(distance.double(), expected, rtol=0, atol=1e-6)
    assert cosine_distance(captions.bfloat16(), classes.float()).dtype == torch.float32
    assert (cosine_distance(torch.zeros(1, 6), classes.float()) == 1).all()


def test_token_cosine_distance_offsets_the_prompt() -> None:
    generator = torch.Generator().manual_seed(3)
    captions, prompts = (torch.randn(n, 5, 6, dtype=torch.float64, generator=generator) for n in (4, 3))
    distance = token_cosine_distance(captions, prompts, skip=2)
    assert distance.shape == (4, 3, 3)
    expected = 1 - torch.nn.functional.cosine_similarity(captions[1, 2], prompts[2, 4], dim=0)
    torch.testing.assert_close(distance[1, 2, 2], expected)


def test_low_precision(distances: Tensor) -> None:
    loss = ClassSpecificEmbeddingLoss(COUNTS)
    for dtype in (torch.bfloat16, torch.float16):
        low = distances.to(dtype)
        with torch.autocast("cpu", dtype=dtype):
            value = loss(low, LABELS)
        assert value.dtype == torch.float32
        assert torch.equal(value, loss(low.float(), LABELS))
    many = ClassSpecificEmbeddingLoss([80_000, 3], gamma=20.0).weights(torch.float32)
    assert torch.isfinite(many).all()
    torch.testing.assert_close(many.sum(), torch.tensor(1.0))


def test_checks(distances: Tensor) -> None:
    with pytest.raises(ValueError, match=r"distances: expected shape \[B, C\].*got \[4, 3, 1\]"):
        ClassSpecificEmbeddingLoss(COUNTS)(distances[..., None], LABELS)
    with pytest.raises(ValueError, match=r"distances: expected shape \[B, C, L\].*got \[4, 3\]"):
        ClassSpecificEmbeddingLoss(COUNTS, variant="code")(distances, LABELS)
    with pytest.raises(ValueError, match=r"class_counts: expected shape \[3\].*got \[2\]"):
        ClassSpecificEmbeddingLoss([1, 2])(distances, LABELS)
    with pytest.raises(ValueError, match=r"class_counts: .*at least 1"):
        ClassSpecificEmbeddingLoss([1, 0])
    with pytest.raises(ValueError, match=r"labels: .*got 2"):
        ClassSpecificEmbeddingLoss(COUNTS)(distances, LABELS * 2)
    with pytest.raises(ValueError, match="variant: "):
        ClassSpecificEmbeddingLoss(COUNTS, variant="shipped")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"captions: .*\[3, 5\] after the first, got \[2, 4\]"):
        cosine_distance(torch.ones(2, 4), torch.ones(3, 5))
    with pytest.raises(ValueError, match=r"classes: expected shape \[C, D\], got \[3\]"):
        cosine_distance(torch.ones(2, 4), torch.ones(3))
    with pytest.raises(TypeError, match=r"captions: .*torch.int64"):
        cosine_distance(torch.ones(2, 4, dtype=torch.int64), torch.ones(3, 4))
    with pytest.raises(ValueError, match="skip: expected 0 <= skip < 5"):
        token_cosine_distance(torch.ones(2, 5, 4), torch.ones(3, 5, 4), skip=5)
