"""SSGRL, KGGR, SST and SARB: presets of the published rows."""

from __future__ import annotations

from typing import Any

import pytest

from ltbench.method.config import build_config, load_presets
from ltbench.report.published import published
from ltbench_baselines.partial.graph_recipes import RECIPES
from tests.plugins.partial.graph_toys import SPECS

TOWERS = {False: "timm:resnet101.tv_in1k", True: "clip-rn101"}
ROWS = sorted(
    {
        (row.paper, row.table, row.task, row.method, row.method.endswith("*") or "text=yes" in row.variant)
        for row in published()
        if row.method.removesuffix("*").lower() in RECIPES
    }
)


def test_the_rows_of_the_papers_are_found() -> None:
    assert {(paper, table) for paper, table, *_ in ROWS} == {("dualcoop", "1"), ("dualcoop", "4"), ("hspnet", "7")}
    assert {method for *_, method, _ in ROWS} == {"SSGRL", "KGGR", "SST", "SARB", "SST*", "SARB*"}


@pytest.mark.parametrize(("paper", "table", "task", "method", "clip"), ROWS)
def test_every_published_row_has_its_settings(paper: str, table: str, task: str, method: str, clip: bool) -> None:
    spec = SPECS[method.removesuffix("*").lower()]
    title = {"dualcoop": "DualCoOp", "hspnet": "HSPNet"}[paper]
    fitting = [preset for preset in load_presets(spec) if preset.fits(task, "p10", TOWERS[clip], "paper")]
    assert len(fitting) == 1
    rows = fitting[0].origin.removeprefix("published(").removesuffix(")").split("; ")
    assert f"{title} Table {table}, {method}" in rows
    config: Any = build_config(spec.load().Config, spec.name, spec.config, fitting[0].overrides)
    assert (config.tower, config.lr, config.head_lr, config.weight_decay) == ("trained", 1e-5, 1e-5, 5e-4)
    assert (config.epochs, config.batch_size, config.milestones, config.schedule) == (20, 8, (10,), "multistep")
    assert (config.optimizer, config.batch_norm, config.augment) == ("adam", "train", "flip")
    assert config.image_size == 448
    assert "layer4" not in config.freeze
    assert {"layer1", "layer2", "layer3"} <= set(config.freeze)
