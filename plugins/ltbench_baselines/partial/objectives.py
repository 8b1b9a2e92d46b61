"""Losses for partial labels that a recipe names, and the curriculum that labels what is unknown."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ltbench.losses import PartialBCELoss, SelectiveAsymmetricLoss
from ltbench.method import Batch, MethodConfig, Stats
from ltbench.plugin import UserError
from ltbench_baselines.common.objectives import Objective, Predict


class PartialLossConfig(MethodConfig):
    """Which loss, and the constants of all of them; those of other losses than the chosen one change nothing.

    "impl." are later implementations of Durand et al.; "release" is that of the selective loss.
    """

    loss: Literal["partial-bce", "curriculum", "p-asl"] = Field("partial-bce", description="see the card")
    slope: float = Field(-4.45, description="weight of an image: slope q^exponent + offset; not p-asl [impl.]")
    offset: float = Field(5.45, description="the same; q is the share of its labels that is known [impl.]")
    exponent: float = Field(1.0, ge=0, description="the same [impl.]")
    tau: float = Field(
        0.9, gt=0.5, le=1, description="probability above which unknown is present, and of absent; curriculum [ours]"
    )
    first_round: int = Field(2, ge=1, description="epochs before unknown labels are first given; curriculum [ours]")
    round_epochs: int = Field(1, ge=1, description="epochs until they are given anew; curriculum [ours]")
    gamma_pos: float = Field(0.0, ge=0, description="exponent of present labels; p-asl [release]")
    gamma_neg: float = Field(1.0, ge=0, description="exponent of known absent labels; p-asl [release]")
    gamma_unknown: float = Field(4.0, ge=0, description="exponent of unknown labels; p-asl [release]")
    clip: float = Field(0.0, ge=0, lt=1, description="shift of absent probabilities; p-asl [release]")
    top_k: int = Field(5, ge=0, description="likeliest unknown labels of an image left out; p-asl [release]")
    prior_threshold: float = Field(
        0.5, ge=0, le=1, description="unknown labels of classes present more often are left out; p-asl [release]"
    )


class CurriculumLabels(Objective):
    """Partial BCE on labels of its own: unknown ones that the model is sure of count as known for a round.

    A round starts every `every` epochs from the `first`-th on, with all unknown labels unknown again; of these get
    present those with a probability above tau, absent those below 1 - tau. ``labels`` int8 [N, C] holds the result.

    Args:
        criterion: the partial BCE.
        observed: int8 [N, C], the labels of all training rows.
        tau: the threshold.
        first, every: see above.
    """

    labels: Tensor

    def __init__(self, criterion: PartialBCELoss, observed: Tensor, *, tau: float, first: int, every: int) -> None:
        super().__init__(criterion)
        self.tau, self.first, self.every = tau, first, every
        self.register_buffer("labels", observed.clone())
        self._found: list[tuple[int, int]] = []

    def start_epoch(self, epoch: int, predict: Predict) -> None:
        """Give labels where a round starts."""
        self._found = []
        if epoch < self.first or (epoch - self.first) % self.every:
            return
        probabilities, observed = predict()
        unknown = observed == 0
        present, absent = unknown & (probabilities > self.tau), unknown & (probabilities < 1 - self.tau)
        self.labels.copy_(observed + present.to(observed.dtype) - absent.to(observed.dtype))
        self._found = [(row, column) for row, column in present.nonzero().tolist()]

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar loss by the labels of the round; without training by those that were observed."""
        labels = self.labels[batch.rows] if self.training else batch.observed
        loss: Tensor = self.criterion(logits, labels)
        return loss

    def decisions(self) -> list[tuple[int, int]]:
        """(row, class) that became present as the running epoch began."""
        return list(self._found)


def build_partial_objective(
    config: PartialLossConfig, observed: Tensor, stats: Stats, epochs: int, variant: Literal["paper", "code"]
) -> Objective:
    """The loss of a configuration.

    Args:
        observed: int8 [N, C], the observed labels of all training rows.
        stats: their counts.
        epochs: of the whole training; curriculum only.
        variant: p-asl only: likeliest unknown labels by image, or by batch as the release has it.

    Raises:
        UserError: the first round would come after the last epoch.
    """
    if config.loss == "p-asl":
        known = stats.positives + stats.negatives
        # Where no absent label is known, the share of positives says nothing of how often a class is present.
        share = np.where(stats.negatives > 0, stats.positives / np.maximum(known, 1), 0.0)
        return Objective(
            SelectiveAsymmetricLoss(
                gamma_pos=config.gamma_pos,
                gamma_neg=config.gamma_neg,
                gamma_unknown=config.gamma_unknown,
                clip=config.clip,
                top_k=config.top_k,
                prior=torch.from_numpy(share),
                prior_threshold=config.prior_threshold,
                variant=variant,
            )
        )
    criterion = PartialBCELoss(slope=config.slope, offset=config.offset, exponent=config.exponent)
    if config.loss == "partial-bce":
        return Objective(criterion)
    if config.first_round >= epochs:
        raise UserError(
            f"first_round={config.first_round}: labels are given after that many epochs, and there are {epochs}",
            f"-o epochs={config.first_round + 1}",
        )
    return CurriculumLabels(criterion, observed, tau=config.tau, first=config.first_round, every=config.round_epochs)
