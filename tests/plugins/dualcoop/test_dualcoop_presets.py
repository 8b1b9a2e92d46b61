"""Every published row that DualCoOp can run has a preset, and differs from the headline by what its table varies."""

from __future__ import annotations

from typing import Any

import pytest

from ltbench.method.config import Preset, build_config, choose_preset, load_presets
from ltbench.report.published import Published, published
from ltbench_dualcoop.method import DualCoOp
from ltbench_dualcoop.plugin import ltbench_methods

(SPEC,) = ltbench_methods()
PRESETS = load_presets(SPEC)
BACKBONES = {"rn50": "clip-rn50", "rn101": "clip-rn101"}
OWN = ("DualCoOp", "Discrete Label", "Multi-Headed Attention", "Class-Specific Feature Aggregation (DualCoOp)")
LEARNED = ("M2", "M3", "M4", "M5")
TASKS = {"gzsl-coco": "zsl-coco", "gzsl-nus": "zsl-nus"}

# Rows of these tables that it cannot run, and why.
NOT_RUN = {
    "finetune=no;train_res=224;test_res=448": "images of one size in training and test",
    "finetune=yes;train_res=448;test_res=448": "weights of the pool stay frozen; the paper states no rate for them",
}
# What a row changes against the headline of its task, by table and label.
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("1", "DualCoOp"): {},
    ("2", "DualCoOp"): {},
    ("3", "DualCoOp"): {},
    ("4", "DualCoOp"): {},
    ("4", "Discrete Label"): {"labels": "discrete", "class_specific": False},
    ("5", "M2"): {"prompts": "positive"},
    ("5", "M3"): {"prompts": "negative"},
    ("5", "M4"): {},
    ("5", "M5"): {"context_tokens": 32},
    ("6", "Multi-Headed Attention 224 / 224"): {"aggregation": "attention", "image_size": 224},
    ("6", "Multi-Headed Attention 448 / 448"): {"aggregation": "attention", "attention_map": "map"},
    ("6", "Class-Specific Feature Aggregation (DualCoOp) 224 / 224"): {"image_size": 224},
    ("6", "Class-Specific Feature Aggregation (DualCoOp) 448 / 448"): {},
    ("7", "DualCoOp"): {},
    ("8", "DualCoOp"): {},
}


def label(row: Published) -> str:
    sizes = [part.split("=")[1] for part in row.variant.split(";") if "_res=" in part]
    return " ".join([row.method, " / ".join(sizes)] if sizes else [row.method])


ROWS = sorted(
    {
        (row.table, TASKS.get(row.task, row.task), label(row), row.backbone)
        for row in published()
        if row.paper == "dualcoop" and row.method in (*OWN, *LEARNED) and row.variant not in NOT_RUN
    }
)


def config_of(preset: Preset) -> dict[str, Any]:
    return build_config(DualCoOp.Config, "dualcoop", SPEC.config, preset.overrides).model_dump()


def named(origin: str) -> set[tuple[str, str]]:
    """Rows of an origin as (table, label), labels without what the published file leaves out."""
    rows = set()
    for part in origin.removeprefix("published(").removesuffix(")").split("; "):
        table, _, what = part.partition(", ")
        rows.add((table.removeprefix("Table "), what.removesuffix(" (ours)")))
    return rows


def test_the_rows_of_the_paper_are_found() -> None:
    assert {(table, what) for table, _, what, _ in ROWS} == set(CHANGES)
    skipped = {row.variant for row in published() if row.paper == "dualcoop" and row.variant in NOT_RUN}
    assert skipped == set(NOT_RUN)


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize(("table", "task", "what", "backbone"), ROWS)
def test_every_row_has_its_settings(table: str, task: str, what: str, backbone: str, variant: Any) -> None:
    fitting = [preset for preset in PRESETS if preset.fits(task, None, BACKBONES[backbone], variant)]
    found = [preset for preset in fitting if (table, what) in named(preset.origin)]
    assert len(found) == 1, (table, task, what)
    headline = choose_preset(PRESETS, None, task, "p50", BACKBONES[backbone], variant)
    assert headline is not None
    base, changed = config_of(headline), config_of(found[0])
    assert {key: value for key, value in changed.items() if value != base[key]} == CHANGES[table, what]


@pytest.mark.parametrize("aggregation", ["average", "max"])
def test_the_figure_has_its_settings(aggregation: str) -> None:
    preset = choose_preset(PRESETS, f"fig3-{aggregation}", "partial-coco", "p10", "clip-rn101", "code")
    headline = choose_preset(PRESETS, None, "partial-coco", "p10", "clip-rn101", "code")
    assert preset is not None
    assert headline is not None
    assert preset.origin.startswith("published(Fig. 3")
    changes = {key: value for key, value in config_of(preset).items() if value != config_of(headline)[key]}
    assert changes == {"aggregation": aggregation}


@pytest.mark.parametrize("setting", [f"p{share}" for share in range(10, 100, 10)])
@pytest.mark.parametrize(("task", "batch_size"), [("partial-coco", 32), ("partial-voc2007", 8)])
def test_settings_of_partial_labels(task: str, setting: str, batch_size: int) -> None:
    for variant in ("paper", "code"):
        preset = choose_preset(PRESETS, None, task, setting, "clip-rn101", variant)
        assert preset is not None
        stated = {"class_specific": True, "context_tokens": 16, "image_size": 448, "images": "squeezed"}
        stated |= {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 5e-4, "epochs": 50, "batch_size": batch_size}
        stated |= {
            "gamma_pos": 1.0,
            "gamma_neg": 2.0,
            "clip": 0.05,
            "scale": 100.0,
            "augment": "live",
            "sharpness": None,
        }
        stated |= {"lr": 1e-3 if (task, variant) == ("partial-voc2007", "code") else 2e-3}
        config = config_of(preset)
        assert {key: config[key] for key in stated} == stated


@pytest.mark.parametrize(("task", "batch_size"), [("zsl-coco", 32), ("zsl-nus", 192)])
def test_settings_of_zero_shot(task: str, batch_size: int) -> None:
    for variant in ("paper", "code"):
        preset = choose_preset(PRESETS, None, task, None, "clip-rn50", variant)
        assert preset is not None
        stated = {"class_specific": False, "context_tokens": 64, "image_size": None, "batch_size": batch_size}
        stated |= {"loss_weight": 0.01, "classes_per_step": 100, "epochs": 50}
        stated |= {"lr": 1e-3 if (task, variant) == ("zsl-nus", "code") else 2e-3}
        config = config_of(preset)
        assert {key: config[key] for key in stated} == stated
        assert DualCoOp(DualCoOp.Config(**config)).needs().classes == "open"


HSPNET_ROWS = sorted(
    {
        (row.table, row.task, row.setting or "p10", BACKBONES[row.backbone])
        for row in published()
        if row.paper == "hspnet" and row.method == "DualCoop*" and not row.task.endswith("-avg")
    }
)


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize(("table", "task", "setting", "backbone"), HSPNET_ROWS)
def test_rows_of_hspnet_have_their_settings(table: str, task: str, setting: str, backbone: str, variant: Any) -> None:
    preset = choose_preset(PRESETS, None, task, setting if setting != "avg" else "p10", backbone, variant)
    assert preset is not None
    assert f"HSPNet Table {table}, DualCoop*" in preset.origin
    config = config_of(preset)
    slow = variant == "code" and task in ("spml-voc", "spml-nus")
    stated = {"lr": 1e-3 if slow else 2e-3, "image_size": 224 if table == "1" else 448, "epochs": 50, "augment": "live"}
    assert {name: config[name] for name in stated} == stated
    # All classes in every step: only zero-shot training draws some.
    assert config["classes_per_step"] is None


ON_SHAPES: dict[str, dict[str, Any]] = {
    "shapes-single-positive": {"prompts": "positive"},
    "shapes-single-negative": {"prompts": "negative"},
    "shapes-half-tokens": {"context_tokens": None},
    "shapes-average": {"aggregation": "average"},
    "shapes-max": {"aggregation": "max"},
    "shapes-random": {"init": "random"},
    "shapes-attention": {"aggregation": "attention"},
    "shapes-discrete": {"labels": "discrete", "class_specific": False},
}


@pytest.mark.parametrize("task", ["shapes-partial", "shapes-zsl"])
def test_ablations_on_shapes_share_one_training(task: str) -> None:
    own = choose_preset(PRESETS, None, task, None, "tiny-clip", "code")
    assert own is not None
    assert own.name == "shapes"
    base = config_of(own)
    assert base["class_specific"] is (task != "shapes-zsl")
    for name, changes in ON_SHAPES.items():
        if (name, task) == ("shapes-discrete", "shapes-zsl"):
            continue
        preset = choose_preset(PRESETS, name, task, None, "tiny-clip", "code")
        assert preset is not None
        found = {key: value for key, value in config_of(preset).items() if value != base[key]}
        expected = {**changes}
        if "context_tokens" in expected:
            expected["context_tokens"] = base["context_tokens"] // 2
        assert found == expected, name
