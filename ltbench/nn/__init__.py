"""Parts for method authors: prompt learners, heads, samplers, templates. Everything listed here is public."""

from ltbench.nn.classifiers import CosineHead, LinearHead
from ltbench.nn.prompted import PromptClassifier
from ltbench.nn.prompts import PromptLearner
from ltbench.nn.samplers import ClassAwareSampler, ShuffleSampler
from ltbench.nn.templates import TEMPLATES, ensemble_features, fill, imagenet_templates
from ltbench.nn.text import Shared, Tower, encode_in_chunks

__all__ = [
    "TEMPLATES",
    "ClassAwareSampler",
    "CosineHead",
    "LinearHead",
    "PromptClassifier",
    "PromptLearner",
    "Shared",
    "ShuffleSampler",
    "Tower",
    "encode_in_chunks",
    "ensemble_features",
    "fill",
    "imagenet_templates",
]
