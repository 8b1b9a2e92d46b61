"""The contract of a method: a configuration, what it needs, and the stages it is trained in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from ltbench.backbones.base import Backbone
from ltbench.method.batch import Scan, Stats
from ltbench.method.config import MethodConfig, Needs, Variant
from ltbench.method.search import SearchSpace
from ltbench.method.stages import Stage


@dataclass(frozen=True)
class Validation:
    """Rows for a method's own choices (early stopping, a plateau); never the test part.

    Attributes:
        rows: number of rows.
        class_names: columns of their labels; other ones than those of training while a zero-shot task is tuned.
        scan: iterates over batches in row order, as often as wanted; row numbers are those of the validation rows.
    """

    rows: int
    class_names: tuple[str, ...]
    scan: Scan


@dataclass(frozen=True)
class Context:
    """What a method may know when it builds its stages. Holds no label of the test part and no hidden one.

    Attributes:
        class_names: training classes, column order (seen classes only on zero-shot tasks).
        stats: counts over observed training labels.
        observed: int8 [N, C] observed training labels after the unknown policy, by row, as batches show them; what a
            class-aware sampler is made from. Empty only in contexts that are built by hand without labels.
        backbone: the encoder; frozen unless the method trains ``backbone.visual`` itself.
        label_groups: semantic groups of classes, possibly empty.
        validation: rows for the method's own choices, for methods whose ``needs()`` ask for them.
        device: where modules will run; build them on the CPU, the engine moves them.
        seed: seed of model initialisation; torch's generator is already seeded from it.
        variant: ``paper`` or ``code``.
    """

    class_names: tuple[str, ...]
    stats: Stats
    backbone: Backbone
    device: torch.device
    seed: int
    variant: Variant = "paper"
    observed: torch.Tensor = field(default_factory=lambda: torch.zeros((0, 0), dtype=torch.int8))
    label_groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    validation: Validation | None = None


class Method(ABC):
    """Base of every method. Subclasses name their configuration in ``Config``.

    The module of the last stage makes the predictions. State lives in parameters, buffers and ``state_dict``; labels
    that a method rewrites live in its own buffer.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig

    def __init__(self, config: MethodConfig) -> None:
        self.config = config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Fields that ``ltbench tune`` may vary, and how; empty when there is nothing to tune."""
        return {}

    @abstractmethod
    def needs(self) -> Needs:
        """What the method asks of backbone and task under this configuration."""

    @abstractmethod
    def stages(self, context: Context) -> Sequence[Stage]:
        """Build the stages, in order; later ones may use the modules of earlier ones."""
