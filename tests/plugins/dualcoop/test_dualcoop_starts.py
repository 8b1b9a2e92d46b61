"""DualCoOp: where its prompts start, and what sharpness means for an encoder."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from ltbench.backbones.base import Backbone
from ltbench_dualcoop.method import DualCoOp, sharpness
from tests.plugins.dualcoop.dualcoop_toys import module_of


@pytest.mark.parametrize(
    ("options", "variant", "scale", "expected"),
    [
        ({}, "code", 100.0, 20.0),
        ({}, "code", 100.00000762939453, 20.0),
        ({}, "code", 15.0, 3.0),
        ({}, "paper", 15.0, 1.0),
        ({"sharpness_ratio": 0.5}, "code", 15.0, 7.5),
        ({"sharpness_ratio": 0.5}, "paper", 15.0, 7.5),
        ({"sharpness": 7.0}, "code", 15.0, 7.0),
    ],
)
def test_sharpness_is_a_share_of_the_encoders_scale(
    toy: Backbone,
    options: dict[str, Any],
    variant: Any,
    scale: float,
    expected: float,
) -> None:
    assert toy.text is not None
    toy.text.logit_scale = scale
    assert sharpness(DualCoOp.Config(**options), toy, variant) == expected


def test_one_of_two_ways_to_state_sharpness() -> None:
    with pytest.raises(ValidationError, match="one of the two decides"):
        DualCoOp.Config(sharpness=3.0, sharpness_ratio=0.2)


@pytest.mark.parametrize("class_specific", [False, True])
@pytest.mark.parametrize(("tokens", "random"), [(6, 2), (4, 0), (3, 0)])
def test_contexts_that_start_from_words_have_them_before_the_name(
    toy: Backbone,
    full: Any,
    tokens: int,
    random: int,
    class_specific: bool,
) -> None:
    build = {"context_tokens": tokens, "class_specific": class_specific}
    words, drawn = (module_of(toy, full, init=init, **build).sides.contexts() for init in ("words", "random"))
    assert toy.text is not None
    ids = toy.text.tokenize(["a photo of a"])
    embedded = toy.text.embed_tokens(ids)[0, 1:5]
    for one, other in zip(words, drawn, strict=True):
        torch.testing.assert_close(one[..., :random, :], other[..., :random, :])
        kept = one[..., random:, :]
        torch.testing.assert_close(kept, embedded[4 - kept.shape[-2] :].expand_as(kept))


def test_words_of_one_side_keep_their_place(toy: Backbone, full: Any) -> None:
    module = module_of(toy, full, init="words", negative_init="a photo without a")
    negative, positive = module.sides.contexts()
    assert not torch.equal(negative, positive)
    assert toy.text is not None
    ids = toy.text.tokenize(["a photo without a"])
    torch.testing.assert_close(negative.detach(), toy.text.embed_tokens(ids)[0, 1:5])
