"""What a method author imports: the contract of section "plugin" of the reference."""

from ltbench.data.progress import SILENT, Reporter
from ltbench.method.config import MethodConfig, Needs, Preset
from ltbench.method.method import Context, Method, Validation
from ltbench.method.search import Choice, SearchSpace, Uniform
from ltbench.method.stages import (
    Augment,
    Batch,
    FitData,
    FitStage,
    GradientStage,
    ParamGroup,
    Sampler,
    Scan,
    Schedule,
    Stage,
    Stats,
)

__all__ = [
    "SILENT",
    "Augment",
    "Batch",
    "Choice",
    "Context",
    "FitData",
    "FitStage",
    "GradientStage",
    "Method",
    "MethodConfig",
    "Needs",
    "ParamGroup",
    "Preset",
    "Reporter",
    "Sampler",
    "Scan",
    "Schedule",
    "SearchSpace",
    "Stage",
    "Stats",
    "Uniform",
    "Validation",
]
