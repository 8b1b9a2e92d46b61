"""From groups to label features: hierarchical conditional prompts and the graphs over groups and labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ltbench.nn import ConditionalPrompts, CosineHead, MetaNet, PromptLearner, ResidualGraph, encode_in_chunks

PromptForm = Literal["group", "single", "concat", "add"]


class GroupContexts(nn.Module):
    """Context vectors of each label, from the features of its group.

    ``group``: s_i = Meta(g_j), N vectors that the labels of a group share; ``concat``: [s_i, w] with N learned vectors
    w that all labels share; ``add``: s_i + w. ``single`` needs no groups and is a plain prompt learner.

    Source: HSPNet section 3.1 (Eq. 3) and Table 5.

    Args:
        meta: features [..., D] of groups → N W numbers.
        index: group of each label, int64 [C].
        shape: N and W.
        words: start of w [N, W]; None for ``group``.
        form: see above.
    """

    index: Tensor

    def __init__(
        self, meta: MetaNet, index: Tensor, shape: tuple[int, int], words: Tensor | None, form: PromptForm
    ) -> None:
        super().__init__()
        if (words is None) != (form == "group") or form == "single":
            raise ValueError(f"prompts {form!r} and {'no ' if words is None else ''}words of all labels do not fit")
        self.meta = meta
        self.register_buffer("index", index)
        self.shape = shape
        self.words = None if words is None else nn.Parameter(words)
        self.form = form

    def forward(self, groups: Tensor) -> Tensor:
        """Contexts [n, C, M, W] of features [n, G, D] of the groups; M is 2 N for ``concat``, else N."""
        generated: Tensor = self.meta(groups)
        contexts: Tensor = generated[:, self.index].unflatten(-1, self.shape)  # type: ignore[no-untyped-call]
        if self.words is None:
            return contexts
        if self.form == "add":
            return contexts + self.words
        return torch.cat([contexts, self.words.expand_as(contexts)], dim=2)


class LabelFeatures(nn.Module):
    """Text features of the labels, as the prompts and graphs have them now.

    Groups: features → graph → prompts of their labels; labels: prompts → text tower → graph. Nothing is normalised on
    the way.

    Source: HSPNet sections 3.1 and 3.2.

    Args:
        prompts: of all labels; a plain learner where no groups take part.
        label_graph, group_graph: None leaves a level out; both may be the same module.
        label_links, group_links: adjacency [C, C] and [G, G] of each graph.
        groups: features [G, D] of the groups; None without them.
        chunk: prompts that go through the text tower at a time; None takes all.
    """

    groups: Tensor
    label_links: Tensor
    group_links: Tensor

    def __init__(
        self,
        prompts: PromptLearner | ConditionalPrompts,
        *,
        label_graph: ResidualGraph | None = None,
        label_links: Tensor | None = None,
        group_graph: ResidualGraph | None = None,
        group_links: Tensor | None = None,
        groups: Tensor | None = None,
        chunk: int | None = 1024,
    ) -> None:
        super().__init__()
        self.prompts = prompts
        # A module under two names would be in the state twice, so each is kept once and looked up.
        distinct = [label_graph] if label_graph is group_graph else [label_graph, group_graph]
        self.graphs = nn.ModuleList([graph for graph in distinct if graph is not None])
        self._level = {
            level: next((at for at, kept in enumerate(self.graphs) if kept is graph), None)
            for level, graph in (("label", label_graph), ("group", group_graph))
        }
        self.register_buffer("groups", groups)
        self.register_buffer("label_links", label_links)
        self.register_buffer("group_links", group_links)
        self.chunk = chunk

    def _refined(self, level: str, nodes: Tensor, links: Tensor) -> Tensor:
        at = self._level[level]
        refined: Tensor = nodes if at is None else self.graphs[at](nodes, links)
        return refined

    def contexts(self) -> Tensor:
        """Context vectors [C, M, W], or [M, W] where all labels share them."""
        if isinstance(self.prompts, PromptLearner):
            return self.prompts.ctx
        found: Tensor = self.prompts.meta(self._refined("group", self.groups, self.group_links)[None])
        return found[0]

    def forward(self) -> Tensor:
        """Features [C, D], not normalised."""
        if isinstance(self.prompts, PromptLearner):
            embeddings, ends = self.prompts()
            tower = self.prompts.tower
        else:
            refined = self._refined("group", self.groups, self.group_links)
            embeddings, ends = self.prompts(refined[None])
            embeddings, tower = embeddings[0], self.prompts.prompts.tower
        labels = encode_in_chunks(tower, embeddings, ends, self.chunk)
        return self._refined("label", labels, self.label_links)


class LabelHead(nn.Module):
    """``logits = scale cos(image, label)``.

    Args:
        labels: gives the label features.
        cosine: the scale.
    """

    def __init__(self, labels: LabelFeatures, cosine: CosineHead) -> None:
        super().__init__()
        self.labels = labels
        self.cosine = cosine

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 [n, C] of image features [n, D]."""
        labels = self.labels()
        # Half precision comes out of autocast; cosines of it would cost their last digits.
        dtype = torch.promote_types(labels.dtype, torch.float32)
        logits: Tensor = self.cosine(images.to(dtype), labels.to(dtype))
        return logits
