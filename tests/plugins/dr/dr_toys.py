"""The recipe ``dr``: its configurations and presets."""

from __future__ import annotations

from typing import Any

from ltbench.method.config import build_config, load_presets
from ltbench_dr.method import DR
from ltbench_dr.plugin import ltbench_methods

RESNET = "timm:resnet50.tv_in1k"
SPEC = next(spec for spec in ltbench_methods() if spec.name == "dr")
PRESETS = load_presets(SPEC)


def config_of(**options: Any) -> DR.Config:
    """The recipe's configuration with some options."""
    config = build_config(DR.Config, "dr", SPEC.config, options)
    assert isinstance(config, DR.Config)
    return config
