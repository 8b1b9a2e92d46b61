"""Puts together what a configuration asks for: groups, prompts and graphs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import Context
from ltbench.nn import (
    ConditionalPrompts,
    GraphStack,
    MetaNet,
    PromptLearner,
    ResidualGraph,
    Tower,
    similarity_adjacency,
)
from ltbench.plugin import UserError
from ltbench_hspnet.config import HSPNetConfig
from ltbench_hspnet.hierarchy import Hierarchy, clustered, given_groups, text_features
from ltbench_hspnet.labels import GroupContexts, LabelFeatures


@dataclass(frozen=True)
class Form:
    """What a variant takes where an option is None.

    Attributes:
        share_graph, residual, learn_scale, augment: see the options of these names.
        scale: factor of the cosine; None takes the text tower's.
        graph_factor: learning rate of the graphs over that of all else.
    """

    share_graph: bool
    residual: Literal["sum", "gate"]
    scale: float | None
    learn_scale: bool
    graph_factor: float
    augment: Literal["live", "flip", "none"]


FORMS = {
    "paper": Form(False, "sum", None, True, 1.0, "live"),
    "code": Form(True, "gate", 10.0, False, 5.0, "none"),
}


def build_labels(config: HSPNetConfig, context: Context) -> LabelFeatures:
    """The label features of a configuration.

    Raises:
        UserError: see :func:`build_hierarchy`.
    """
    tower, names = context.backbone.text, context.class_names
    assert tower is not None
    hierarchy = None if config.prompts == "single" else build_hierarchy(config, context, tower)
    prompts = build_prompts(config, context, tower, hierarchy)
    form, dim = FORMS[context.variant], context.backbone.card.dim
    label_graph = _graph(config, form, dim) if config.label_graph else None
    share = form.share_graph if config.share_graph is None else config.share_graph
    if not config.group_graph:
        group_graph = None
    elif share and label_graph is not None:
        group_graph = label_graph
    else:
        group_graph = _graph(config, form, dim)
    return LabelFeatures(
        prompts,
        label_graph=label_graph,
        label_links=_links(config, text_features(tower, names)) if config.label_graph else None,
        group_graph=group_graph,
        group_links=_links(config, hierarchy.features) if config.group_graph and hierarchy is not None else None,
        groups=None if hierarchy is None else hierarchy.features,
        chunk=config.chunk,
    )


def build_hierarchy(config: HSPNetConfig, context: Context, tower: Tower) -> Hierarchy:
    """The groups that the option ``groups`` asks for.

    Raises:
        UserError: the task defines no groups and clustering is switched off; its groups do not hold each class once;
            or there are more clusters than classes.
    """
    names = context.class_names
    if config.groups == "cluster" and config.clusters is not None:
        return clustered(text_features(tower, names), config.clusters, context.seed)
    groups = context.label_groups
    if config.groups == "cluster" or (config.groups == "auto" and not groups):
        count = config.clusters or len(groups) or max(1, round(math.sqrt(len(names))))
        return clustered(text_features(tower, names), count, context.seed)
    if not groups:
        raise UserError(
            f"groups={config.groups} needs a task that defines groups of classes, and this one defines none",
            "-o groups=cluster",
        )
    return given_groups(
        tower,
        names,
        groups,
        numbered=config.group_names == "numbers",
        shuffle=context.seed if config.groups == "random" else None,
    )


def build_prompts(
    config: HSPNetConfig, context: Context, tower: Tower, hierarchy: Hierarchy | None
) -> PromptLearner | ConditionalPrompts:
    """Prompts of all classes; the context comes from the groups where there are any."""
    count = config.context_tokens
    shared = None
    if config.prompts != "group" or config.meta_start == "context":
        shared = PromptLearner(tower, context.class_names, count, config.init, seed=context.seed)
    if hierarchy is None:
        assert shared is not None
        return shared
    words = None if shared is None or config.prompts == "group" else shared.ctx.detach().clone()
    total = 2 * count if config.prompts == "concat" else count
    # The learner gives the frame of the prompts only: all of their context comes from the groups and the words below.
    frame = PromptLearner(tower, context.class_names, total, init=None, seed=context.seed)
    frame.ctx.requires_grad_(False).zero_()
    meta = MetaNet(context.backbone.card.dim, count * tower.width, config.meta_hidden or count * tower.width)
    if config.meta_start == "context":
        assert shared is not None
        start_at(meta, torch.zeros_like(shared.ctx) if config.prompts == "add" else shared.ctx)
    contexts = GroupContexts(meta, hierarchy.index, (count, tower.width), words, config.prompts)
    return ConditionalPrompts(frame, contexts, config.chunk)


def start_at(meta: MetaNet, context: Tensor) -> None:
    """Let a network give one context [N, W] for every condition, until it has learned otherwise."""
    last = meta.layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(context.flatten())


def _graph(config: HSPNetConfig, form: Form, dim: int) -> ResidualGraph:
    between = [config.graph_hidden or 2 * dim] * (config.graph_layers - 1)
    gated = (config.residual or form.residual) == "gate"
    return ResidualGraph(GraphStack((dim, *between, dim)), config.gate if gated else None)


def _links(config: HSPNetConfig, features: Tensor) -> Tensor:
    """Adjacency float32 [n, n] of nodes with these text features [n, D]."""
    directions = normalize(features.double(), dim=1)
    keep = max(1, int(config.keep_share * len(features)))
    links = similarity_adjacency(
        (directions @ directions.T).cpu().numpy(), keep=keep, neighbour_share=config.neighbour_share
    )
    return torch.from_numpy(links).float()
