"""Presets of the visual recipes on the long-tailed tasks: one trainer, whole images, constants of the data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ltbench.backbones.registry import open_backbone
from ltbench.engine.choose import choose_backbone
from ltbench.engine.needs import behind_preprocessing, check_fit
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.method import Batch, FineTuneConfig, GradientStage, Preset, ViewedConfig
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.nn import BatchNormNeck, ClassAwareSampler, DistortedCrop
from ltbench.plugin import UserError
from ltbench.plugin.manager import registry
from ltbench.report.papers.book import book
from ltbench.report.papers.runs import PlannedRun, runs_of
from ltbench.tasks.registry import load_task
from tests.plugins.two_stream_toys import SIDE, ToyEncoder, batch_of, context_of, encoder, long_tail, make_trainable

RESNET = "timm:resnet50.tv_in1k"
DATA = ("voc-lt", "coco-lt")
ROWS = {"voc-lt": 1142, "coco-lt": 1909}
DRAWN = {"voc-lt": 775 * 20 // 4, "coco-lt": 1128 * 80 // 4}
CONSTANTS = {"voc": (0.3, 5.0), "coco": (0.2, 2.0)}
EVENLY = ("erm", "rw", "focal", "cb-focal", "ldam", "mls")
OF_DB = ("rs", "r-bce-focal", "db", "db-focal")
OF_DR = ("asl", "lsep", "zlpr", "circle", "balpoe", "c-lsep", "c-zlpr")
ON_PLT = (
    *EVENLY,
    *OF_DB,
    "asl",
    "lsep",
    "zlpr",
    "circle",
    "lws",
    "ml-gcn",
    "bbn",
    "ltml",
    "balpoe",
    "oltr",
    "dr",
    "c-lsep",
    "c-zlpr",
)
OTHERS = ("bbn", "ltml", "oltr", "ml-gcn", "lws")
# Those whose releases squeeze images themselves, at 448 pixels, are for partial labels.
SQUEEZED = {"ssgrl", "kggr", "sst", "sarb"}
ON_TOWERS = sorted(
    item.spec.name
    for item in registry().methods
    if issubclass(item.spec.load().Config, FineTuneConfig) and item.spec.name not in SQUEEZED
)
VIEWED = [item.spec.name for item in registry().methods if issubclass(item.spec.load().Config, ViewedConfig)]


def resolved(recipe: str, task: str, backbone: str = RESNET, variant: str | None = None) -> tuple[Preset, Any]:
    """Preset and configuration of a run without further options."""
    spec = registry().methods.get(recipe).spec
    setting: Any = variant or spec.variants[0]
    name, _, of = task.partition("@")
    preset = choose_preset(load_presets(spec), None, name, of or None, backbone, setting)
    assert preset is not None, (recipe, task, backbone, setting)
    return preset, build_config(spec.load().Config, recipe, spec.config, preset.overrides)


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize("recipe", [*EVENLY, *OF_DB, *OF_DR, *OTHERS])
def test_every_visual_baseline_sees_whole_distorted_images(recipe: str, task: str) -> None:
    for variant in registry().methods.get(recipe).spec.variants:
        preset, config = resolved(recipe, task, variant=variant)
        assert preset.backbones == (RESNET,)
        assert (config.images, config.augment) == ("square", "live")
        needs = registry().methods.get(recipe).spec.load()(config).needs()
        assert needs.images == "square"
        # What a model of timm offers: ml-gcn does without names' texts there.
        check_fit(recipe, needs, load_task(task), False, RESNET, ("image", "global"))


@pytest.mark.parametrize("task", DATA)
def test_recipes_of_one_trainer_differ_in_loss_rows_and_length_only(task: str) -> None:
    own = {"loss", "sampler", "epochs", "milestones", "theta", "neg_scale"}
    for recipes in ([*EVENLY, *OF_DB], ["asl", "lsep", "zlpr", "circle"]):
        configs = [resolved(recipe, task)[1].model_dump() for recipe in recipes]
        assert {name for name in configs[0] if len({str(each[name]) for each in configs}) > 1} <= own


@pytest.mark.parametrize("task", DATA)
def test_recipes_of_dbs_trainer_see_alike_many_rows(task: str) -> None:
    for recipe in (*EVENLY, *OF_DB, "lws", "ml-gcn"):
        config = resolved(recipe, task)[1]
        rows = ROWS[task] if config.sampler == "shuffle" else DRAWN[task]
        assert config.epochs * rows == pytest.approx(8 * DRAWN[task], rel=0.02), recipe
        if recipe != "ml-gcn":
            shares = [milestone / config.epochs for milestone in config.milestones]
            assert shares == pytest.approx([5 / 8, 7 / 8], abs=0.02), recipe
    for recipe in ("bbn", "ltml"):
        assert 2 * resolved(recipe, task)[1].epochs * ROWS[task] == pytest.approx(8 * DRAWN[task], rel=0.04)


@pytest.mark.parametrize("backbone", [RESNET, "timm:resnet101.tv_in1k", "clip-rn50", "clip-vit-b16"])
@pytest.mark.parametrize(
    ("recipe", "task"),
    [
        *((recipe, task) for recipe in ("db", "db-focal", "r-bce-focal", "dr") for task in DATA),
        *((recipe, task) for recipe in ("db", "db-focal") for task in ("plt-voc@mr40", "plt-coco@mr0")),
    ],
)
def test_constants_are_those_of_the_data_set_whatever_tower_and_variant(recipe: str, task: str, backbone: str) -> None:
    theta, scale = CONSTANTS["voc" if "voc" in task else "coco"]
    for variant in registry().methods.get(recipe).spec.variants:
        config = resolved(recipe, task, backbone, variant)[1]
        assert config.theta == theta, variant
        assert recipe == "r-bce-focal" or config.neg_scale == scale, variant
        if recipe == "dr":
            assert (config.gamma2, config.lr, config.epochs) == ((7, 3e-4, 30) if theta == 0.3 else (10, 1e-4, 35))


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize("backbone", [RESNET, "timm:resnet101.tv_in1k", "clip-rn50", "clip-vit-b16"])
def test_every_trained_tower_sees_whole_images(task: str, backbone: str) -> None:
    """Else a board would compare what recipes see: a centre crop shows 55 % of a photograph."""
    seen = {}
    for recipe in ON_TOWERS:
        found = resolve_method(RunRequest(load_task(task), recipe, backbone))
        assert found.preset is not None, recipe
        assert found.origin == "default" or found.preset.backbones == (backbone,)
        seen[recipe] = found.method.needs()
    assert {needs.images for needs in seen.values()} == {"square"}
    assert {needs.input for needs in seen.values()} == {"image"}


@pytest.mark.parametrize("task", ["plt-voc@mr40", "plt-coco@mr0"])
def test_every_tower_trained_by_default_sees_whole_images_on_plt(task: str) -> None:
    chosen = [recipe for recipe in ON_TOWERS if choose_backbone(load_task(task), recipe).name == RESNET]
    assert set(ON_TOWERS) - set(chosen) == {"full-fine-tuning"}
    needs = [resolve_method(RunRequest(load_task(task), recipe, RESNET)).method.needs() for recipe in chosen]
    assert {each.images for each in needs} == {"square"}


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize("recipe", ["erm", "db", "db-focal", "r-bce-focal", "dr", "c-lsep"])
def test_features_of_a_file_still_serve_a_frozen_tower(recipe: str, task: str) -> None:
    plain, named = {"tower": "frozen", "augment": "none"}, "precomputed:features.npz"
    found = resolve_method(RunRequest(load_task(task), recipe, named, overrides=plain))
    needs = found.method.needs()
    assert (needs.input, needs.images) == ("global", "backbone")
    check_fit(recipe, needs, load_task(task), False, named, ("global",))
    theta, scale = CONSTANTS["voc" if "voc" in task else "coco"]
    stated = found.config.model_dump()
    if recipe in ("db", "db-focal", "dr"):
        assert (stated["theta"], stated["neg_scale"]) == (theta, scale)
    # The same tower, seeing images: whole ones.
    assert resolve_method(RunRequest(load_task(task), recipe, "clip-rn50", overrides=plain)).method.needs() == (
        needs.model_copy(update={"images": "square"})
    )


@pytest.mark.parametrize("recipe", [recipe for recipe in ON_TOWERS if recipe != "ml-gcn"])
@pytest.mark.parametrize("task", ["voc-lt", "coco-lt", "plt-voc@mr40", "partial-coco@p50", "spml-nus@splc"])
def test_presets_freeze_no_part_that_a_transformer_lacks(recipe: str, task: str) -> None:
    """ml-gcn asks a transformer without texts for its option of words, which is no preset's to choose."""
    vit = "timm:test_vit"
    found = resolve_method(RunRequest(load_task(task), recipe, vit))
    backbone = behind_preprocessing(open_backbone(vit, weights="random"), found.method.needs())
    context = context_of(long_tail(), backbone, found.variant)
    (stage, *_) = found.method.stages(context)
    assert isinstance(stage, GradientStage)
    assert stage.param_groups


def test_a_preset_may_ask_what_a_backbone_offers() -> None:
    preset = Preset(name="mine", tasks=("voc-lt",), offers=("image", "text"), origin="default")
    for backbone, fits in (("clip-rn50", True), ("timm:resnet18", False), ("precomputed:features.npz", False)):
        assert preset.fits("voc-lt", None, backbone, "paper") is fits, backbone
    assert preset.fits("voc-lt", None, "", "paper"), "none chosen yet"
    with pytest.raises(UserError, match="backbones any with image and text"):
        choose_preset((preset,), "mine", "voc-lt", None, "timm:resnet18", "paper")


def test_a_preset_that_does_not_fit_says_what_it_is_for_and_each_thing_once() -> None:
    """Presets of one name on several tasks and encoders, of which some are for one variant."""
    made = [
        Preset(name="photos", tasks=(task,), backbones=(backbone,), origin="default")
        for backbone in ("lite0", "lite0-minilm")
        for task in ("photos-lt", "photos-plt")
    ]
    tuned = Preset(name="photos", tasks=("photos-lt",), backbones=("clip-rn50",), origin="tuned(4, on photos-lt)")
    with pytest.raises(UserError) as raised:
        choose_preset((*made, *tuned.by_variant(("paper", "code"))), "photos", "voc-lt", None, "lite0", "paper")
    assert raised.value.message == (
        "preset 'photos' is for tasks photos-lt, photos-plt, backbones lite0, lite0-minilm; tasks photos-lt, backbones "
        "clip-rn50, variant paper or code; not for voc-lt with backbone lite0, variant paper"
    )


def test_parts_that_the_printed_rows_can_least_lose() -> None:
    """OLTR's modulated attention, and the class-aware rows that DR trained BalPoE on."""
    for task in DATA:
        assert resolved("oltr", task)[1].attention == "modulated"
        preset, config = resolved("balpoe", task)
        assert (preset.name, config.sampler) == ("dr-trainer", "class-aware")


@pytest.mark.parametrize("recipe", ON_PLT)
@pytest.mark.parametrize("task", ["plt-voc@mr40", "plt-coco@mr0"])
def test_one_trainer_has_them_all_on_plt(recipe: str, task: str) -> None:
    preset, config = resolved(recipe, task)
    assert (preset.origin, config.images, config.augment) == ("default", "square", "live")


@pytest.mark.parametrize(("variant", "name"), [("code", "db-release"), ("paper", "db-paper")])
@pytest.mark.parametrize("task", DATA)
def test_db_focal_is_trained_as_its_one_release_states(task: str, variant: str, name: str) -> None:
    preset, config = resolved("db-focal", task, variant=variant)
    assert preset.name == name
    assert preset.origin.startswith("published(DB's configuration")
    stated = {"neck_width": 256, "dropout": 0.5, "augment": "live", "images": "square", "sampler": "class-aware"}
    stated |= {"optimizer": "sgd", "lr": 0.02, "head_lr": 0.02, "epochs": 8, "milestones": (5, 7), "batch_size": 32}
    stated |= {"momentum": 0.9, "weight_decay": 1e-4, "warmup_steps": 500, "clip_norm": 35, "drop_last": True}
    stated |= {"sampler_reduce": 4, "sampler_draws": 3, "batch_norm": "eval", "freeze": ("conv1", "bn1", "layer1")}
    assert {option: getattr(config, option) for option in stated} == stated


def stage_of(recipe: str, options: dict[str, Any]) -> GradientStage:
    """The stage of a recipe with the options of a preset, on a toy tower whose images are no pictures."""
    spec = registry().methods.get(recipe).spec
    method = spec.load()
    config = build_config(method.Config, recipe, spec.config, options | {"freeze": ["conv1"], "augment": "flip"})
    # The first: of the trainer of DR the mean over classes.
    context = context_of(long_tail(), encoder(), spec.variants[0])
    torch.manual_seed(5)
    (stage,) = method(config).stages(context)
    assert isinstance(stage, GradientStage)
    make_trainable(stage)
    return stage


def after_steps(stage: GradientStage) -> list[Tensor]:
    module: Any = stage.module
    groups = [{"params": list(group.params), "lr": group.lr} for group in stage.param_groups]
    optimiser = torch.optim.SGD(groups, momentum=stage.momentum)
    module.train()
    torch.manual_seed(6)
    for _ in range(3):
        loss = sum(module.loss(batch_of(long_tail())).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [loss.detach(), module.eval().logits(batch_of(long_tail())).detach()]


@pytest.mark.parametrize("task", DATA)
@pytest.mark.parametrize(
    ("recipe", "objective"),
    [
        ("lsep", "lsep"),
        ("zlpr", "zlpr"),
        ("circle", "circle"),
        ("erm", "bce"),
        ("c-lsep", "c-lsep"),
        ("c-zlpr", "c-zlpr"),
    ],
)
def test_recipes_on_drs_trainer_are_its_objectives_to_the_bit(recipe: str, objective: str, task: str) -> None:
    """Same first weights, loss, rows, rates and steps: a board with both compares losses, not trainers."""
    options = dict(resolved("dr", task)[0].overrides) | {"objective": objective}
    if objective == "lsep":
        options["gamma1"] = 1
    own = dict(resolved("lsep" if recipe == "erm" else recipe, task)[0].overrides)
    ours = stage_of(recipe, own)
    theirs = stage_of("dr", options)
    for name in ("optimizer", "momentum", "epochs", "batch_size", "drop_last", "clip_norm", "augment"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert [(g.lr, g.weight_decay, g.schedule) for g in ours.param_groups] == [
        (g.lr, g.weight_decay, g.schedule) for g in theirs.param_groups
    ]
    for sampler in (ours.sampler, theirs.sampler):
        assert isinstance(sampler, ClassAwareSampler)
    for mine, other in zip(after_steps(ours), after_steps(theirs), strict=True):
        assert torch.equal(mine, other)


class Pictures(ToyEncoder):
    """Cuts the middle out of pictures, as backbones do."""

    def preprocess(self, image: Any) -> Tensor:
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        square = image.crop((left, top, left + short, top + short)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(square, dtype=np.float32) / 255).permute(2, 0, 1).clone()


@pytest.mark.parametrize("recipe", VIEWED)
def test_options_of_views_reach_needs_and_stage_of_every_recipe_that_has_them(recipe: str) -> None:
    spec = registry().methods.get(recipe).spec
    method = spec.load()
    given: dict[str, Any] = {"images": "square", "augment": "live", "freeze": ["conv1"]}
    if recipe == "ml-gcn":
        given["words"] = "one-hot"
    config = build_config(method.Config, recipe, spec.config, given)
    needs = method(config).needs()
    assert needs.images == "square"
    assert method(build_config(method.Config, recipe, spec.config)).needs().images == "backbone"
    plain = encoder()
    backbone = behind_preprocessing(Pictures(card=plain.card, visual=plain.visual), needs)
    stages = method(config).stages(context_of(long_tail(), backbone, spec.variants[0]))
    first = stages[0]
    assert isinstance(first, GradientStage)
    # No border to lose: the square takes all of a view.
    assert (first.augment.kind, first.augment.transform) == ("live", DistortedCrop(SIDE))


def test_a_square_shows_what_the_middle_of_an_image_does_not() -> None:
    plain = encoder()
    inner = Pictures(card=plain.card, visual=plain.visual)
    image = Image.new("RGB", (90, 30))
    image.paste((255, 255, 255), (0, 0, 25, 30))
    spec = registry().methods.get("erm").spec
    method = spec.load()
    shown = {}
    for images in ("backbone", "square"):
        config = build_config(method.Config, "erm", spec.config, {"images": images})
        shown[images] = behind_preprocessing(inner, method(config).needs()).preprocess(image)
    assert float(shown["backbone"].std()) == 0
    assert float(shown["square"].std()) > 0.5


def test_a_neck_lies_before_the_head_only_where_asked_for() -> None:
    labels = long_tail()
    with_neck: Any = stage_of("erm", {"neck_width": 7, "dropout": 0.0}).module
    assert isinstance(with_neck.head[0], BatchNormNeck)
    assert with_neck.head[1].linear.weight.shape == (labels.shape[1], 7)
    sum(with_neck.train().loss(batch_of(labels)).values()).backward()
    assert with_neck.head[0].linear.weight.grad.any()
    without: Any = stage_of("erm", {}).module
    assert not any(isinstance(part, BatchNormNeck) for part in without.modules())
    row = Batch(torch.arange(1), torch.zeros(1, 3, SIDE, SIDE), torch.from_numpy(labels[:1]))
    assert bool(torch.isfinite(with_neck.loss(row)["loss_cls"]))


@pytest.mark.parametrize("address", ["dr:table1", "dr:table2", "dr:table3", "dr:table4", "dr:table5", "dr:table6"])
def test_every_row_of_drs_tables_can_be_run(address: str) -> None:
    for line in book()[address].lines:
        assert all(isinstance(run, PlannedRun) for run in runs_of(line).values()), (line.name, runs_of(line))


def test_rows_of_lmpts_table_on_imagenets_resnet_can_be_run() -> None:
    lines = [line for line in book()["lmpt:table1"].lines if line.recipe.backbone == RESNET]
    assert len(lines) == 11
    for line in lines:
        assert all(isinstance(run, PlannedRun) for run in runs_of(line).values()), (line.name, runs_of(line))
    (db,) = [line for line in lines if line.name == "db-focal-rn50"]
    assert {(run.preset, run.variant) for run in runs_of(db).values() if isinstance(run, PlannedRun)} == {
        ("db-release", "code")
    }
    assert set(db.differs) == {"selection"}
