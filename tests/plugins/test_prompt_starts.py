"""Where learned prompts start, and what sharpness means for an encoder: DualCoOp and HSPNet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.plugins.hspnet_toys import context_for
from tests.plugins.test_dualcoop import module_of, toy  # noqa: F401

from ltbench.backbones.base import Backbone
from ltbench_dualcoop.method import DualCoOp, sharpness
from ltbench_hspnet.labels import GroupContexts
from tests.plugins.conftest import NAMES


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
    toy: Backbone,  # noqa: F811
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
    toy: Backbone,  # noqa: F811
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


def test_words_of_one_side_keep_their_place(toy: Backbone, full: Any) -> None:  # noqa: F811
    module = module_of(toy, full, init="words", negative_init="a photo without a")
    negative, positive = module.sides.contexts()
    assert not torch.equal(negative, positive)
    assert toy.text is not None
    ids = toy.text.tokenize(["a photo without a"])
    torch.testing.assert_close(negative.detach(), toy.text.embed_tokens(ids)[0, 1:5])


@pytest.mark.parametrize("form", ["group", "concat", "add"])
def test_prompts_of_groups_can_start_from_the_words_of_all(backbone: Backbone, form: Any) -> None:
    """Then every class has the prompt that one context for all gives, and gradients reach the network all the same."""
    from ltbench_hspnet.method import HSPNet

    groups = {"animals": ("cat", "dog"), "streets": ("traffic light", "person", "bus")}
    options = {"train_encoder": False, "label_graph": False, "group_graph": False, "prompts": form}
    context = context_for(backbone.text, NAMES, groups, backbone.card.dim)
    (stage,) = HSPNet(HSPNet.Config(meta_start="context", **options)).stages(context)
    labels = stage.module.head.labels  # type: ignore[union-attr]
    words = backbone.text.embed_tokens(backbone.text.tokenize(["a photo of a"]))[0, 1:5]  # type: ignore[union-attr]
    expected = torch.cat([words, words]) if form == "concat" else words
    contexts = labels.contexts()
    torch.testing.assert_close(contexts, expected.expand(len(NAMES), -1, -1))
    prompts = labels.prompts.meta
    assert isinstance(prompts, GroupContexts)
    labels().square().sum().backward()
    last = prompts.meta.layers[-1]
    assert last.weight.grad is not None
    assert float(last.weight.grad.abs().max()) > 0
    assert np.isfinite(last.weight.grad.numpy()).all()
