"""HSPNet: prompts of groups that start from words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ltbench.backbones.base import Backbone
from ltbench_hspnet.labels import GroupContexts
from tests.plugins.conftest import NAMES
from tests.plugins.hspnet.hspnet_toys import context_for


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
