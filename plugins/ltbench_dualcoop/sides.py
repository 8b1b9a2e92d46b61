"""What regions are compared with: features of a positive and a negative side for every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ltbench.nn import CosineHead, PromptClassifier, PromptLearner
from ltbench.plugin.errors import UserError


def start_from_words(learner: PromptLearner, words: str) -> None:
    """Put the embeddings of words into a context, right before the class name; vectors before them stay as drawn.

    A context shorter than the words takes the last of them.
    """
    tower = learner.tower
    with torch.no_grad():
        tokens = tower.tokenize([words]).to(learner.ends.device)
        end = int(tower.end_positions(tokens)[0])
        count = min(end - tower.starts, learner.context_tokens)
        learner.ctx[..., learner.context_tokens - count :, :] = tower.embed_tokens(tokens)[0, end - count : end]


class PromptSides(nn.Module):
    """One learned context a side, ``[start] [context] [class name] . [end of text]``, through the frozen text tower.

    Args:
        prompts: learner by side, the guiding side last (``negative``, ``positive``).
        chunk: prompts that go through the text tower at a time.
    """

    def __init__(self, prompts: Mapping[str, PromptLearner], chunk: int | None = 128) -> None:
        super().__init__()
        # The heads are left out: classifiers keep class features while no gradients are asked for.
        self.sides = nn.ModuleDict({n: PromptClassifier(p, CosineHead(), chunk) for n, p in prompts.items()})
        self.chunk = chunk

    def forward(self, classes: Tensor | None = None) -> Tensor:
        """Features [K, C, D]; of some classes int64 [n] only, [K, n, D]."""
        sides: list[PromptClassifier] = list(self.sides.values())  # type: ignore[arg-type]
        if classes is None:
            return torch.stack([side.class_features() for side in sides])
        return torch.stack([side.prompts.class_features(self.chunk, classes=classes) for side in sides])

    def contexts(self) -> list[nn.Parameter]:
        """The learned vectors of each side, [N, W] or [C, N, W]."""
        return [side.prompts.ctx for side in self.sides.values()]  # type: ignore[union-attr,misc]

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned contexts in front of other class names.

        Raises:
            UserError: the contexts are class-specific, or a prompt does not fit the tower.
        """
        for side in self.sides.values():
            side.set_classes(names)  # type: ignore[operator]


class FreeSides(nn.Module):
    """A vector of its own for every class and side, instead of a text feature (Discrete Label).

    Args:
        names: class names.
        sides: number K of sides.
        dim: size of a region feature.
        seed: of the random start, N(0, 0.02^2).
    """

    def __init__(self, names: Sequence[str], sides: int, dim: int, seed: int) -> None:
        super().__init__()
        self.class_names = tuple(names)
        generator = torch.Generator().manual_seed(seed)
        self.vectors = nn.Parameter(torch.randn(sides, len(names), dim, generator=generator) * 0.02)

    def forward(self, classes: Tensor | None = None) -> Tensor:
        """Features [K, C, D]; of some classes int64 [n] only, [K, n, D]."""
        return self.vectors if classes is None else self.vectors[:, classes]

    def contexts(self) -> list[nn.Parameter]:
        """The learned vectors."""
        return [self.vectors]

    def set_classes(self, names: Sequence[str]) -> None:
        """Nothing to do for the classes of training.

        Raises:
            UserError: other classes, of which nothing is known.
        """
        if tuple(names) != self.class_names:
            raise UserError("class vectors say nothing about classes they were not trained on", "-o labels=text")
