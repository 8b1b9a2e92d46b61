"""Logits of a trained module, for its own classes or, with an open class set, for others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ltbench.method import Batch

Logits = npt.NDArray[np.float32]


@contextmanager
def answering(
    module: nn.Module, device: torch.device, class_names: tuple[str, ...], back_to: tuple[str, ...] | None
) -> Iterator[Callable[[Batch], Logits]]:
    """A function from batches to logits float32 [n, C]; mode and classes of the module are put back afterwards.

    Args:
        module: it predicts, in evaluation mode.
        device: where it runs.
        class_names: the C classes; an open class set learns the names here and not before.
        back_to: classes of a module with an open class set; None for a fixed one.
    """
    module.to(device)
    was_training = module.training
    module.eval()
    if back_to is not None:
        module.set_classes(class_names)  # type: ignore[operator]

    def logits_of(batch: Batch) -> Logits:
        with torch.no_grad():
            found: Logits = module.logits(batch.to(device)).float().cpu().numpy()  # type: ignore[operator]
        if found.shape != (len(batch.rows), len(class_names)):
            raise ValueError(f"logits have shape {found.shape}, expected {(len(batch.rows), len(class_names))}")
        return found

    try:
        yield logits_of
    finally:
        if back_to is not None:
            module.set_classes(back_to)  # type: ignore[operator]
        module.train(was_training)
