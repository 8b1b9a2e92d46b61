"""Prompts whose context depends on something besides the class: an image, a group of classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.nn.classifiers import CosineHead
from ltbench.nn.prompts import PromptLearner
from ltbench.nn.text import encode_in_chunks


class MetaNet(nn.Module):
    """``W_2 relu(W_1 x + b_1) + b_2``, a bottleneck from a condition to a shift of the context.

    Source: CoCoOp (Zhou et al., Conditional Prompt Learning for Vision-Language Models, CVPR 2022, section 3.2), whose
    hidden layer is a sixteenth of the input.

    Args:
        dim: size of a condition.
        width: size of a token embedding.
        hidden: size of the hidden layer; None takes ``dim // 16``, at least 1.
        zero: start the second layer at zero, so that the first prompts are the unconditional ones.
    """

    def __init__(self, dim: int, width: int, hidden: int | None = None, zero: bool = False) -> None:
        super().__init__()
        size = max(1, dim // 16) if hidden is None else hidden
        last = nn.Linear(size, width)
        if zero:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(dim, size), nn.ReLU(), last)

    def forward(self, conditions: Tensor) -> Tensor:
        """Shifts [..., width] of conditions [..., dim]."""
        shifts: Tensor = self.layers(conditions)
        return shifts


class ConditionalPrompts(nn.Module):
    """A set of class prompts for each condition: the learned context plus what a network makes of the condition.

    With n conditions and C classes that is n C prompts through the text tower; see `chunk`.

    Source: CoCoOp (Zhou et al., CVPR 2022, section 3.2): the conditions are image features, and one shift is added to
    all M context vectors.

    Args:
        prompts: learner of the unconditional context, with the class name at the end.
        meta: conditions [n, ...] → shifts [n, W], the same for all classes and context vectors; [n, M, W], one for each
            vector; or [n, C, M, W], for each class too (either of C and M may be 1).
        chunk: prompts that go through the text tower at a time. With gradients on they are encoded again in the
            backward pass (``encode_in_chunks``) where there are more.

    Raises:
        ValueError: the class name is not at the end.
    """

    def __init__(self, prompts: PromptLearner, meta: nn.Module, chunk: int | None = 1024) -> None:
        super().__init__()
        if prompts.position != "end":
            raise ValueError(f"conditional prompts need class names at the end, not {prompts.position!r}")
        self.prompts = prompts
        self.meta = meta
        self.chunk = chunk

    def forward(self, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Token embeddings [n, C, length, W] of all prompts; positions of their end-of-text tokens, int64 [C]."""
        base, ends = self.prompts()
        return self._shifted(base, self._shifts(conditions)), ends

    def class_features(self, conditions: Tensor) -> Tensor:
        """L2-normalised text features [n, C, D], one set for each of n conditions."""
        base, ends = self.prompts()
        shifts, tower = self._shifts(conditions), self.prompts.tower
        count = len(base)
        # Without gradients nothing but the features is kept, so that embeddings need not exist for all rows at once.
        if self.chunk is None or torch.is_grad_enabled():
            parts: Sequence[Tensor] = [shifts]
        else:
            parts = torch.split(shifts, max(1, self.chunk // count))
        found = [
            encode_in_chunks(tower, self._shifted(base, part).flatten(0, 1), ends.repeat(part.shape[0]), self.chunk)
            for part in parts
        ]
        return normalize(torch.cat(found), dim=-1).reshape(shifts.shape[0], count, -1)

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the context in front of other class names; see :meth:`PromptLearner.set_classes`."""
        self.prompts.set_classes(names)

    def _shifts(self, conditions: Tensor) -> Tensor:
        """[n, C or 1, M or 1, W]."""
        shifts: Tensor = self.meta(conditions)
        if shifts.dim() == 2:
            return shifts[:, None, None]
        return shifts[:, None] if shifts.dim() == 3 else shifts

    def _shifted(self, base: Tensor, shifts: Tensor) -> Tensor:
        """Embeddings [n, C, length, W] of prompts [C, length, W] with a shifted context."""
        first, size = self.prompts.tower.starts, self.prompts.context_tokens
        context = base[None, :, first : first + size] + shifts
        start, tail = (part.expand(shifts.shape[0], -1, -1, -1) for part in (base[:, :first], base[:, first + size :]))
        return torch.cat([start, context, tail], dim=2)


class ConditionalClassifier(nn.Module):
    """``logits = scale cos(x, g(prompt_c(x))) + bias``: each image is compared with prompts of its own.

    The condition is the L2-normalised image feature, as in CoCoOp.

    Args:
        prompts: prompts whose conditions are image features [n, D].
        head: scale and bias.
    """

    def __init__(self, prompts: ConditionalPrompts, head: CosineHead) -> None:
        super().__init__()
        self.prompts = prompts
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Logits float32 [n, C] of image features [n, D]."""
        conditions = normalize(images.float(), dim=-1)
        logits: Tensor = self.head(conditions, self.prompts.class_features(conditions))
        return logits

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on."""
        self.prompts.set_classes(names)

    def centre(self, images: Iterable[Tensor], mean: float) -> None:
        """Set the bias so that the logits of these image features have this mean; see :meth:`CosineHead.centre`."""
        with torch.no_grad():
            self.head.centre((self(part) for part in images), mean)
