"""Parts for method authors: prompt learners, heads, samplers, templates. Everything listed here is public."""

from ltbench.nn.branches import TowerBranches
from ltbench.nn.classifiers import CosineHead, LinearHead
from ltbench.nn.prompted import PromptClassifier
from ltbench.nn.prompts import PromptLearner
from ltbench.nn.samplers import ClassAwareSampler, ShuffleSampler
from ltbench.nn.streams import ClassDrawSampler, StreamSampler, split_streams
from ltbench.nn.templates import TEMPLATES, ensemble_features, fill, imagenet_templates
from ltbench.nn.text import Shared, Tower, encode_in_chunks

__all__ = [
    "TEMPLATES",
    "ClassAwareSampler",
    "ClassDrawSampler",
    "CosineHead",
    "LinearHead",
    "PromptClassifier",
    "PromptLearner",
    "Shared",
    "ShuffleSampler",
    "StreamSampler",
    "Tower",
    "TowerBranches",
    "encode_in_chunks",
    "ensemble_features",
    "fill",
    "imagenet_templates",
    "split_streams",
]
