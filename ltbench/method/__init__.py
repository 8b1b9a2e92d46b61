"""What a method author imports: the contract of section "plugin" of the reference."""

from ltbench.data.progress import SILENT, Reporter
from ltbench.method.batch import Batch, Scan, Stats
from ltbench.method.config import MethodConfig, Needs, Preset
from ltbench.method.fine_tune import FineTuneConfig, FineTuned
from ltbench.method.label_graph import LabelGraphConfig
from ltbench.method.method import Context, Method, Validation
from ltbench.method.places import Places
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
)
from ltbench.method.training import TrainingConfig, prompt_groups
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
    "Reporter",
    "Sampler",
    "Scan",
    "Schedule",
    "SearchSpace",
    "Stage",
    "Stats",
    "TrainingConfig",
    "Uniform",
    "Validation",
    "WordVectorConfig",
    "prompt_groups",
]
