"""Whether the rows of a stage's batches may be dealt to several processes, told from its loss and its module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ltbench.losses import goes_over
from ltbench.method.stages import GradientStage

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def dealt(
    stage: GradientStage, *criteria: nn.Module, complete: bool = False, row_state: Sequence[str] = ()
) -> GradientStage:
    """The same stage, its rows dealt where parts of a batch add up to it (``parallel="rows"``).

    They do where each loss is a mean over rows, a mean over known labels, or a sum, all of one kind; and where nothing
    in the module looks at other rows of a batch or draws for each: no batch statistics, no dropout. A module that does
    so itself, outside of these, must not come here.

    Args:
        criteria: the losses whose sum is minimised, with the ``over`` of :class:`ltbench.losses.MultiLabelLoss`.
        complete: every label of the training rows is known, so that a mean over known labels is one over rows.
        row_state: buffers [N, …] of the module that a step changes at the rows of its batch.
    """
    kinds = {goes_over(criterion) for criterion in criteria}
    if complete and kinds <= {"rows", "known"}:
        kinds = {"rows"}
    if len(kinds) != 1 or looks_at_others(stage.module):
        return stage
    (kind,) = kinds
    return stage if kind == "batch" else replace(stage, parallel="rows", reduction=kind, row_state=tuple(row_state))


def has_batch_norm(module: nn.Module) -> bool:
    """Whether a part of a module normalises by its batch, in some mode."""
    return any(isinstance(part, _NORMS) for part in module.modules())


def looks_at_others(module: nn.Module) -> bool:
    """Whether a module, while it trains, normalises by its batch or leaves out what it draws for each row."""
    modes = {part: part.training for part in module.modules()}
    module.train()
    try:
        return any(
            (isinstance(part, _NORMS) and part.training)
            or (isinstance(part, nn.Dropout) and part.training and part.p > 0)
            or (isinstance(part, nn.MultiheadAttention) and part.training and part.dropout > 0)
            for part in module.modules()
        )
    finally:
        for part, mode in modes.items():
            part.training = mode
