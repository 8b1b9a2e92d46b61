"""DR's presets: every row of Tables 1 to 6 that its training ran, and Table 2 on shapes."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ltbench.method.config import Preset, choose_preset
from tests.plugins.dr.dr_toys import PRESETS, RESNET, SPEC, config_of

CITED = {"ERM", "RM", "RS", "Focal Loss", "ML-GCN", "LDAM", "CB Focal"}
"""Rows of Table 1 that its caption says are cited."""
UNSTATED = {"Circle Loss", "ASL Loss", "BalPoE"}
"""Rows that the authors ran; neither paper nor code states their constants, or the form for several labels."""
STATED: dict[str, dict[str, Any]] = {
    "LSEP": {"objective": "lsep", "gamma1": 1},
    "C-LSEP": {"objective": "c-lsep", "gamma1": 1},
    "LSEP + CW": {"objective": "c-lsep", "gamma1": 5},
    "LSEP + CW + NGC": {"objective": "dr", "gamma1": 5},
    "C-LSEP + NGC": {"objective": "dr", "gamma1": 5},
    "DR Loss (Ours)": {"objective": "dr", "gamma1": 5},
    "DR": {"objective": "dr", "gamma1": 5},
    "LSEP + CW + NGC + DB Focal": {"objective": "dr+db-focal", "gamma1": 5},
    "DR (Ours) + DB Focal": {"objective": "dr+db-focal", "gamma1": 5},
    "DR + DB Focal": {"objective": "dr+db-focal", "gamma1": 5},
    "ZLPR Loss": {"objective": "zlpr"},
    "ZLPR": {"objective": "zlpr"},
    "C-ZLPR": {"objective": "c-zlpr"},
    "C-LSEP + PGC": {"objective": "pgc", "gamma1": 5},
    "C-LSEP + GC": {"objective": "gc", "gamma1": 5},
    "BCE": {"objective": "bce"},
    "DB Focal": {"objective": "db-focal"},
    "BCE + C-LSEP": {"objective": "bce+c-lsep", "gamma1": 1},
    "C-LSEP + DB Focal": {"objective": "c-lsep+db-focal", "gamma1": 1},
    "BCE + DR": {"objective": "bce+dr", "gamma1": 5},
}
DATA: dict[str, dict[str, Any]] = {
    "voc-lt": {"gamma2": 7, "lr": 3e-4, "head_lr": 3e-4, "theta": 0.3, "neg_scale": 5, "epochs": 30},
    "coco-lt": {"gamma2": 10, "lr": 1e-4, "head_lr": 1e-4, "theta": 0.2, "neg_scale": 2, "epochs": 35},
}


def stated(row: Mapping[str, str]) -> dict[str, Any]:
    """What the paper states about a row of its tables."""
    values = STATED[row["method"]] | {"batch_size": 32} | DATA[row["task"]]
    if row["table"] == "Table 4" and row["method"] == "C-LSEP":
        values["gamma1"] = 5
    if found := re.fullmatch(r"gamma=(\d)", row["variant"]):
        values["gamma1"] = int(found[1])
    if found := re.fullmatch(r"BS=(\d+)", row["variant"]):
        values["batch_size"] = int(found[1])
    return values


def printed(preset: Preset) -> set[str]:
    """Rows that the origin of a preset names, as "Table 3 LSEP gamma=1"."""
    found = re.fullmatch(r"published\((.+)\)", preset.origin)
    return set(found[1].split("; ")) if found else set()


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_every_published_row_of_this_training_has_a_preset(shared: Path, variant: str) -> None:
    with (shared / "published" / "published.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["paper"], r["metric"], r["subset"]) == ("dr", "mAP", "total")]
    assert {row["table"] for row in rows} == {f"Table {n}" for n in range(1, 7)}
    ran = [row for row in rows if row["table"] != "Table 1" or row["method"] not in CITED | UNSTATED]
    assert len(ran) == 2 * 35
    named: dict[str, set[str]] = {"voc-lt": set(), "coco-lt": set()}
    for row in ran:
        setting = row["variant"] if "=" in row["variant"] and "ablation" not in row["variant"] else ""
        name = f"{row['table']} {row['method']} {setting}".strip()
        (preset,) = [p for p in PRESETS if row["task"] in p.tasks and name in printed(p)]
        named[row["task"]].add(name)
        assert choose_preset(PRESETS, preset.name, row["task"], None, RESNET, variant) == preset
        config = config_of(**preset.overrides).model_dump()
        wanted = stated(row)
        assert {option: config[option] for option in wanted} == wanted, name
    # And no preset names a row that is not printed.
    for task, names in named.items():
        assert {name for p in PRESETS if task in p.tasks and p.backbones for name in printed(p)} == names


def test_presets_of_the_tables_differ_in_objective_gamma_and_batch_size_only() -> None:
    for task in DATA:
        configs = [config_of(**p.overrides).model_dump() for p in PRESETS if task in p.tasks and p.backbones]
        varied = {name for name in configs[0] if len({str(config[name]) for config in configs}) > 1}
        assert varied == {"objective", "gamma1", "batch_size"}
        distinct = {tuple(sorted((k, str(v)) for k, v in config.items())) for config in configs}
        assert len(distinct) == len(configs) == 21


@pytest.mark.parametrize("task", ["voc-lt", "coco-lt"])
def test_defaults_are_the_release_for_voc_and_the_first_preset_is_dr(task: str) -> None:
    preset = choose_preset(PRESETS, None, task, None, RESNET, "code")
    assert preset is not None
    assert preset.name == "dr"
    # But for the square, without which older records were made.
    assert (config_of(**preset.overrides) == config_of(images="square")) == (task == "voc-lt")
    assert SPEC.variants[0] == "code"


def test_presets_for_shapes_are_table_2_on_one_training() -> None:
    auto = choose_preset(PRESETS, None, "shapes-lt", None, "tiny-clip", "paper")
    assert auto is not None
    assert auto.name == "shapes"
    base = config_of(**auto.overrides).model_dump()
    rows = {
        "shapes-lsep": "lsep",
        "shapes-clsep": "c-lsep",
        "shapes-clsep-ngc": "dr",
        "shapes-dr-dbfocal": "dr+db-focal",
    }
    for name, objective in rows.items():
        preset = choose_preset(PRESETS, name, "shapes-lt", None, "tiny-clip", "code")
        assert preset is not None
        config = config_of(**preset.overrides).model_dump()
        differing = {key for key, value in config.items() if value != base[key]}
        assert differing <= {"objective", "gamma1"}
        assert config["objective"] == objective
    assert (
        choose_preset(PRESETS, "shapes-clsep-ngc", "shapes-lt", None, "tiny-clip", "code").overrides == auto.overrides
    )
