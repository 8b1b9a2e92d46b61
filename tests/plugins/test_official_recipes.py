"""Every recipe of the official packages: its spec, card and presets; importing the plugin modules loads no torch."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest
import yaml

from ltbench.method import Method, MethodConfig
from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench_baselines.clip.plugin import ltbench_methods as on_clip
from ltbench_baselines.long_tailed.plugin import ltbench_methods as long_tailed
from ltbench_baselines.partial.graph_recipes import RECIPES as GRAPHS
from ltbench_baselines.partial.loss_recipes import LOSSES as PARTIAL_LOSSES
from ltbench_baselines.partial.plugin import ltbench_methods as partial_labels
from ltbench_baselines.single_positive.plugin import LOSSES as SPML
from ltbench_baselines.single_positive.plugin import ltbench_methods as single_positive
from ltbench_baselines.unseen.plugin import ltbench_methods as unseen
from ltbench_comic.plain_recipes import plain_recipes
from ltbench_comic.plugin import ltbench_methods as comic
from ltbench_cprfl.plugin import ltbench_methods as cprfl
from ltbench_dr.plugin import ltbench_methods as dr
from ltbench_dualcoop.plugin import ltbench_methods as dualcoop
from ltbench_dualcoop_plus.plugin import ltbench_methods as dualcoop_plus
from ltbench_hspnet.plugin import ltbench_methods as hspnet
from ltbench_lmpt.plugin import ltbench_methods as lmpt
from ltbench_scpnet.plugin import ltbench_methods as scpnet

VISUAL = {
    *("erm", "rw", "rs", "focal", "cb-focal", "r-bce-focal", "db", "db-focal", "ldam", "asl", "mls", "lsep", "zlpr"),
    *("circle", "lws", "ml-gcn", "balpoe"),
    *("bbn", "ltml", "oltr", "dr", "c-lsep", "c-zlpr"),
    *GRAPHS,
}
# Each on a tower, a linear head, and prompts.
SINGLE_POSITIVE = {f"{loss}{suffix}" for loss in SPML for suffix in ("", "-linear", "-prompts")}
PARTIAL = {f"{loss}{suffix}" for loss in PARTIAL_LOSSES for suffix in ("", "-linear")}
PLAIN = {f"plt-{name}" for name in ("bce", "focal", "asl", "db", "db-focal", "hill", "p-asl")}
PLAIN |= {"plt-pseudo-labels", "plt-lws", "plt-ml-gcn"}
ZERO_SHOT = {spec.name for spec in unseen()}
REGIONS = {
    "tai-dpt",
    "dual-templates",
    "class-names",
    "deep0tag",
    "one-attention-per-label",
    "lesa",
    "biam",
    "dualcoop",
    "dualcoop-plus",
}
NEWER = {"dualcoop-plus", "scpnet", "cprfl"}
HSPNET = {"hspnet", "hspnet-cluster", "hcp", "spl-gcn", "spl"}
PACKAGES = {
    "ltbench_baselines.clip": on_clip,
    "ltbench_baselines.long_tailed": long_tailed,
    "ltbench_baselines.partial": partial_labels,
    "ltbench_baselines.single_positive": single_positive,
    "ltbench_baselines.unseen": unseen,
    "ltbench_lmpt": lmpt,
    "ltbench_dr": dr,
    "ltbench_dualcoop": dualcoop,
    "ltbench_hspnet": hspnet,
    "ltbench_comic": comic,
    "ltbench_dualcoop_plus": dualcoop_plus,
    "ltbench_scpnet": scpnet,
    "ltbench_cprfl": cprfl,
}
SPECS = {spec.name: spec for recipes in PACKAGES.values() for spec in recipes()}


@pytest.fixture(params=sorted(SPECS))
def spec(request):
    return SPECS[request.param]


def test_recipes_of_the_packages():
    others = {"zero-shot", "linear-probe", "linear-probe-lbfgs", "coop", "lmpt"}
    others |= {"zero-shot-ensemble", "full-fine-tuning", "cocoop", "tai-dpt", "dualcoop", "comic"}
    assert set(SPECS) == others | VISUAL | SINGLE_POSITIVE | ZERO_SHOT | HSPNET | PLAIN | PARTIAL | NEWER
    assert {spec.name for spec in plain_recipes()} == PLAIN
    deterministic = {"zero-shot", "zero-shot-ensemble", "linear-probe-lbfgs", "dual-templates", "class-names"}
    assert {name for name, spec in SPECS.items() if spec.deterministic} == deterministic


def test_target_is_a_method_whose_base_configuration_is_valid(spec):
    method = spec.load()
    assert issubclass(method, Method)
    config = build_config(method.Config, spec.name, spec.config)
    assert isinstance(config, MethodConfig)
    inputs = dict.fromkeys(
        VISUAL | HSPNET | {"full-fine-tuning", "scpnet", "cprfl"} | set(SPML) | set(PARTIAL_LOSSES), "image"
    ) | dict.fromkeys(REGIONS, "region")
    assert method(config).needs().input == inputs.get(spec.name, "global")


def test_every_option_says_what_it_is(spec):
    for name, field in spec.load().Config.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name


def test_every_preset_is_a_valid_configuration(spec):
    config = spec.load().Config
    for preset in load_presets(spec):
        build_config(config, spec.name, spec.config, preset.overrides)


def test_card_says_what_a_reader_looks_for(spec):
    text = resources.files(spec.package).joinpath(spec.card).read_text(encoding="utf-8")
    assert spec.name in text
    for heading in ("What it learns", "Needs", "Golden keys", "Not run here"):
        assert f"**{heading}" in text, heading


@pytest.mark.parametrize(
    ("task", "lr", "theta", "neg_scale"), [("voc-lt", 5e-4, 0.3, 5.0), ("coco-lt", 1e-4, 0.2, 2.0)]
)
@pytest.mark.parametrize("backbone", ["clip-rn50", "clip-vit-b16"])
def test_published_settings_of_lmpt(task, lr, theta, neg_scale, backbone):
    spec = SPECS["lmpt"]
    preset = choose_preset(load_presets(spec), None, task, None, backbone, "paper")
    assert preset is not None
    assert preset.origin == "published(Table 1, LMPT)"
    config = build_config(spec.load().Config, "lmpt", spec.config, preset.overrides).model_dump()
    stated = {"lr": lr, "theta": theta, "neg_scale": neg_scale, "epochs": 30, "lambda_cls": 0.5, "eta": 1.0}
    stated |= {"cse_gamma": 1.0, "context_tokens": 4, "init": "a photo of a", "optimizer": "sgd", "loss": "db-focal"}
    assert {name: config[name] for name in stated} == stated


def test_no_preset_is_taken_where_none_was_made():
    assert choose_preset(load_presets(SPECS["lmpt"]), None, "nus-lt", None, "clip-rn50", "paper") is None


def test_plugin_modules_import_no_torch():
    modules = ", ".join(f"{package}.plugin" for package in PACKAGES)
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_every_preset_in_a_file_belongs_to_a_recipe_that_reads_the_file(package: str) -> None:
    folder = resources.files(package)
    files = [file.name for file in folder.iterdir() if file.name.endswith(".yaml")]
    assert files
    for name in files:
        document = yaml.safe_load(folder.joinpath(name).read_text(encoding="utf-8"))
        assert set(document) <= {spec.name for spec in PACKAGES[package]() if spec.presets == name}
