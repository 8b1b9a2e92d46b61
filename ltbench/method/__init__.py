"""What a method author imports: the contract of section "plugin" of the reference.

Names are imported on first use: what a method is made of needs torch, what it says about itself does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltbench.backbones.views import RandomResizedCrop
    from ltbench.data.progress import SILENT, Reporter
    from ltbench.method.batch import Batch, Scan, Stats
    from ltbench.method.config import MethodConfig, Needs, Preset
    from ltbench.method.dealing import dealt, has_batch_norm, looks_at_others
    from ltbench.method.fine_tune import FineTuneConfig, FineTuned
    from ltbench.method.label_graph import LabelGraphConfig
    from ltbench.method.method import Context, Method, Validation
    from ltbench.method.places import Places
    from ltbench.method.prompted import Prompted, PromptedConfig
    from ltbench.method.search import Choice, SearchSpace, Uniform
    from ltbench.method.stages import (
        Augment,
        FitData,
        FitStage,
        GradientStage,
        ParamGroup,
        Sampler,
        Schedule,
        Stage,
        StageHooks,
    )
    from ltbench.method.training import TrainingConfig, prompt_groups
    from ltbench.method.views import ViewedConfig
    from ltbench.method.words import WordVectorConfig

__all__ = [
    "SILENT",
    "Augment",
    "Batch",
    "Choice",
    "Context",
    "FineTuneConfig",
    "FineTuned",
    "FitData",
    "FitStage",
    "GradientStage",
    "LabelGraphConfig",
    "Method",
    "MethodConfig",
    "Needs",
    "ParamGroup",
    "Places",
    "Preset",
    "Prompted",
    "PromptedConfig",
    "RandomResizedCrop",
    "Reporter",
    "Sampler",
    "Scan",
    "Schedule",
    "SearchSpace",
    "Stage",
    "StageHooks",
    "Stats",
    "TrainingConfig",
    "Uniform",
    "Validation",
    "ViewedConfig",
    "WordVectorConfig",
    "dealt",
    "has_batch_norm",
    "looks_at_others",
    "prompt_groups",
]

_WHERE = {
    "ltbench.backbones.views": ("RandomResizedCrop",),
    "ltbench.data.progress": (
        "SILENT",
        "Reporter",
    ),
    "ltbench.method.batch": (
        "Batch",
        "Scan",
        "Stats",
    ),
    "ltbench.method.config": (
        "MethodConfig",
        "Needs",
        "Preset",
    ),
    "ltbench.method.dealing": (
        "dealt",
        "has_batch_norm",
        "looks_at_others",
    ),
    "ltbench.method.fine_tune": (
        "FineTuneConfig",
        "FineTuned",
    ),
    "ltbench.method.label_graph": ("LabelGraphConfig",),
    "ltbench.method.method": (
        "Context",
        "Method",
        "Validation",
    ),
    "ltbench.method.places": ("Places",),
    "ltbench.method.prompted": (
        "Prompted",
        "PromptedConfig",
    ),
    "ltbench.method.search": (
        "Choice",
        "SearchSpace",
        "Uniform",
    ),
    "ltbench.method.stages": (
        "Augment",
        "FitData",
        "FitStage",
        "GradientStage",
        "ParamGroup",
        "Sampler",
        "Schedule",
        "Stage",
        "StageHooks",
    ),
    "ltbench.method.training": (
        "TrainingConfig",
        "prompt_groups",
    ),
    "ltbench.method.views": ("ViewedConfig",),
    "ltbench.method.words": ("WordVectorConfig",),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    for module, names in _WHERE.items():
        if name in names:
            found = getattr(importlib.import_module(module), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
