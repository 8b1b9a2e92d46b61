"""Linear probes on frozen features: one logistic regression a class, by gradient descent or by L-BFGS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from ltbench.method import (
    Augment,
    Choice,
    Context,
    FitData,
    FitStage,
    GradientStage,
    Method,
    Needs,
    Schedule,
    SearchSpace,
    Stage,
    Uniform,
    dealt,
)
from ltbench.nn import Score
from ltbench.plugin import UserError
from ltbench_baselines.clip.logistic import fit_logistic
from ltbench_baselines.common.losses_by_name import PROPER, LossConfig, build_loss
from ltbench_baselines.common.probe import BiasStart, Features, ProbeModule, WeightStart


class LinearProbe(Method):
    """One logistic regression a class on frozen global image features; learns weights [C, D] and biases [C].

    ``gradient`` minimises the binary cross-entropy, or another loss, of the known labels with AdamW. ``lbfgs``
    minimises ``|w|^2 / 2 + C sum BCE`` to convergence, C chosen by cross-validation on the observed training labels
    (see :func:`ltbench_baselines.clip.logistic.fit_logistic`); it draws no random number that depends on the seed.
    Classes without observed positives or negatives keep the log-odds of their counts as a constant logit under
    ``lbfgs``.

    Source: the linear-probe protocol of Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, ICML 2021, section 3.2, with independent sigmoids for several labels.
    """

    class Config(LossConfig):
        """Options of ``linear-probe`` and ``linear-probe-lbfgs``. The defaults are ours: no paper fixes them.

        ``loss`` and its constants are for the gradient solver.
        """

        solver: Literal["gradient", "lbfgs"] = Field("gradient", description="how the weights are found")
        features: Features = Field(
            "scaled",
            description="divide each feature by its own norm, or all by the root mean square training norm; or as they "
            "are [LMPT's fc.py: raw]",
        )
        weight_init: WeightStart = Field(
            "zero", description="weights at the start: zero, or drawn as torch does; gradient only [fc.py: drawn]"
        )
        bias_init: BiasStart = Field(
            "log-odds",
            description="biases at the start: log-odds of the labels, zero, or drawn as torch does; gradient only "
            "[fc.py: drawn]",
        )
        score: Score = Field(
            "logits",
            description="what images are ranked by: logits, or log p of the softmax over classes [LMPT: softmax]",
        )
        images: Literal["backbone", "square"] = Field(
            "backbone",
            description="preprocessing of the backbone, or resized to a square with ImageNet's mean and deviation "
            "[LMPT's repository: square]",
        )
        schedule: Literal["cosine", "constant"] = Field(
            "cosine", description="course of the learning rate; gradient only [fc.py: falls at plateaus on test]"
        )
        lr: float = Field(1e-2, gt=0, description="learning rate of AdamW; gradient only")
        weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay of the weights; gradient only")
        epochs: int = Field(30, ge=1, description="passes over the training rows; gradient only")
        batch_size: int = Field(32, ge=1, description="rows a step; gradient only")
        augment: Literal["none", "flip"] = Field("none", description="training views of an image; gradient only")
        c: float | None = Field(None, gt=0, description="inverse regularisation strength; None chooses it; lbfgs only")
        c_grid: tuple[float, ...] = Field(
            (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
            min_length=1,
            description="values of C to choose from, for features of unit root mean square norm; lbfgs only",
        )
        c_choice: Literal["common", "per-class"] = Field(
            "common", description="one C of the lowest mean held-out log-loss, or one for each class; lbfgs only"
        )
        folds: int = Field(5, ge=2, description="folds of the stratified cross-validation; lbfgs only")
        max_iter: int = Field(1000, ge=1, description="iteration limit of L-BFGS; lbfgs only")

        def idle(self) -> frozenset[str]:
            """Of L-BFGS, what only the gradient solver looks at."""
            gradient = {"schedule", "lr", "weight_decay", "epochs", "batch_size", "augment"}
            return super().idle() | (gradient if self.solver == "lbfgs" else frozenset())

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Scaling of the features, and what the gradient solver is sensitive to; L-BFGS finds C by itself."""
        return {
            "features": Choice(("scaled", "l2")),
            "augment": Choice(("none", "flip")),
            "epochs": Choice((30, 60)),
            "weight_decay": Uniform(1e-5, 1e-1, log=True),
            "lr": Uniform(1e-3, 3e-2, log=True),
        }

    def needs(self) -> Needs:
        """Global features; unknown labels are skipped by both solvers, so the task's policy stands.

        Raises:
            UserError: another loss than binary cross-entropy is asked of L-BFGS.
        """
        config = self.config
        if config.solver == "lbfgs" and config.loss != "bce":
            raise UserError(f"loss={config.loss}: L-BFGS minimises the binary cross-entropy only", "-o solver=gradient")
        calibrated = config.loss in PROPER and config.score == "logits"
        return Needs(input="global", classes="fixed", calibrated=calibrated, images=config.images)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One stage."""
        config = self.config
        criterion = build_loss(config, context.stats, context.variant)
        head = ProbeModule(
            context.backbone.card.dim,
            context.stats,
            config.features,
            criterion,
            config.weight_init,
            config.bias_init,
            config.score,
        )
        if config.solver == "lbfgs":
            return [FitStage("fit", head, lambda data: self._fit(head, data), tuple(head.parameters()))]
        stage = GradientStage(
            "train",
            head,
            head.groups(config.lr, config.weight_decay, Schedule(config.schedule)),
            epochs=config.epochs,
            batch_size=config.batch_size,
            optimizer="adamw",
            augment=Augment(config.augment),
        )
        return [dealt(stage, criterion)]

    def _fit(self, head: ProbeModule, data: FitData) -> None:
        if head.features == "scaled":
            head.measure(data.scan())
        inputs, observed = data.gather()
        features = head.prepare(inputs.to(head.weight.device)).cpu().double().numpy()
        config = self.config
        fit = fit_logistic(
            features,
            observed.cpu().numpy(),
            grid=sorted(config.c_grid),
            folds=config.folds,
            choice=config.c_choice,
            c=config.c,
            max_iter=config.max_iter,
            reporter=data.reporter,
        )
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(fit.weight))
            head.bias.copy_(torch.from_numpy(fit.bias))
        head.chosen_c.copy_(torch.from_numpy(np.nan_to_num(fit.c)))
