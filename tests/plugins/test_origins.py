"""Origins: the grammar, what each may be claimed for, and every preset of every installed recipe against it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ltbench.method import Preset
from ltbench.method.config import choose_preset, load_presets, read_presets
from ltbench.method.origin import Origin, agrees, parse_origin
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import MethodSpec

RECIPES = sorted(registry().methods.names())


def spec_of(recipe: str) -> MethodSpec:
    return registry().methods.get(recipe).spec


@cache
def presets_of(recipe: str) -> tuple[Preset, ...]:
    return load_presets(spec_of(recipe))


@pytest.mark.parametrize(
    "text",
    [
        "default",
        "published(Table 1, DualCoOp (ours); Table 8)",
        "tuned(8, on shapes-lt)",
        "tuned(12, on shapes-plt@mr40)",
        "transferred(shapes-lt)",
        "transferred(shapes-plt@mr40, from variant code)",
    ],
)
def test_origins_are_read_and_written(text: str) -> None:
    assert str(parse_origin(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "tuned", "tuned(8)", "tuned(0, on shapes-lt)", "tuned(8, as shapes)", "transferred()", "published()", "best"],
)
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("origin", "tasks", "says"),
    [
        ("tuned(8, on shapes-lt)", ["shapes-lt", "shapes-plt"], "what is not shapes-lt is transferred"),
        ("tuned(8, on shapes-lt)", [], "the preset is for any task"),
        ("tuned(6, on shapes-plt@mr40)", ["shapes-lt"], "what is not shapes-plt is transferred"),
        ("transferred(shapes-plt@mr40)", ["shapes-plt"], "say from what"),
        ("published(Table 1)", ["shapes-lt"], "nothing was published for shapes-lt"),
        ("tuned(8)", ["shapes-lt"], "is no origin"),
    ],
)
def test_an_origin_that_does_not_fit_the_tasks_is_refused(origin: str, tasks: list[str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Preset.model_validate({"name": "mine", "tasks": tasks, "origin": origin})


@pytest.mark.parametrize("recipe", RECIPES)
def test_presets_say_where_their_values_come_from(recipe: str) -> None:
    """Tuned ones have one variant; what is transferred names a task where it, or what it is from, was tuned."""
    spec = spec_of(recipe)
    presets = presets_of(recipe)
    for preset in presets:
        origin = parse_origin(preset.origin)
        if origin.kind == "tuned":
            assert len(spec.variants) == 1 or preset.variant is not None, preset
            assert preset.backbones, preset
        if origin.kind == "transferred":
            home = Origin("tuned", task=origin.task)
            words = origin.what.split()
            # From a preset of the recipe, another recipe, a variant, or an option that had another value.
            if words[:1] == ["variant"]:
                assert words[1] in spec.variants
                assert words[1] != preset.variant
            elif "=" in origin.what:
                assert origin.what.partition("=")[0] in spec.load().Config.model_fields
                continue
            held = presets_of(origin.what if origin.what in RECIPES else recipe)
            if origin.what and origin.what not in RECIPES and words[:1] != ["variant"]:
                held = tuple(each for each in presets if each.name == origin.what)
            tasks = [parse_origin(each.origin).task for each in held if parse_origin(each.origin).kind == "tuned"]
            if tasks or recipe == "hspnet":
                assert home.task in tasks, (preset.name, preset.origin, tasks)
            else:
                # The part of another recipe, tuned there: hcp has hspnet's values, and mls erm's.
                assert home.task in {t for each in presets for t in [parse_origin(each.origin).task] if t}, preset


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_published_names_its_backbones(recipe: str) -> None:
    """A paper printed nothing for whatever other encoder a run may name."""
    for preset in presets_of(recipe):
        assert preset.backbones or parse_origin(preset.origin).kind != "published", preset


@pytest.mark.parametrize(
    ("recipe", "task"), [("sdl", "zsl-coco"), ("sdl", "zsl-nus"), ("biam", "zsl-nus"), ("dual-templates", "zsl-coco")]
)
def test_the_settings_of_a_release_on_another_encoder_are_default(recipe: str, task: str) -> None:
    printed, other = (
        choose_preset(presets_of(recipe), None, task, None, backbone, spec_of(recipe).variants[0])
        for backbone in ("clip-rn50", "clip-vit-b16")
    )
    assert printed is not None
    assert other is not None
    assert printed.origin.startswith("published(")
    assert (other.origin, other.overrides) == ("default", printed.overrides)


def test_what_was_tuned_with_one_variant_is_transferred_to_the_other() -> None:
    preset = Preset(name="mine", tasks=("shapes-lt",), origin="tuned(8, on shapes-lt)", overrides={"lr": 1.0})
    found = preset.by_variant(("code", "paper"))
    assert [(each.variant, each.origin) for each in found] == [
        ("code", "tuned(8, on shapes-lt)"),
        ("paper", "transferred(shapes-lt, from variant code)"),
    ]
    assert {tuple(each.overrides.items()) for each in found} == {(("lr", 1.0),)}
    assert preset.by_variant(("paper",)) == (preset,)


@pytest.fixture
def file_of(tmp_path: Path) -> Any:
    """A preset file, beside the record of a search of two trials."""

    def write(origin: str, overrides: dict[str, Any], **search: Any) -> Path:
        trials = [
            {"number": 0, "overrides": {}, "status": "completed", "score": 60.0},
            {"number": 1, "overrides": {"lr": 0.1}, "status": "completed", "score": 61.0},
        ]
        record = {"method": "coop", "task": "shapes-lt", "base": {"lr": 0.5, "epochs": 3}, "trials": trials} | search
        (tmp_path / "trials.json").write_text(json.dumps(record))
        entry = {"name": "tuned", "tasks": ["shapes-lt"], "origin": origin, "overrides": overrides}
        path = tmp_path / "preset.yaml"
        path.write_text(yaml.safe_dump({"coop": [entry]}))
        return path

    return write


def test_a_file_states_what_the_search_beside_it_shows(file_of: Any) -> None:
    (preset,) = read_presets(file_of("tuned(2, on shapes-lt)", {"lr": 0.1, "epochs": 3}), "coop")
    assert preset.origin == "tuned(2, on shapes-lt)"
    (typed,) = read_presets(file_of("default", {"lr": 7.0}), "coop")
    assert typed.origin == "default"


@pytest.mark.parametrize(
    ("origin", "overrides", "search", "says"),
    [
        ("tuned(6, on shapes-lt)", {"lr": 0.1}, {}, "has 2 trials of coop on shapes-lt"),
        ("tuned(2, on shapes-lt)", {"lr": 0.5}, {}, "not those of the best trial"),
        ("tuned(2, on shapes-lt)", {"lr": 0.1, "epochs": 4}, {}, "not those of the best trial"),
        ("tuned(2, on shapes-lt)", {"lr": 0.1}, {"method": "erm"}, "has 2 trials of erm"),
        ("tuned(2, on shapes-lt)", {"lr": 0.1}, {"task": "shapes-zsl"}, "of coop on shapes-zsl"),
        ("tuned(2, on shapes-lt)", {"lr": 0.1}, {"trials": 3}, "no trials.json of a search lies beside it"),
        ("published(Table 1, LMPT)", {"lr": 0.1}, {}, "nothing was published for shapes-lt"),
        ("transferred(shapes-zsl)", {"lr": 0.1}, {}, "a file can state tuned or default only"),
    ],
)
def test_a_typed_origin_is_refused(
    file_of: Any, origin: str, overrides: dict[str, Any], search: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        read_presets(file_of(origin, overrides, **search), "coop")


@pytest.mark.parametrize(
    ("stated", "preset", "same"),
    [
        ("tuned(8)", "tuned(8, on shapes-lt)", True),
        ("tuned(6, on shapes-plt@mr40)", "tuned(6, on shapes-plt@mr40)", True),
        ("tuned(6, as shapes)", "transferred(shapes-spml, from shapes)", True),
        ("default", "transferred(shapes-lt)", True),
        ("default", "default", True),
        ("tuned(7)", "tuned(8, on shapes-lt)", False),
        ("tuned(6, on shapes-lt)", "tuned(6, on shapes-plt@mr40)", False),
        ("tuned(8)", "default", False),
        ("default", "tuned(8, on shapes-lt)", False),
        ("transferred(shapes-lt)", "transferred(shapes-lt)", False),
    ],
)
def test_origins_of_old_records(stated: str, preset: str, same: bool) -> None:
    assert agrees(stated, preset) is same
