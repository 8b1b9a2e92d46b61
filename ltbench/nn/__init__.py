"""Parts for method authors: prompt learners, necks, heads, samplers, augmentation, templates; all listed is public."""

from ltbench.nn.answers import Score, answer
from ltbench.nn.attention import AdditiveAttention, ModulatedAttention
from ltbench.nn.augment import ColourDistortion, DistortedCrop, FixedViews, canvas_for
from ltbench.nn.branches import TowerBranches
from ltbench.nn.classifiers import CosineHead, LinearHead
from ltbench.nn.conditional import ConditionalClassifier, ConditionalPrompts, MetaNet
from ltbench.nn.graph import (
    GraphClassifiers,
    GraphConvolution,
    GraphStack,
    ResidualGraph,
    conditional_cooccurrence,
    label_adjacency,
    normalised_adjacency,
    similarity_adjacency,
)
from ltbench.nn.multi_head import MovingVector, MultiHeadCosine
from ltbench.nn.necks import BatchNormNeck
from ltbench.nn.prompted import PromptClassifier
from ltbench.nn.prompts import PromptLearner
from ltbench.nn.region_pooling import RegionAggregation
from ltbench.nn.samplers import ClassAwareSampler, ShuffleSampler
from ltbench.nn.scaling import ClassScales
from ltbench.nn.semantic_decoupling import ClassWiseLinear, GatedGraph, SemanticDecoupling
from ltbench.nn.streams import ClassDrawSampler, StreamSampler, split_streams
from ltbench.nn.templates import TEMPLATES, ensemble_features, fill, imagenet_templates
from ltbench.nn.text import Shared, Tower, encode_in_chunks
from ltbench.nn.words import read_word_vectors, words_of

__all__ = [
    "TEMPLATES",
    "AdditiveAttention",
    "BatchNormNeck",
    "ClassAwareSampler",
    "ClassDrawSampler",
    "ClassScales",
    "ClassWiseLinear",
    "ColourDistortion",
    "ConditionalClassifier",
    "ConditionalPrompts",
    "CosineHead",
    "DistortedCrop",
    "FixedViews",
    "GatedGraph",
    "GraphClassifiers",
    "GraphConvolution",
    "GraphStack",
    "LinearHead",
    "MetaNet",
    "ModulatedAttention",
    "MovingVector",
    "MultiHeadCosine",
    "PromptClassifier",
    "PromptLearner",
    "RegionAggregation",
    "ResidualGraph",
    "Score",
    "SemanticDecoupling",
    "Shared",
    "ShuffleSampler",
    "StreamSampler",
    "Tower",
    "TowerBranches",
    "answer",
    "canvas_for",
    "conditional_cooccurrence",
    "encode_in_chunks",
    "ensemble_features",
    "fill",
    "imagenet_templates",
    "label_adjacency",
    "normalised_adjacency",
    "read_word_vectors",
    "similarity_adjacency",
    "split_streams",
    "words_of",
]
