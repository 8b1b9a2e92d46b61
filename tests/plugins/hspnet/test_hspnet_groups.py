"""HSPNet: which groups it takes, what prompts they give, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ltbench.plugin import UserError
from ltbench_hspnet.hierarchy import clustered
from tests.plugins.hspnet.hspnet_toys import GROUPS, build, config_of, context, towers
from tests.plugins.two_stream_toys import NAMES


def test_labels_of_a_group_share_their_context() -> None:
    _, module = build(context())
    contexts = module.head.labels.contexts()
    assert contexts.shape == (5, 4, 12)
    assert torch.equal(contexts[0], contexts[1])
    assert torch.equal(contexts[2], contexts[3])
    assert not torch.allclose(contexts[0], contexts[2])
    assert not torch.allclose(contexts[0], contexts[4])


@pytest.mark.parametrize(("prompts", "tokens"), [("add", 4), ("concat", 8)])
def test_contexts_of_groups_join_the_context_of_all(prompts: Any, tokens: int) -> None:
    where = context()
    _, alone = build(where)
    _, module = build(where, prompts=prompts)
    made, words = alone.head.labels.contexts(), module.head.labels.prompts.meta.words
    found = module.head.labels.contexts()
    assert found.shape == (5, tokens, 12)
    # The graph and the meta network start from the same draws in both.
    wanted = made + words if prompts == "add" else torch.cat([made, words.expand(5, -1, -1)], dim=1)
    torch.testing.assert_close(found, wanted)
    tower: Any = where.backbone.text
    start = tower.embed_tokens(tower.tokenize(["a photo of a"]))[0, 1:5]
    torch.testing.assert_close(words.detach(), start)
    embeddings, ends = module.head.labels.prompts(
        module.head.labels._refined("group", module.head.labels.groups, module.head.labels.group_links)[None]
    )
    torch.testing.assert_close(embeddings[0, :, 1 : 1 + tokens], found)
    assert torch.equal(ends, tower.end_positions(tower.tokenize([f"{name}." for name in NAMES])) + tokens)


def hierarchy_of(module: Any) -> tuple[list[int], torch.Tensor]:
    return module.head.labels.prompts.meta.index.tolist(), module.head.labels.groups


def test_groups_come_from_the_task_or_from_clusters() -> None:
    tower: Any = towers().text
    index, features = hierarchy_of(build(context())[1])
    assert index == [0, 0, 1, 1, 2]
    wanted = tower.encode([f"a photo of a {name}." for name in GROUPS])
    torch.testing.assert_close(features, wanted)
    numbered = hierarchy_of(build(context(), group_names="numbers")[1])
    assert numbered[0] == index
    torch.testing.assert_close(numbered[1], tower.encode([f"a photo of a group{n}." for n in (1, 2, 3)]))
    for recipe, where in (("hspnet", context(groups={})), ("hspnet-cluster", context())):
        options = {} if recipe == "hspnet-cluster" else {"clusters": 3}
        found, centres = hierarchy_of(build(where, recipe, **options)[1])
        labels = tower.encode([f"a photo of a {name}." for name in NAMES])
        assert sorted(set(found)) == [0, 1, 2]
        for group in range(3):
            members = [at for at, one in enumerate(found) if one == group]
            torch.testing.assert_close(centres[group], labels[members].mean(dim=0))
    assert len(hierarchy_of(build(context(groups={}))[1])[1]) == 2


def test_clusters_are_the_nearest_labels_and_the_same_again() -> None:
    rng = np.random.default_rng(1)
    places = np.repeat(np.eye(4, 6) * 10, 5, axis=0)
    points = torch.from_numpy(places + rng.normal(0, 0.1, places.shape)).float()
    found = clustered(points, 4, 0)
    assert [len(set(part)) for part in found.index.reshape(4, 5).tolist()] == [1, 1, 1, 1]
    assert len(found.index.unique()) == 4
    assert torch.equal(found.index, clustered(points, 4, 0).index)
    # Seeds of runs have 63 bits.
    assert len(clustered(points, 4, 2**63 - 1).index.unique()) == 4
    # Equal names cannot be told apart: fewer clusters, none of them empty.
    same = clustered(torch.ones(5, 6), 3, 0)
    assert same.index.tolist() == [0] * 5
    assert same.features.shape == (1, 6)


def test_random_groups_follow_the_seed() -> None:
    indices = {
        seed: hierarchy_of(build(replace(context(), seed=seed), groups="random")[1])[0] for seed in (0, 0, 1, 2, 3)
    }
    assert len({tuple(index) for index in indices.values()}) > 1
    again = hierarchy_of(build(context(), groups="random")[1])
    assert again[0] == indices[0]
    assert len(again[1]) == 3


@pytest.mark.parametrize(
    ("groups", "options", "message", "hint"),
    [
        ({}, {"groups": "task"}, "groups=task needs a task that defines groups", "-o groups=cluster"),
        ({}, {"groups": "random"}, "groups=random needs a task that defines groups", "-o groups=cluster"),
        ({"animal": ("cat", "dog")}, {}, "class 'tram' is in none of the task's groups", "-o groups=cluster"),
        (GROUPS | {"pet": ("dog",)}, {}, "class 'dog' is in several of the task's groups", "-o groups=cluster"),
        (GROUPS, {"groups": "cluster", "clusters": 6}, "clusters=6 is more than the 5 classes", "-o clusters=5"),
        (GROUPS, {"freeze": ("layer9",)}, "no part 'layer9'", "-o freeze"),
        (GROUPS, {"prompts": "concat", "context_tokens": 3}, "has 4 tokens, but context_tokens is 3", "context_tokens"),
    ],
)
def test_what_cannot_be_built_says_why(groups: Any, options: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UserError, match=message) as found:
        build(context(groups=groups), **options)
    assert hint in found.value.hint


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("hspnet", {"prompts": "single"}, "group_graph"),
        ("spl", {"group_graph": True}, "group_graph"),
        ("hspnet", {"image_size": 448}, "image_size"),
        ("hspnet", {"epochs": 60, "schedule_epochs": 50}, "schedule_epochs"),
    ],
)
def test_options_that_contradict_each_other(recipe: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(recipe, **options)


def test_groups_that_are_not_used_are_not_asked_for() -> None:
    for recipe in ("spl", "spl-gcn"):
        build(context(groups={}), recipe, groups="task")
