"""Hand-written texts: two sides, one side, new names, the mean token, golden aggregation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ltbench.backbones.base import Backbone
from ltbench.method import Batch, Context, FitStage, Stats
from ltbench.method.config import build_config
from ltbench.plugin import UserError
from ltbench_baselines.unseen.dual_templates import WrittenTexts
from tests.golden import golden
from tests.plugins.unseen.zsl_toys import NAMES, PLACES, SPECS, UNSEEN, WRITTEN, with_regions


def written(backbone: Backbone, name: str, variant: Any = "paper", **options: Any) -> WrittenTexts:
    spec = SPECS[name]
    method = spec.load()(build_config(spec.load().Config, name, spec.config, options))
    nothing = np.zeros((0, len(NAMES)), dtype=np.int8)
    (stage,) = method.stages(Context(NAMES, Stats.of(nothing), backbone, torch.device("cpu"), 0, variant=variant))
    assert isinstance(stage, FitStage)
    assert stage.fit is None
    assert isinstance(stage.module, WrittenTexts)
    return stage.module


@pytest.fixture
def sharing(backbone: Backbone) -> Backbone:
    """The toy encoder with regions of the size of texts."""
    return with_regions(backbone, backbone.card.dim)


def places_batch(rows: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(2)
    given = (torch.randn(rows, 16, generator=generator), torch.randn(rows, PLACES, 16, generator=generator))
    return Batch(torch.arange(rows), given, torch.zeros((rows, 0), dtype=torch.int8))


@pytest.mark.parametrize(("variant", "sharpness"), [("paper", 1.0), ("code", 20.0)])
def test_two_texts_are_weighed_where_presence_is_likeliest(sharing: Backbone, variant: str, sharpness: float) -> None:
    assert sharing.text is not None
    batch = places_batch()
    found = written(sharing, "dual-templates", variant).logits(batch)
    positive, negative = (
        normalize(sharing.text.encode([text + name for name in NAMES]), dim=1)
        for text in ("a photo of a ", "a photo without a ")
    )
    cosines = normalize(batch.input[1], dim=2) @ positive.T, normalize(batch.input[1], dim=2) @ negative.T
    weights = torch.softmax(sharpness * cosines[0], dim=1)
    sides = torch.stack([100 * (weights * side).sum(dim=1) for side in cosines])
    torch.testing.assert_close(found, sides[0] - sides[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.sigmoid(), torch.softmax(sides, dim=0)[0], rtol=1e-4, atol=1e-4)


def test_class_names_alone_rank_by_one_similarity(sharing: Backbone) -> None:
    assert sharing.text is not None
    batch = places_batch()
    module = written(sharing, "class-names", "code")
    names = normalize(sharing.text.encode(list(NAMES)), dim=1)
    cosines = normalize(batch.input[1], dim=2) @ names.T
    expected = 100 * (torch.softmax(20 * cosines, dim=1) * cosines).sum(dim=1)
    torch.testing.assert_close(module.logits(batch), expected, rtol=1e-4, atol=1e-4)
    probability, rank = (
        SPECS[name].load()(build_config(SPECS[name].load().Config, name, SPECS[name].config)).needs().calibrated
        for name in ("dual-templates", "class-names")
    )
    assert (probability, rank) == (True, False)


@pytest.mark.parametrize("name", WRITTEN)
def test_written_texts_answer_for_new_names(sharing: Backbone, name: str) -> None:
    module, batch = written(sharing, name), places_batch()
    seen = module.logits(batch)
    module.set_classes((*UNSEEN, *NAMES))
    torch.testing.assert_close(module.logits(batch)[:, 2:], seen)
    assert not module.state_dict()


def test_the_mean_token_is_a_place_where_there_is_one(sharing: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = places_batch()
    without = written(sharing, "dual-templates").logits(batch)
    monkeypatch.setattr(type(sharing), "mean_token", lambda self, regions: regions.mean(dim=1) + 1)
    longer = torch.cat([batch.input[1].mean(dim=1, keepdim=True) + 1, batch.input[1]], dim=1)
    found = written(sharing, "dual-templates").logits(batch)
    again = written(sharing, "dual-templates", mean_token=False)
    torch.testing.assert_close(found, again.logits(Batch(batch.rows, (batch.input[0], longer), batch.observed)))
    torch.testing.assert_close(again.logits(batch), without)


@pytest.mark.parametrize("case", ["s0", "s2"])
def test_golden_aggregation_through_the_written_texts(sharing: Backbone, case: str) -> None:
    data = {
        name: torch.from_numpy(array).float()
        for name, array in golden("limited-labels", "dualcoop_region_aggregation").items()
    }
    module = written(sharing, "dual-templates", "code")
    regions, texts = data[f"{case}__image_features"].transpose(1, 2), data[f"{case}__text_features"]
    module.texts = texts.reshape(2, -1, texts.shape[1])
    found = module.logits(Batch(torch.arange(len(regions)), (regions[:, 0], regions), torch.empty(len(regions), 0)))
    sides = data[f"{case}__logits"]
    torch.testing.assert_close(found, sides[:, 1] - sides[:, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{"positive": "a photo"}, {"positive": ""}, {"negative": "{} without {}"}])
def test_texts_without_one_place_for_the_name_are_refused(options: dict[str, str]) -> None:
    spec = SPECS["dual-templates"]
    with pytest.raises(UserError, match=next(iter(options))):
        build_config(spec.load().Config, "dual-templates", spec.config, options)
