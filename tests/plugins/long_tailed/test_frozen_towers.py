"""The visual recipes with their image tower frozen: features from the cache, and the head that learns from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ltbench.engine.inputs import FeatureInputs
from ltbench.engine.tune import search_space
from ltbench.method import GradientStage, Method
from ltbench.method.config import build_config
from ltbench.plugin import UserError
from ltbench.plugin.manager import registry
from tests.plugins.long_tailed.visual_toys import encoder
from tests.plugins.two_stream_toys import NAMES, ROWS, context_of, long_tail, phase_of

LOSSES = (
    "erm", "rw", "rs", "focal", "cb-focal", "r-bce-focal", "db", "db-focal", "ldam", "asl", "mls", "lsep", "zlpr",
    "circle", "dr", "c-lsep", "c-zlpr",
)  # fmt: skip
OTHERS = ("lws", "balpoe", "ml-gcn", "bbn", "ltml", "oltr")
SMALL = {"tower": "frozen", "epochs": 2, "batch_size": 16, "augment": "none"}


def small(recipe: str, **options: Any) -> Method:
    spec = registry().methods.get(recipe).spec
    cls: type[Method] = spec.load()
    more = {"words": "one-hot"} if recipe == "ml-gcn" else {}
    return cls(build_config(cls.Config, recipe, spec.config, {**SMALL, **more, **options}))


@pytest.mark.parametrize("recipe", [*LOSSES, *OTHERS])
def test_each_image_is_encoded_once_and_the_tower_stays_what_it_was(recipe: str, tmp_path: Path) -> None:
    backbone = encoder()
    assert backbone.visual is not None
    before = {name: tensor.clone() for name, tensor in backbone.visual.state_dict().items()}
    phase = phase_of(small(recipe), tmp_path, backbone)
    inputs = phase.training_rows().inputs
    assert isinstance(inputs, FeatureInputs)
    phase.run()
    assert backbone.seen == ROWS
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.visual.state_dict().items())
    assert not [name for name in phase.capture() if "tower" in name]
    assert phase.predict(inputs, NAMES).shape == (ROWS, len(NAMES))
    lengths = {sum(p.numel() for p in stage.module.parameters()) for stage in phase.stages}
    assert min(lengths) > 0


@pytest.mark.parametrize("recipe", ["erm", "db-focal", "dr", "balpoe"])
def test_a_frozen_tower_is_a_tower_all_of_whose_parts_are_left_alone(recipe: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"freeze": ("conv1", "bn1", "layer1"), "epochs": 3, "drop_last": False}
    if recipe == "balpoe":
        options["mixup"] = 0.0
    found = []
    for tower in ("frozen", "trained"):
        phase = phase_of(small(recipe, tower=tower, **options), tmp_path / tower, encoder())
        phase.run()
        found.append(torch.from_numpy(phase.predict(phase.training_rows().inputs, NAMES)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_oltr_attends_to_cached_places(tmp_path: Path) -> None:
    method = small("oltr", attention="modulated")
    assert method.needs().input == "region"
    with pytest.raises(UserError, match="no map of places"):
        method.stages(context_of(long_tail(), encoder()))


@pytest.mark.parametrize("recipe", ["erm", "dr", "lws", "oltr", "bbn"])
def test_features_alone_are_enough(recipe: str) -> None:
    method = small(recipe)
    assert (method.needs().input, method.needs().text) == ("global", False)
    stages = method.stages(context_of(long_tail(), encoder(visual=False)))
    groups = [group.name for stage in stages if isinstance(stage, GradientStage) for group in stage.param_groups]
    assert groups
    assert "tower" not in groups


def test_a_configuration_states_what_decides_something() -> None:
    trained, frozen = small("oltr", tower="trained").config, small("oltr").config
    assert "tower" not in trained.model_dump()
    assert trained.model_dump() == small("oltr", tower="trained", augment="none").config.model_dump()
    assert set(trained.model_dump()) - set(frozen.model_dump()) == {"lr", "batch_norm", "freeze", "memory_lr"}
    assert frozen.model_dump()["tower"] == "frozen"
    again = type(frozen).model_validate(frozen.model_dump())
    assert again.model_dump() == frozen.model_dump()


def test_a_search_leaves_out_what_decides_nothing() -> None:
    assert set(search_space(small("dr"), "tiny-clip")) == {"head_lr", "weight_decay", "augment"}
    assert "lr" in search_space(small("dr", tower="trained"), "tiny-clip")


@pytest.mark.parametrize(
    ("recipe", "options", "said"),
    [
        ("dr", {"augment": "live"}, r"augment=live has none to keep: add -o augment=flip"),
        ("balpoe", {"own_parts": ("layer1",)}, "own_parts: experts learn no parts"),
        ("bbn", {"branch": ("layer1",)}, "branch: a branch learns no parts"),
    ],
)
def test_what_a_frozen_tower_cannot_do_is_named(recipe: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        small(recipe, **options)
