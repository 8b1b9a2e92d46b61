"""A classifier whose classes are learned prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ltbench.nn.classifiers import CosineHead
from ltbench.nn.prompts import PromptLearner


class PromptClassifier(nn.Module):
    """``logits = scale cos(x, g(prompt_c)) + bias`` with g the frozen text tower of the prompt learner.

    With gradients off the class features are computed once and kept until the context or the classes change.

    Args:
        prompts: the learned prompts.
        head: scale and bias.
        chunk: prompts that go through the text tower at a time; more classes than that cost time, not memory.
    """

    def __init__(self, prompts: PromptLearner, head: CosineHead, chunk: int | None = 128) -> None:
        super().__init__()
        self.prompts = prompts
        self.head = head
        self.chunk = chunk
        self._kept: tuple[Tensor, tuple[str, ...], Tensor] | None = None

    def class_features(self) -> Tensor:
        """L2-normalised text features [C, D] of the prompts."""
        if torch.is_grad_enabled():
            return self.prompts.class_features(self.chunk)
        context, names = self.prompts.ctx, self.prompts.class_names
        if self._kept is not None:
            seen, seen_names, features = self._kept
            # The values are compared, so that no step and no swap for averaged weights has to announce itself.
            if seen_names == names and seen.device == context.device and torch.equal(seen, context):
                return features
        features = self.prompts.class_features(self.chunk)
        self._kept = (context.detach().clone(), names, features)
        return features

    def forward(self, images: Tensor, class_features: Tensor | None = None) -> Tensor:
        """Logits float32 [n, C] of image features [n, D]; computes the class features unless they are given."""
        classes = self.class_features() if class_features is None else class_features
        logits: Tensor = self.head(images.float(), classes)
        return logits

    def set_classes(self, names: Sequence[str]) -> None:
        """Answer for these classes from now on; see :meth:`PromptLearner.set_classes`."""
        self.prompts.set_classes(names)

    def centre(self, images: Iterable[Tensor], mean: float) -> None:
        """Set the bias so that the logits have this mean over images and classes; see :meth:`CosineHead.centre`.

        Args:
            images: batches of image features [n, D].
            mean: where the logits shall lie, such as the log-odds of the observed labels.

        Raises:
            ValueError: no images.
        """
        with torch.no_grad():
            self.head.centre((self(part) for part in images), mean)
