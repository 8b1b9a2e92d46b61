"""The comparisons beside COMIC: presets of their published rows and for shapes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench_comic.plain_recipes import plain_recipes

SPECS = {spec.name: spec for spec in plain_recipes()}
RESNET = "timm:resnet50.tv_in1k"
ROWS = {
    "BCE": "bce",
    "Focal": "focal",
    "ASL": "asl",
    "DB": "db",
    "DB-Focal": "db-focal",
    "LWS": "lws",
    "Pseudo-Label": "pseudo-labels",
    "ML-GCN": "ml-gcn",
    "Hill": "hill",
    "P-ASL": "p-asl",
}


def test_every_published_comparison_has_a_preset(shared: Path) -> None:
    with (shared / "published" / "published.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if (row["paper"], row["table"], row["metric"], row["subset"]) == ("comic", "Table 1", "mAP", "total")
        ]
    others = [row for row in rows if "(Ours)" not in row["method"]]
    assert {row["method"] for row in others} == set(ROWS)
    assert {row["task"] for row in others} == {"plt-coco", "plt-voc"}
    for row in others:
        recipe = f"plt-{ROWS[row['method']]}"
        preset = choose_preset(load_presets(SPECS[recipe]), None, row["task"], f"mr{row['setup']}", RESNET, "paper")
        assert preset is not None
        assert preset.origin == "default", "neither paper nor release states settings of its comparisons"
        cls: Any = SPECS[recipe].load()
        config = build_config(cls.Config, recipe, SPECS[recipe].config, preset.overrides)
        found = config.model_dump()
        stated = {"lr": 1e-3, "classifier_lr": 1e-4, "epochs": 40, "batch_size": 32, "feature_dim": 1024}
        if recipe.startswith("plt-db"):
            voc = row["task"] == "plt-voc"
            stated |= {"theta": 0.3 if voc else 0.2, "neg_scale": 5.0 if voc else 2.0}
        assert {name: found[name] for name in stated} == stated
        for setting in ("mr0", "mr30", "mr50"):
            other = choose_preset(load_presets(SPECS[recipe]), None, row["task"], setting, RESNET, "paper")
            assert other is not None
            assert (other.origin, other.overrides) == ("default", preset.overrides)


@pytest.mark.parametrize("recipe", SPECS)
def test_presets_for_shapes_differ_in_what_was_searched_and_in_their_own_options_only(recipe: str) -> None:
    found = []
    for name in ("plt-bce", recipe):
        preset = choose_preset(load_presets(SPECS[name]), None, "shapes-plt", "mr40", "tiny-clip", "paper")
        assert preset is not None
        assert preset.name == "shapes"
        found.append(preset.overrides)
    common, own = found
    searched = {"lr", "classifier_lr", "weight_decay"}
    kept = {name: value for name, value in common.items() if name not in searched}
    assert {name: own[name] for name in kept} == kept
    assert set(own) - set(kept) - searched <= {"theta", "neg_scale", "top_k", "pseudo_start", "hidden", "tau"}
