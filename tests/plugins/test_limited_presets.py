"""Every method has a preset on every official task that it can run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from ltbench.backbones.registry import find_backbone
from ltbench.engine.choose import choose_backbone
from ltbench.engine.needs import backbone_problems, task_problems
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.method.config import MethodConfig, Preset, build_config, load_presets
from ltbench.method.facts import facts_of
from ltbench.method.origin import parse_origin
from ltbench.plugin.manager import registry
from ltbench.tasks.registry import load_task, resolve
from ltbench.tasks.task import Task

TASKS = {
    "partial": ("partial-coco@p50", "partial-voc2007@p50", "partial-vg200@p50"),
    "spml": tuple(task.address for data in ("voc", "coco", "nus", "cub") for task in resolve(f"spml-{data}")),
}
OFFICIAL = [
    task
    for item in registry().tasks
    if item.distribution == "ltbench" and not item.spec.name.startswith(("shapes", "photos"))
    for task in resolve(item.spec.name)
]
RECIPES = sorted(item.spec.name for item in registry().methods if item.distribution == "ltbench")
# Present labels of an image on average that are stated, and not known from the labels that a recipe is given.
MEANS = {"voc": 1.5, "coco": 2.9, "nus": 1.9, "cub": 31.4, "voc2007": 1.5}


def fitting_presets(recipe: str, task: Task) -> list[Preset]:
    """Those made for the task, found as a run finds them: by the backbone of presets made for it."""
    spec = registry().methods.get(recipe).spec
    return [
        preset
        for preset in load_presets(spec)
        if preset.tasks
        and any(
            preset.fits(task.name, task.setting, (*preset.backbones, "clip-rn50")[0], variant)
            for variant in spec.variants
        )
    ]


def test_the_tasks_are_found() -> None:
    data_sets = {
        "lt": "",
        "partial": "coco voc2007 vg200",
        "plt": "coco voc",
        "spml": "coco voc nus cub",
        "zsl": "coco nus",
    }
    names = {f"{family}-{data}" for family, of in data_sets.items() for data in of.split()}
    assert {task.name for task in OFFICIAL} == {"voc-lt", "coco-lt", *names}
    assert len(RECIPES) > 70


@pytest.mark.parametrize("recipe", RECIPES)
def test_there_is_a_preset_that_builds_for_every_official_task_that_fits(recipe: str) -> None:
    """None claims to be tuned there, and what a data set states is not what images of shapes have."""
    spec = registry().methods.get(recipe).spec
    model = spec.load().Config
    built: dict[str, MethodConfig] = {}
    fitting = [task for task in OFFICIAL if not task_problems(facts_of(spec).needs, task, has_groups=True)]
    assert {"voc-lt", "coco-lt", "plt-voc@mr40", "spml-cub@splc", "partial-vg200@p10"} <= {t.address for t in fitting}
    for task in fitting:
        presets = fitting_presets(recipe, task)
        assert presets, task.address
        for preset in presets:
            assert parse_origin(preset.origin).kind != "tuned"
            key = json.dumps(preset.overrides, sort_keys=True)
            if key not in built:
                built[key] = build_config(model, recipe, spec.config, preset.overrides)
            if recipe.split("-")[0] in ("epr", "role"):
                data = task.name.partition("-")[2]
                tells = task.name.startswith("zsl") or task.name.endswith(("-lt", "-vg200"))
                assert built[key].model_dump()["expected_positives"] == (None if tells else MEANS[data]), task.address


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_recipe_is_made_for_it_can_run(recipe: str) -> None:
    """Presets and families: a reader who picks one of either is not told afterwards that no run is possible."""
    spec = registry().methods.get(recipe).spec
    method = spec.load()
    for preset in load_presets(spec):
        needs = method(build_config(method.Config, recipe, spec.config, preset.overrides)).needs()
        for task in (task for name in preset.tasks for task in resolve(name)):
            assert task_problems(needs, task, has_groups=True) == [], (preset.name, task.address)
    usual = facts_of(spec).needs
    for family in spec.families:
        fitting = [
            task for task in OFFICIAL if task.family == family and not task_problems(usual, task, has_groups=True)
        ]
        assert fitting, family


AT_448 = [
    *((method, task) for method in ("ssgrl", "sst", "sarb", "ml-gcn") for task in TASKS["partial"]),
    *((method, task) for method in ("kggr", "partial-bce", "curriculum") for task in TASKS["partial"][:2]),
    *(("an", task) for task in TASKS["spml"] if task != "spml-cub@splc"),
    *((method, task) for method in ("lsan", "role", "wan", "epr", "splc") for task in TASKS["spml"]),
    *(
        (method, task)
        for method in ("ll-r", "ll-ct", "ll-cp", "em", "em-apl")
        for task in TASKS["spml"]
        if "large" in task
    ),
    *(("hill", task) for task in TASKS["spml"] if "splc" in task),
]


@pytest.mark.parametrize(("recipe", "address"), AT_448)
def test_rows_that_were_trained_at_448_are(recipe: str, address: str) -> None:
    """SST's and SARB's releases squeeze images and so does the method; for others the encoder is opened at the size."""
    task = load_task(address)
    backbone = choose_backbone(task, recipe).name
    assert backbone.startswith("timm:resnet")
    resolved = resolve_method(RunRequest(task=task, method=recipe, backbone=backbone))
    assert resolved.preset is not None
    assert resolved.preset.origin.startswith("published(")
    assert resolved.image_size == 448


# Centre of the rebalanced weight and scale of negative logits, as DB states them for VOC-LT and COCO-LT; every data set
# that is not VOC has those of COCO. DR's second scale is COCO-LT's wherever rows are not long-tailed.
CONSTANTS = {"theta": (0.3, 0.2), "neg_scale": (5.0, 2.0), "gamma2": (7.0, 10.0)}
READ_BY = {
    "theta": {"r-bce", "r-bce-focal", "db", "db-focal"},
    "neg_scale": {"db", "db-focal"},
    "gamma2": {"dr", "pgc", "gc"},
}
TOWERS = ("clip-rn50", "clip-vit-b16", "timm:resnet101.tv_in1k")


def constants_of(config: MethodConfig) -> dict[str, float]:
    """The constants of a data set that the loss of a configuration reads."""
    stated = config.model_dump()
    parts = set(str(stated.get("objective", stated.get("loss"))).split("+"))
    return {name: stated[name] for name, losses in READ_BY.items() if name in stated and losses & parts}


def runs_with_constants(recipe: str) -> Iterator[tuple[Task, str, str, dict[str, float]]]:
    spec = registry().methods.get(recipe).spec
    if not set(CONSTANTS) & set(spec.load().Config.model_fields):
        return
    needs = facts_of(spec).needs
    for task in OFFICIAL:
        if task_problems(needs, task, has_groups=True):
            continue
        for backbone in dict.fromkeys((choose_backbone(task, recipe).name, *TOWERS)):
            if backbone_problems(needs, find_backbone(backbone)[0].spec.offers):
                continue
            for variant in spec.variants:
                asked = RunRequest(task=task, method=recipe, backbone=backbone, variant=variant)  # type: ignore[arg-type]
                read = constants_of(resolve_method(asked).config)
                if read:
                    yield task, backbone, variant, read


def test_constants_of_a_loss_are_those_of_the_data_set_whatever_tower_and_variant() -> None:
    found = {recipe: list(runs_with_constants(recipe)) for recipe in RECIPES}
    reading = {recipe for recipe, runs in found.items() if runs}
    assert reading == {
        *("db", "db-focal", "r-bce-focal", "dr", "lmpt", "full-fine-tuning", "plt-db", "plt-db-focal"),
    }
    for recipe in reading:
        assert {run[0].family for run in found[recipe]} >= {"ltml", "plt", "spml", "partial"}, recipe
        for task, backbone, variant, read in found[recipe]:
            voc = "voc" in task.name
            wanted = {name: CONSTANTS[name][0 if voc else 1] for name in read}
            if "gamma2" in wanted and task.family in ("spml", "partial"):
                wanted["gamma2"] = CONSTANTS["gamma2"][1]
            assert read == wanted, (recipe, task.address, backbone, variant)


#: LMPT searches the scale of negative logits with the rest, and its preset has what validation chose.
SEARCHED = {"lmpt": {"neg_scale"}}


@pytest.mark.parametrize("address", ["photos-lt", "photos-plt@mr40"])
def test_photographs_of_voc_have_the_constants_of_voc(address: str) -> None:
    """Whatever the recipe, its encoder and variant; what validation chose for LMPT is in :data:`SEARCHED`."""
    task = load_task(address)
    looked = set()
    for recipe in RECIPES:
        spec = registry().methods.get(recipe).spec
        if not set(CONSTANTS) & set(spec.load().Config.model_fields):
            continue
        for backbone in ("lite0", "lite0-minilm"):
            if backbone_problems(facts_of(spec).needs, find_backbone(backbone)[0].spec.offers):
                continue
            for variant in spec.variants:
                asked = RunRequest(task=task, method=recipe, backbone=backbone, variant=variant)  # type: ignore[arg-type]
                found = resolve_method(asked)
                read = constants_of(found.config) if found.preset is not None else {}
                wanted = {name: CONSTANTS[name][0] for name in read.keys() - SEARCHED.get(recipe, set())}
                assert {name: read[name] for name in wanted} == wanted, (recipe, backbone, variant)
                looked |= {recipe} if wanted else set()
    assert looked >= ({"db", "db-focal", "lmpt"} if task.family == "ltml" else {"db", "plt-db", "plt-db-focal"})
