"""Losses for single positive labels that a recipe names, each with what it remembers of the training rows."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.losses import (
    AssumeNegativeLoss,
    EntropyMaximizationLoss,
    ExpectedPositivesLoss,
    HillLoss,
    LargeLoss,
    OwnUnknownLoss,
    ROLELoss,
    SPLCLoss,
    WeakAssumeNegativeLoss,
    initial_label_logits,
    select_soft_negatives,
)
from ltbench.method import Batch, MethodConfig
from ltbench.plugin import UserError
from ltbench_baselines.common.objectives import Objective, Predict

SpmlLossName = Literal["an", "lsan", "wan", "epr", "em", "em-apl", "role", "ll-r", "ll-ct", "ll-cp", "hill", "splc"]

SPML_LOSSES: tuple[str, ...] = get_args(SpmlLossName)
"""All names, in the order of the card."""

CALIBRATED = frozenset({"an", "epr", "role"})
"""Losses that are cross-entropies without weights, margins, smoothing or corrections: what they are told, or hold, to
be present has probability sigmoid(logit)."""

WHOLE_BATCH = frozenset({"epr", "role"})
"""Losses with a term of the whole batch, which are means and nothing else."""


class SpmlLossConfig(MethodConfig):
    """Which loss, and the constants of all of them; those of other losses than the chosen one change nothing.

    Cole, LL, EM and SPLC stand for the papers and releases named in the card.
    """

    loss: SpmlLossName = Field("an", description="classification loss; see the card")
    reduction: Literal["mean", "sum"] = Field(
        "mean", description="over all entries of a batch; epr and role: mean only [hill, splc: sum; all others: mean]"
    )
    smoothing: float = Field(0.1, ge=0, lt=1, description="share moved to the opposite label; lsan only [Cole's code]")
    expected_positives: float | None = Field(
        2.0,
        gt=0,
        description="present labels of an image on average, k; epr, role. Single positives do not tell it; null: what "
        "the known labels tell [Cole: VOC 1.5, COCO 2.9, NUS 1.9, CUB 31.4; elsewhere ours]",
    )
    label_lr: float | None = Field(
        None, gt=0, description="learning rate of the labels of role; null: ten times lr [Cole: ten times]"
    )
    em_alpha: float = Field(
        0.1, ge=0, description="weight of the entropy; em, em-apl [EM: VOC 0.2, COCO 0.1, NUS 0.1, CUB 0.01]"
    )
    apl_beta: float = Field(
        0.2, ge=0, description="weight of soft labels; em-apl only [EM: VOC 0.02, COCO 0.9, NUS 0.2, CUB 0.4]"
    )
    apl_warmup: int = Field(
        5, ge=0, description="epochs before the first soft labels; em-apl only [EM: VOC, COCO 5, NUS 4, CUB 3]"
    )
    apl_share: float = Field(
        0.9, ge=0, le=1, description="share of a class's unknown labels that end soft; em-apl only [EM]"
    )
    ll_delta: float = Field(
        0.002, ge=0, le=1, description="growth an epoch of the share of entries taken; ll-* [LL: 0.001 to 0.005]"
    )
    hill_lambda: float = Field(1.5, ge=1, description="height of the hill; hill only [SPLC's code]")
    splc_tau: float = Field(0.6, ge=0, le=1, description="probability from which unknown is present; splc only [SPLC]")
    splc_change_epoch: int = Field(1, ge=0, description="first epoch of the correction; splc only [SPLC's code]")
    spml_margin: float = Field(1.0, ge=0, description="margin of present labels, in logits; hill, splc [SPLC's code]")
    spml_gamma: float = Field(2.0, ge=0, description="focusing exponent; hill, splc [SPLC's code]")


class OnlineLabels(Objective):
    """ROLE: a free logit for each label of each training row, trained beside the classifier.

    Args:
        observed: int8 [N, C]; unknown labels start uniform in probability 0.4 to 0.6 (in logits), known ones at 0.995.
    """

    def __init__(self, criterion: ROLELoss, observed: Tensor) -> None:
        super().__init__(criterion)
        self.label_logits = nn.Parameter(initial_label_logits(observed))

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar loss."""
        loss: Tensor = self.criterion(logits, batch.observed, self.label_logits[batch.rows])
        return loss


class SoftLabels(Objective):
    """EM+APL: after each epoch from the `warmup`-th on, the least probable unknown labels get soft ones.

    ``soft`` [N, C] holds them, NaN where there is none; once given they stay.

    Args:
        shape: rows N and classes C of the training view.
        epochs: epochs of the whole training.

    Raises:
        UserError: `warmup` is not below `epochs`.
    """

    soft: Tensor

    def __init__(
        self, criterion: EntropyMaximizationLoss, shape: torch.Size, *, epochs: int, warmup: int, share: float
    ) -> None:
        super().__init__(criterion)
        if warmup >= epochs:
            raise UserError(
                f"apl_warmup={warmup}: soft labels come after that many epochs, and there are {epochs}",
                f"-o apl_warmup={epochs // 2}",
            )
        self.epochs, self.warmup, self.share = epochs, warmup, share
        self.register_buffer("soft", torch.full(shape, torch.nan))

    def start_epoch(self, epoch: int, predict: Predict) -> None:
        """Give soft labels."""
        if epoch >= self.warmup:
            probabilities, labels = predict()
            self.soft.copy_(
                select_soft_negatives(
                    probabilities, labels, self.soft, epochs=self.epochs, warmup=self.warmup, share=self.share
                )
            )

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar loss."""
        loss: Tensor = self.criterion(logits, batch.observed, self.soft[batch.rows])
        return loss


class CorrectedLabels(Objective):
    """LL-Cp: labels of its own [N, C], in which unknown ones of large loss become present for good.

    Args:
        observed: int8 [N, C], what the labels start as.
    """

    labels: Tensor

    def __init__(self, criterion: LargeLoss, observed: Tensor) -> None:
        super().__init__(criterion)
        self.register_buffer("labels", observed.clone())
        self._found: list[tuple[int, int]] = []

    def start_epoch(self, epoch: int, predict: Predict) -> None:
        """Start a new list of decisions."""
        super().start_epoch(epoch, predict)
        self._found = []

    def forward(self, logits: Tensor, batch: Batch) -> Tensor:
        """Scalar loss; in training, labels are corrected after it was computed."""
        labels = self.labels[batch.rows]
        loss: Tensor = self.criterion(logits, labels)
        if self.training:
            assert isinstance(self.criterion, LargeLoss)
            at, columns = self.criterion.corrections(logits, labels).nonzero(as_tuple=True)
            rows = batch.rows[at]
            self.labels[rows, columns] = 1
            self._found += zip(rows.tolist(), columns.tolist(), strict=True)
        return loss

    def decisions(self) -> list[tuple[int, int]]:
        """What was corrected in the running epoch."""
        return list(self._found)


def build_objective(
    config: SpmlLossConfig, observed: Tensor, epochs: int, variant: Literal["paper", "code"]
) -> Objective:
    """The loss of a configuration.

    Args:
        observed: int8 [N, C], the observed labels of all training rows.
        epochs: epochs of the whole training; em-apl only.
        variant: ``code`` adds 1e-5 inside the logarithms of an, lsan, wan, epr, em, em-apl and role, and computes ll-*
            as the release does, which rewrites no label; hill and splc have one form.

    Raises:
        UserError: a sum is asked of epr or role; known labels do not tell k; or see :class:`SoftLabels`.
    """
    name, reduction = config.loss, config.reduction
    if name in WHOLE_BATCH and reduction != "mean":
        raise UserError(f"reduction={reduction}: {name} has a term of the whole batch", "-o reduction=mean")
    if name == "role":
        return OnlineLabels(ROLELoss(_expected(config, observed), variant=variant), observed)
    if name == "epr":
        return Objective(ExpectedPositivesLoss(_expected(config, observed), variant=variant))
    if name == "em-apl":
        return SoftLabels(
            EntropyMaximizationLoss(alpha=config.em_alpha, beta=config.apl_beta, variant=variant, reduction=reduction),
            observed.shape,
            epochs=epochs,
            warmup=config.apl_warmup,
            share=config.apl_share,
        )
    if name in ("ll-r", "ll-ct", "ll-cp"):
        large = LargeLoss(
            {"ll-r": "R", "ll-ct": "Ct", "ll-cp": "Cp"}[name],  # type: ignore[arg-type]
            delta=config.ll_delta,
            variant=variant,
            reduction=reduction,
        )
        return CorrectedLabels(large, observed) if large.permanent else Objective(large)
    return Objective(_stateless(config, variant))


def _expected(config: SpmlLossConfig, observed: Tensor) -> float:
    """Present labels of an image on average: as configured, or the sum over classes of the share among known labels.

    Raises:
        UserError: known labels are to tell it, and no absent one is among them, or no present one.
    """
    if config.expected_positives is not None:
        return config.expected_positives
    present, known = (observed == 1).sum(dim=0).double(), (observed != 0).sum(dim=0).double()
    if not bool((observed == 1).any()) or not bool((observed == -1).any()):
        raise UserError(
            f"expected_positives=null: known labels are to tell {config.loss} how many classes an image shows, and all "
            "of them are of one kind",
            "-o expected_positives=NUMBER",
        )
    return float((present / known.clamp(min=1)).sum())


def _stateless(config: SpmlLossConfig, variant: Literal["paper", "code"]) -> OwnUnknownLoss:
    name, reduction = config.loss, config.reduction
    if name == "wan":
        return WeakAssumeNegativeLoss(variant=variant, reduction=reduction)
    if name == "em":
        return EntropyMaximizationLoss(alpha=config.em_alpha, variant=variant, reduction=reduction)
    if name == "hill":
        return HillLoss(lam=config.hill_lambda, margin=config.spml_margin, gamma=config.spml_gamma, reduction=reduction)
    if name == "splc":
        return SPLCLoss(
            tau=config.splc_tau,
            change_epoch=config.splc_change_epoch,
            margin=config.spml_margin,
            gamma=config.spml_gamma,
            reduction=reduction,
        )
    smoothing = config.smoothing if name == "lsan" else 0.0
    return AssumeNegativeLoss(smoothing=smoothing, variant=variant, reduction=reduction)
