"""Every row of the paper's tables that is LMPT has a preset, and differs from the headline by what its table varies."""

from __future__ import annotations

from typing import Any

import pytest

from ltbench.method.config import Preset, build_config, choose_preset, load_presets
from ltbench.report.published import published
from ltbench_baselines.clip.plugin import ltbench_methods as baselines
from ltbench_lmpt.method import LMPT
from ltbench_lmpt.plugin import ltbench_methods

(SPEC,) = ltbench_methods()
PRESETS = load_presets(SPEC)
BACKBONES = {"rn50": "clip-rn50", "vit-b16": "clip-vit-b16"}

# What a row changes against Table 1's LMPT, by the label of the row.
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("1", ""): {},
    ("2", "loss=BCE"): {"loss": "bce"},
    ("2", "loss=MLS"): {"loss": "mls"},
    ("2", "loss=Focal Loss"): {"loss": "focal"},
    ("2", "loss=CB Loss"): {"loss": "cb-focal"},
    ("2", "loss=R-BCE-Focal"): {"loss": "r-bce-focal"},
    ("2", "loss=ASL"): {"loss": "asl"},
    ("2", "loss=DB Focal"): {},
    ("3", "SP"): {"use_cse": False},
    ("3", "SP+EBD"): {"class_aware_margin": False, "reweighting": False},
    ("3", "SP+EBD+CASM"): {"reweighting": False},
    ("3", "SP+EBD+CASM+RW"): {},
    ("4", "random context"): {"init": None, "class_specific": True},
    ("4", 'context "a photo of a"'): {},
    ("5", ""): {},
    **{
        ("6", f"m/M={share}%"): {"init": None, "class_specific": True, "context_tokens": 16, "cse_tokens": m}
        for share, m in (("12.5", 2), ("25", 4), ("50", 8), ("75", 12), ("100", 16))
    },
}
# Rows of these tables that are zero-shot CLIP: the recipe zero-shot, and its templates.
ZERO_SHOT = {
    ("3", "LMPT", "none"): "a photo of a {}.",
    ("5", "Zero-Shot", ""): "a photo of a {}.",
    ("5", "Ensembling", ""): "openai-80",
}
ROWS = list(
    dict.fromkeys(
        (row.table, row.task, row.method, row.variant, row.backbone)
        for row in published()
        if row.paper == "lmpt" and row.table in "123456" and (row.method == "LMPT" or row.table not in "1")
    )
)


def config_of(preset: Preset) -> dict[str, Any]:
    return build_config(LMPT.Config, "lmpt", SPEC.config, preset.overrides).model_dump()


def origin_of(table: str, variant: str) -> str:
    return f"published(Table {table}, {variant.removeprefix('loss=') or 'LMPT'})"


def test_the_published_rows_are_found() -> None:
    assert len(ROWS) == 4 + 14 + 10 + 2 + 6 + 10
    assert {(table, variant) for table, _, method, variant, _ in ROWS if method == "LMPT"} == set(CHANGES) | {
        (table, variant) for table, method, variant in ZERO_SHOT if method == "LMPT"
    }


@pytest.mark.parametrize(("table", "task", "method", "variant", "backbone"), ROWS)
def test_every_published_row_has_its_settings(
    table: str, task: str, method: str, variant: str, backbone: str | None
) -> None:
    if (table, method, variant) in ZERO_SHOT:
        spec = {spec.name: spec for spec in baselines()}["zero-shot"]
        templates = [ZERO_SHOT[table, method, variant]]
        assert list(build_config(spec.load().Config, "zero-shot", {"templates": templates}).templates) == templates  # type: ignore[attr-defined]
        return
    found = [preset for preset in PRESETS if preset.origin == origin_of(table, variant) and preset.tasks == (task,)]
    assert len(found) == 1, (table, variant, task)
    (preset,) = found
    # Where a table names no backbone, its LMPT rows are Table 1's on ViT-B/16; Table 6 equals neither.
    assert (BACKBONES[backbone] if backbone else "clip-vit-b16") in preset.backbones
    assert preset.variant == "paper"
    headline = choose_preset(PRESETS, None, task, None, "clip-vit-b16", "paper")
    assert headline is not None
    assert headline.origin == "published(Table 1, LMPT)"
    base, changed = config_of(headline), config_of(preset)
    assert {name: value for name, value in changed.items() if value != base[name]} == CHANGES[table, variant]
    assert {name for name in CHANGES[table, variant] if changed[name] == base[name]} == set()


def test_origins_of_tables_belong_to_published_rows() -> None:
    known = {origin_of(table, variant) for table, _, _, variant, _ in ROWS}
    claimed = {preset.origin for preset in PRESETS if preset.origin.startswith("published(Table")}
    assert claimed <= known
    names = {
        preset.name for preset in PRESETS if preset.origin.startswith("published(Table") and "-lt" not in preset.name
    }
    assert all(name.startswith("table") for name in names)


def test_the_headline_states_what_section_4_2_does() -> None:
    for task, lr, theta, zeta in (("voc-lt", 5e-4, 0.3, 5.0), ("coco-lt", 1e-4, 0.2, 2.0)):
        for backbone in BACKBONES.values():
            preset = choose_preset(PRESETS, None, task, None, backbone, "paper")
            assert preset is not None
            config = config_of(preset)
            printed = {"optimizer": "sgd", "epochs": 30, "lr": lr, "eta": 1.0, "cse_gamma": 1.0, "lambda_cls": 0.5}
            printed |= {"theta": theta, "neg_scale": zeta, "init": "a photo of a", "context_tokens": 4}
            assert {name: config[name] for name in printed} == printed


@pytest.mark.parametrize("task", ["voc-lt", "coco-lt"])
@pytest.mark.parametrize(("backbone", "batch_norm"), [("clip-rn50", "drift"), ("clip-vit-b16", "frozen")])
def test_the_released_settings(task: str, backbone: str, batch_norm: str) -> None:
    chosen = choose_preset(PRESETS, None, task, None, backbone, "code")
    assert chosen is not None
    assert chosen.name == "code-readme"
    config = config_of(chosen)
    readme = {"init": None, "context_tokens": 16, "class_specific": True, "cse_skip": 2, "lr": 5e-4, "epochs": 50}
    readme |= {"eta": 0.2, "cse_gamma": 2.0, "loss": "db-focal", "images": "square", "batch_norm": batch_norm}
    assert {name: config[name] for name in readme} == readme
    assert (config["theta"], config["neg_scale"]) == {"voc-lt": (0.3, 5.0), "coco-lt": (0.2, 2.0)}[task]
    assert LMPT(LMPT.Config(**config)).needs().input == ("image" if batch_norm == "drift" else "global")
    bare = choose_preset(PRESETS, "code-argparse", task, None, backbone, "code")
    assert bare is not None
    defaults = {"init": "a photo of a", "use_cse": False, "loss": "asl", "lr": 1e-2, "batch_norm": batch_norm}
    assert {name: config_of(bare)[name] for name in defaults} == defaults
    assert not LMPT(LMPT.Config(**config_of(bare))).needs().captions


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("shapes-sp", {"use_cse": False}),
        ("shapes-sp-ebd", {"class_aware_margin": False, "reweighting": False}),
        ("shapes-sp-ebd-casm", {"reweighting": False}),
        ("shapes-full", {}),
    ],
)
def test_the_components_on_shapes_are_parts_of_the_tuned_preset(name: str, changes: dict[str, Any]) -> None:
    tuned = choose_preset(PRESETS, None, "shapes-lt", None, "tiny-clip", "paper")
    preset = choose_preset(PRESETS, name, "shapes-lt", None, "tiny-clip", "paper")
    assert tuned is not None
    assert preset is not None
    assert (tuned.name, tuned.origin) == ("shapes", "tuned(8, on shapes-lt)")
    base, part = config_of(tuned), config_of(preset)
    assert {field: value for field, value in part.items() if value != base[field]} == changes


def test_the_code_has_a_preset_for_shapes() -> None:
    preset = choose_preset(PRESETS, None, "shapes-lt", None, "tiny-clip", "code")
    assert preset is not None
    assert preset.name == "shapes"
    config = config_of(preset)
    assert (config["batch_norm"], config["images"], config["cse_skip"]) == ("frozen", "square", 2)
    assert preset.origin == "tuned(8, on shapes-lt)"


@pytest.mark.parametrize(
    "backbone", ["clip-rn50", "clip-rn101", "clip-vit-b16", "clip-vit-b32", "open_clip:ViT-B-32/a"]
)
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_constants_of_a_data_set_do_not_hang_on_the_encoder(backbone: str, variant: Any) -> None:
    for task, constants in (("voc-lt", (0.3, 5.0)), ("coco-lt", (0.2, 2.0))):
        preset = choose_preset(PRESETS, None, task, None, backbone, variant)
        assert preset is not None, (task, backbone)
        config = config_of(preset)
        assert (config["theta"], config["neg_scale"]) == constants
        assert (config["images"], config["normalise"], config["score"]) == ("square", "present", "softmax")
        assert config["lr"] == (1e-4 if (task, variant) == ("coco-lt", "paper") else 5e-4)
        if backbone not in BACKBONES.values():
            assert preset.origin == "default", "nothing is printed for this encoder"
        residual = backbone in ("clip-rn50", "clip-rn101")
        assert config["batch_norm"] == ("drift" if variant == "code" and residual else "frozen")


@pytest.mark.parametrize("task", ["voc-lt", "coco-lt"])
def test_contexts_of_each_class_differ_from_the_headline_in_nothing_else(task: str) -> None:
    own = choose_preset(PRESETS, "class-specific", task, None, "clip-vit-b16", "paper")
    headline = choose_preset(PRESETS, None, task, None, "clip-vit-b16", "paper")
    assert own is not None
    assert headline is not None
    changed = {name: value for name, value in config_of(own).items() if value != config_of(headline)[name]}
    assert changed == {"class_specific": True}


def test_every_preset_is_ranked_by_the_softmax() -> None:
    assert {config_of(preset)["score"] for preset in PRESETS} == {"softmax"}


@pytest.mark.parametrize("backbone", ["clip-rn50", "clip-rn101", "clip-vit-b16", "open_clip:ViT-B-32/a"])
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_other_families_have_the_settings_of_the_nearer_data_set_on_every_encoder(backbone: str, variant: Any) -> None:
    tasks = {"voc": ("plt-voc", "spml-voc", "partial-voc2007"), "coco": ("plt-coco", "spml-nus", "partial-vg200")}
    for data, names in tasks.items():
        nearer = choose_preset(PRESETS, None, f"{data}-lt", None, "clip-vit-b16", variant)
        assert nearer is not None
        for task in names:
            preset = choose_preset(PRESETS, None, task, None, backbone, variant)
            assert preset is not None, (task, backbone)
            assert (preset.name, preset.origin) == ("other", "default")
            config, printed = config_of(preset), config_of(nearer)
            assert {name for name in config if config[name] != printed[name]} == {"images"}
            assert config["images"] == "backbone"
