"""Which backbone a run takes where nobody names one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.backbones.registry import find_backbone
from ltbench.engine.choose import choose_backbone
from ltbench.engine.needs import backbone_problems, check_fit, task_problems
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.engine.sweep import backbone_of, chosen_backbones, expand
from ltbench.engine.sweep_plan import PlanItem, SweepPlan
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.method.facts import facts_of
from ltbench.method.variant import choose_variant
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.registry import load_task, resolve
from ltbench.tasks.task import Task

TASKS = [task for item in registry().tasks for task in resolve(item.spec.name)]
METHODS = [item.spec for item in registry().methods]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.address)
def test_every_method_that_fits_an_official_task_gets_a_backbone_that_offers_what_it_needs(task: Task) -> None:
    fitting = 0
    for spec in METHODS:
        needs = facts_of(spec).needs
        if task_problems(needs, task, has_groups=True):
            continue
        chosen = choose_backbone(task, spec.name)
        assert chosen.why
        presets, place = load_presets(spec), (task.name, task.setting, chosen.name)
        variant = choose_variant(spec.variants, presets, None, *place)
        preset = choose_preset(presets, None, *place, variant, spec.name)
        if chosen.why.startswith("of preset"):
            # A preset is taken for its backbone only if the run then takes the preset, whose values may need less.
            assert preset is not None
            said = "" if variant == spec.variants[0] else f", variant {variant}"
            assert chosen.why == f"of preset {preset.name}{said}: {preset.origin}"
            cls = spec.load()
            needs = cls(build_config(cls.Config, spec.name, spec.config, preset.overrides)).needs()
        assert backbone_problems(needs, find_backbone(chosen.name)[0].spec.offers) == [], (spec.name, chosen)
        fitting += 1
    assert fitting > 20


@pytest.mark.parametrize(
    ("task", "method", "backbone", "why"),
    [
        ("voc-lt", "lmpt", "clip-rn50", "of preset voc-lt: published(Table 1, LMPT)"),
        ("voc-lt", "dr", "timm:resnet50.tv_in1k", "of preset"),
        ("voc-lt", "db-focal", "timm:resnet50.tv_in1k", "of preset db-paper: published(DB's configuration for VOC-LT)"),
        ("plt-coco@mr40", "comic", "timm:resnet50.tv_in1k", "of preset"),
        ("partial-coco@p50", "dualcoop", "clip-rn101", "of preset"),
        ("zsl-coco", "dualcoop", "clip-rn50", "of preset"),
        ("spml-voc@splc", "hspnet", "clip-rn50", "of preset"),
        ("voc-lt", "zero-shot", "clip-rn50", "of preset lmpt-table-1: published(Table 1, Zero-Shot CLIP)"),
        ("partial-vg200@p10", "zero-shot", "clip-rn101", "of preset limited-labels: default"),
        ("partial-coco@p50", "focal", "timm:resnet101.tv_in1k", "of preset limited-labels: default"),
        ("voc-lt", "sst", "timm:resnet101.tv_in1k", "of preset lt: default"),
        ("plt-coco@mr40", "an", "timm:resnet50.tv_in1k", "of preset db-trainer: default"),
        ("partial-vg200@p10", "lmpt", "clip-rn101", "of preset other: default"),
        ("zsl-coco", "focal", "timm:resnet50.tv_in1k", "default for methods that train an image tower"),
        ("photos-lt", "lmpt", "lite0-minilm", "of preset photos"),
        ("shapes-lt", "lmpt", "tiny-clip", "of preset shapes"),
        ("shapes-micro", "lmpt", "tiny-clip", "the bundled one, made for shapes"),
    ],
)
def test_the_backbone_of_papers(task: str, method: str, backbone: str, why: str) -> None:
    chosen = choose_backbone(load_task(task), method)
    assert (chosen.name, chosen.why.startswith(why)) == (backbone, True), chosen


def test_a_run_takes_the_variant_that_a_preset_of_its_task_is_made_for() -> None:
    """HSPNet's partial labels are printed in its paper and are not in its release, whose variant comes first."""
    task = load_task("partial-coco@p50")
    chosen = choose_backbone(task, "hspnet")
    assert chosen.why.startswith("of preset partial, variant paper: published(Table 7 HSPNet (ours)")
    request = RunRequest(task, "hspnet", chosen.name)
    _, variant, preset = resolve_preset(request)
    assert (variant, preset.name if preset else None) == ("paper", "partial")
    assert resolve_preset(replace(request, variant="code"))[1:] == ("code", None)
    assert resolve_preset(replace(request, preset="none"))[1:] == ("code", None)
    # Nothing is made for this encoder: the recipe's first variant.
    assert resolve_preset(replace(request, backbone="clip-vit-b32"))[1:] == ("code", None)
    assert resolve_preset(replace(request, task=load_task("spml-voc@splc"), backbone="clip-rn50"))[1] == "code"


def test_what_is_typed_decides(tmp_path: Path) -> None:
    task = load_task("partial-coco@p50")
    assert str(choose_backbone(task, "dualcoop", "clip-rn50")) == "clip-rn50"
    # Without its values, the rows are compared with still has the preset's backbone.
    assert choose_backbone(task, "dualcoop", preset="none") == choose_backbone(task, "dualcoop")
    mine = tmp_path / "mine.yaml"
    mine.write_text("dualcoop:\n- {name: mine, tasks: [partial-coco], backbones: [clip-vit-b16], origin: default}\n")
    assert str(choose_backbone(task, "dualcoop", preset=str(mine))) == "clip-vit-b16 (of preset mine: default)"


def test_runs_of_a_sweep_each_have_their_own() -> None:
    plan = SweepPlan(
        tasks=("voc-lt", "shapes-lt"), items=(PlanItem(method="lmpt"), PlanItem(method="focal")), seeds=(0, 1)
    )
    lines = chosen_backbones(plan)
    assert lines[0].startswith("clip-rn50 (of preset voc-lt: ")
    assert sum(int(line.rpartition(": ")[2].split()[0]) for line in lines) == 8
    assert chosen_backbones(plan.model_copy(update={"backbone": "clip-rn50"})) == []


def test_the_backbone_of_an_item_comes_before_that_of_the_plan() -> None:
    items = (PlanItem(method="lmpt", backbone="clip-vit-b16"), PlanItem(method="lmpt"))
    plan = SweepPlan(tasks=("voc-lt",), items=items, seeds=(0,))
    own, other = expand(plan)
    assert str(backbone_of(own, plan)) == "clip-vit-b16"
    (line,) = chosen_backbones(plan)
    assert line.startswith("clip-rn50 (of preset voc-lt: "), "only of the run whose backbone nobody named"
    assert line.endswith(": 1 runs")
    plan = plan.model_copy(update={"backbone": "clip-rn101"})
    assert [str(backbone_of(cell, plan)) for cell in (own, other)] == ["clip-vit-b16", "clip-rn101"]


def test_what_a_text_tower_is_asked_for_names_the_option_that_does_without() -> None:
    offers = find_backbone("timm:resnet50")[0].spec.offers
    needs = facts_of(registry().methods.get("ml-gcn").spec).needs
    with pytest.raises(UserError) as caught:
        check_fit("ml-gcn", needs, load_task("spml-voc@splc"), True, "timm:resnet50", offers)
    assert caught.value.message == "method ml-gcn needs text, which backbone timm:resnet50 does not offer"
    assert caught.value.hint.startswith("-o words=one-hot, or --backbone ")
    cls = registry().methods.get("ml-gcn").spec.load()
    assert backbone_problems(cls(build_config(cls.Config, "ml-gcn", {"words": "one-hot"})).needs(), offers) == []
