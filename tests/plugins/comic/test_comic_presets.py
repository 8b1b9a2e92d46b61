"""COMIC's presets: every row of Tables 1 to 4 that its method ran, and Table 2 on shapes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ltbench.method.config import Preset, build_config, choose_preset, load_presets
from ltbench_comic.method import Comic
from ltbench_comic.plugin import ltbench_methods

RESNET = "timm:resnet50.tv_in1k"
(SPEC,) = [spec for spec in ltbench_methods() if spec.name == "comic"]
PRESETS = load_presets(SPEC)

COMMON: dict[str, Any] = {
    "batch_size": 32,
    "epochs": 40,
    "optimizer": "adam",
    "lr": 1e-3,
    "classifier_lr": 1e-4,
    "weight_decay": 1e-4,
    "tau": 0.7,
    "htb_power": 2,
    "tail_effect": 2,
    "feature_dim": 1024,
    "heads": 1,
    "drop_last": True,
}
FULL = {"model": "comic", "rlc": True, "mfm": "full", "htb": True}
STATED: dict[tuple[str, str], dict[str, Any]] = {
    ("COMIC (Ours)", ""): FULL,
    ("COMIC", "full"): FULL,
    ("COMIC", "missing-rate ablation"): FULL,
    ("COMIC", "MFM: P-N and H-T factors"): FULL,
    ("COMIC", "-RLC"): FULL | {"rlc": False},
    ("COMIC", "-MFM"): FULL | {"mfm": "off"},
    ("COMIC", "-HTB"): FULL | {"htb": False},
    ("COMIC", "MFM: P-N factor only"): FULL | {"mfm": "pn"},
    ("COMIC", "MFM: H-T factor only"): FULL | {"mfm": "ht"},
    ("Head Model (Ours)", ""): {"model": "head"},
    ("Tail Model (Ours)", ""): {"model": "tail"},
}
STEPS = {("plt-coco", "head"): 40, ("plt-coco", "tail"): 12, ("plt-voc", "head"): 12, ("plt-voc", "tail"): 35}


def config_of(overrides: Mapping[str, Any]) -> Comic.Config:
    config = build_config(Comic.Config, "comic", SPEC.config, overrides)
    assert isinstance(config, Comic.Config)
    return config


def row_name(row: Mapping[str, str]) -> str:
    """How an origin names a row."""
    if row["table"] == "Table 3":
        return f"Table 3 {row['setup']}"
    if row["table"] == "Table 4":
        return f"Table 4 {row['variant'].removeprefix('MFM: ')}"
    return f"{row['table']} {row['method']} {row['variant']}".strip()


def printed(preset: Preset) -> set[str]:
    found = re.fullmatch(r"published\((.+)\)", preset.origin)
    return set(found[1].split("; ")) if found else set()


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_every_published_row_of_this_method_has_a_preset(shared: Path, variant: str) -> None:
    with (shared / "published" / "published.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["paper"], r["metric"], r["subset"]) == ("comic", "mAP", "total")]
    assert {row["table"] for row in rows} == {f"Table {n}" for n in range(1, 5)}
    ours = [row for row in rows if (row["method"], row["variant"]) in STATED]
    # All others are baselines of Table 1, with recipes of their own.
    assert {row["table"] for row in rows if row not in ours} == {"Table 1"}
    assert {(row["method"], row["variant"]) for row in ours} == set(STATED)
    named: dict[str, set[str]] = {}
    for row in ours:
        address = f"{row['task']}@mr{row['setup']}"
        name = row_name(row)
        (preset,) = [p for p in PRESETS if address in p.tasks and name in printed(p)]
        named.setdefault(address, set()).add(name)
        chosen = choose_preset(PRESETS, preset.name, row["task"], f"mr{row['setup']}", RESNET, variant)
        assert chosen == preset
        config = config_of(preset.overrides).model_dump()
        wanted = COMMON | STATED[row["method"], row["variant"]]
        model = wanted["model"]
        if model != "comic":
            wanted[f"{model}_step"] = STEPS[row["task"], model]
        assert {option: config[option] for option in wanted} == wanted, name
    # And no preset names a row that is not printed.
    for preset in PRESETS:
        for address in preset.tasks:
            assert printed(preset) <= named.get(address, set())


@pytest.mark.parametrize("setting", ["mr0", "mr30", "mr40", "mr50"])
@pytest.mark.parametrize("task", ["plt-coco", "plt-voc"])
def test_every_setting_has_the_full_method_first(task: str, setting: str) -> None:
    preset = choose_preset(PRESETS, None, task, setting, RESNET, "code")
    assert preset is not None
    assert preset.name == "comic"
    other = choose_preset(PRESETS, "comic", task, "mr40", RESNET, "code")
    assert other is not None
    assert preset.overrides == other.overrides
    assert (preset.origin == "default") == (task == "plt-voc" and setting != "mr40")


def test_each_variant_was_tuned_for_itself_on_shapes() -> None:
    """Six trials each over rates, decay and tau; the schedule is the same."""
    code, paper = (choose_preset(PRESETS, None, "shapes-plt", "mr40", "tiny-clip", v) for v in ("code", "paper"))
    assert code is not None
    assert paper is not None
    assert (code.name, code.origin) == (paper.name, paper.origin) == ("shapes", "tuned(6, on shapes-plt@mr40)")
    one, other = config_of(code.overrides).model_dump(), config_of(paper.overrides).model_dump()
    assert {name for name in one if one[name] != other[name]} == {"lr", "classifier_lr", "weight_decay"}


def test_presets_for_shapes_are_one_training_with_parts_left_out() -> None:
    variant = "code"
    auto = choose_preset(PRESETS, None, "shapes-plt", "mr40", "tiny-clip", variant)
    assert auto is not None
    assert auto.name == "shapes"
    base = config_of(auto.overrides).model_dump()
    differing = {
        "shapes-no-rlc": {"rlc": False},
        "shapes-no-mfm": {"mfm": "off"},
        "shapes-no-htb": {"htb": False},
        "shapes-head": {"model": "head", "rlc": False, "head_step": 30},
        "shapes-tail": {"model": "tail", "rlc": False},
    }
    for name, wanted in differing.items():
        preset = choose_preset(PRESETS, name, "shapes-plt", "mr0", "tiny-clip", variant)
        assert preset is not None
        config = config_of(preset.overrides).model_dump()
        assert {key: value for key, value in config.items() if value != base[key]} == wanted, name
