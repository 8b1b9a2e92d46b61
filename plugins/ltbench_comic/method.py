"""COMIC: a corrector, a multi-focal loss and a balanced model between a head and a tail model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from ltbench.losses import FocalFactors, MultiFocalLoss
from ltbench.method import (
    Choice,
    Context,
    Method,
    Needs,
    ParamGroup,
    SearchSpace,
    Stage,
    Uniform,
)
from ltbench.nn import AdditiveAttention, MultiHeadCosine
from ltbench_comic.balancer import HeadTailBalancer
from ltbench_comic.corrector import Average, ReflectiveLabelCorrector
from ltbench_comic.module import (
    BALANCED,
    HEAD,
    TAIL,
    AssumedAbsent,
    ComicModule,
    LinearClassifier,
    StreamModel,
    Weights,
)
from ltbench_comic.plain_losses import PlainLossConfig, build_plain_loss
from ltbench_comic.towers import TowersConfig


class Comic(Method):
    """Learns three heads on the features of one frozen image tower, or of a tower each, from observed labels.

    Source: Zhang et al., Learning in Imperfect Environment: Multi-Label Classification with Long-Tailed Distribution
    and Partial Labels, ICCV 2023, and the released code (wannature/COMIC, 1de14e5) with its later experiments undone.
    """

    class Config(TowersConfig):
        """Options. Sources in brackets: "release" is its configuration for COCO (VOC), "paper" a section or equation.

        Where the default is null, the variant decides; its values are stated as code / paper.
        """

        model: Literal["comic", "head", "tail"] = Field(
            "comic", description="all three models, or the head or the tail model alone [paper: Table 1]"
        )
        rlc: bool = Field(True, description="label corrector [paper: Table 2]")
        mfm: Literal["full", "pn", "ht", "off"] = Field(
            "full",
            description="multi-focal loss with both factors, with the positive-negative or the head-tail one alone "
            "[paper: Table 4], or cross-entropy in its place [paper: Table 2]",
        )
        loss: Literal["mfm", "bce", "focal", "asl", "db", "db-focal", "hill"] = Field(
            "mfm",
            description="the multi-focal loss, or another in all of its places, with the constants of plt-NAME "
            "[paper: Fig. 4a]",
        )
        htb: bool = Field(
            True, description="head and tail model, attention and balancer; without, a balanced model [paper: Table 2]"
        )
        classifier: Literal["cosine", "linear"] = Field(
            "cosine",
            description="normalised classifiers, or linear ones with a bias [paper: Table 6, NC; reading ours]",
        )
        heads: int = Field(1, ge=1, description="heads N_g of the classifiers, a divisor of feature_dim [release]")
        momentum: float = Field(0.9, ge=0, lt=1, description="decay mu of the moving vectors [release]")
        head_effect: float = Field(1.0, ge=0, description="times the moving vector is taken off [release]")
        tail_effect: float = Field(2.0, ge=0, description="times the moving vector is added [release]")
        attention: float | None = Field(
            None, ge=0, description="weight of the attention in the balanced features [code 0.1 / paper 1, Eq. 8]"
        )
        attention_dropout: float = Field(0.1, ge=0, lt=1, description="of the attention's weights [release]")
        gamma_pos: float = Field(0.0, ge=0, description="focusing of present labels [release]")
        gamma_neg: float = Field(3.0, ge=0, description="focusing of all others [release]")
        weight_pos: float = Field(0.0, ge=0, description="of the head-tail factor in the first [release]")
        weight_neg: float = Field(1.0, ge=0, description="of the head-tail factor in the second [release]")
        exponent: float = Field(1 / 3, ge=0, description="exponent of the head-tail factor [release]")
        rlc_exponent: float | None = Field(None, ge=0, description="the corrector's [code 1/6 / paper 1/3]")
        weighted: bool | None = Field(None, description="multiply by the head-tail factor [code true / paper false]")
        detach: bool | None = Field(None, description="no gradient through powers [code true / paper false]")
        cooccurrence: bool | None = Field(None, description="shares of co-occurrence [code true / paper has none]")
        clip: float = Field(0.05, ge=0, lt=1, description="shift of absent probabilities; code only [release]")
        boost: float = Field(1.2, ge=1, description="factor where classes co-occur; code only [release]")
        tau: float = Field(0.7, ge=0, le=1, description="probability to exceed in the corrector [release, paper 4.3]")
        average: Average = Field(
            "batch",
            description="rows whose mean probability is to be exceeded as well: of the batch, all before it, or those "
            "before it in which the class is present [release: batch; paper, Eq. 2: past data with class c]",
        )
        margin: float | None = Field(
            None, ge=0, description="taken off logits of present labels in the corrector [code 1 / paper 0]"
        )
        rlc_rows: int | None = Field(
            None, ge=1, description="numerator of the corrector's coefficient [code 32 / paper: rows of the batch]"
        )
        rlc_weight: float = Field(0.2, ge=0, description="lambda_c [release]")
        htb_weight: float = Field(1.0, ge=0, description="lambda_b [release, as read]")
        htb_power: float = Field(2.0, ge=0, description="alpha: power of the losses in kappa [release, paper 4.3]")
        htb_mode: Literal["product", "soft-ce"] = Field(
            "product", description="softmaxes' product as a logit, or cross-entropy to each teacher [release: product]"
        )
        common_weight: float = Field(
            0.0, ge=0, description="of the mean of the models' multi-focal losses [release, as read: 0; at HEAD: 1]"
        )
        attention_step: int = Field(18, ge=1, description="the same: attention [release]")
        head_step: int = Field(24, ge=1, description="the same: head model [release: 24 (12); alone 40 (12)]")
        tail_step: int = Field(12, ge=1, description="the same: tail model [release: 12 (24); alone 12 (35)]")

        @model_validator(mode="after")
        def _one_loss(self) -> Comic.Config:
            if self.loss != "mfm" and self.mfm != "full":
                raise ValueError(f"mfm={self.mfm}: a part of the loss that loss={self.loss} takes the place of")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, weight decay and the corrector's threshold; the rest stays the published one."""
        return {
            "lr": Uniform(5e-4, 1e-2, log=True),
            "classifier_lr": Uniform(1e-4, 1e-2, log=True),
            "weight_decay": Uniform(1e-6, 1e-3, log=True),
            "tau": Choice((0.6, 0.7, 0.8)),
        }

    def needs(self) -> Needs:
        """Global features, or images for towers that are trained. Unknown labels, which it corrects, arrive as such.

        The loss puts its probabilities elsewhere than where labels are, on purpose, so that they decide nothing at 1/2.
        """
        given: Literal["global", "image"] = "global" if self.config.towers == "frozen" else "image"
        return Needs(input=given, classes="fixed", unknown="own", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage with a named parameter group for each part of each model."""
        config = self.config
        module = build(config, context)
        return [config.frozen_stage("comic", module, groups(config, module))]


def factors(config: Comic.Config, variant: Literal["paper", "code"]) -> FocalFactors:
    """Constants of the multi-focal loss; a factor that is switched off takes its part of exponent and weight along."""
    found = FocalFactors(
        gamma_pos=config.gamma_pos,
        gamma_neg=config.gamma_neg,
        weight_pos=config.weight_pos,
        weight_neg=config.weight_neg,
        exponent=config.exponent,
        weighted=config.weighted,
        detach=config.detach,
        clip=config.clip,
        boost=config.boost,
        variant=variant,
    )
    if config.mfm in ("pn", "off"):
        found = replace(found, weight_pos=0.0, weight_neg=0.0, weighted=False)
    if config.mfm in ("ht", "off"):
        found = replace(found, gamma_pos=0.0, gamma_neg=0.0)
    return replace(found, clip=0.0, boost=1.0) if config.mfm == "off" else found


def build(config: Comic.Config, context: Context) -> ComicModule:
    """The module of a configuration, its constants counted over observed labels."""
    code = context.variant == "code"
    counts = np.maximum(1, context.stats.positives)
    constants = factors(config, context.variant)
    together = code if config.cooccurrence is None else config.cooccurrence and code
    other = None if config.loss == "mfm" else AssumedAbsent(other_loss(config, context), torch.from_numpy(counts))
    criterion = other or MultiFocalLoss(
        counts,
        factors=constants,
        cooccurrence=torch.from_numpy(context.stats.cooccurrence) if together and config.mfm != "off" else None,
        reduction="sum",
    )
    exponent = (1 / 6 if code else config.exponent) if config.rlc_exponent is None else config.rlc_exponent
    corrected = replace(constants, exponent=exponent)

    def corrector() -> ReflectiveLabelCorrector | None:
        if not config.rlc:
            return None
        return ReflectiveLabelCorrector(
            torch.from_numpy(counts),
            corrected,
            tau=config.tau,
            margin=float(code) if config.margin is None else config.margin,
            rows=(32 if code else None) if config.rlc_rows is None else config.rlc_rows,
            per_corrected=not code,
            average=config.average,
            criterion=other,
        )

    effects = {HEAD: -config.head_effect, TAIL: config.tail_effect, BALANCED: 0.0}
    joint = config.model == "comic" and config.htb
    names = (HEAD, TAIL, BALANCED) if joint else (BALANCED if config.model == "comic" else config.model,)
    models = {}
    for name in names:
        classifier = build_classifier(config, len(context.class_names))
        models[name] = StreamModel(context.backbone.card.dim, classifier, config.momentum, effects[name], corrector())
    attention = (0.1 if code else 1.0) if config.attention is None else config.attention
    weights = Weights(config.rlc_weight, config.htb_weight, config.common_weight, attention)
    return ComicModule(
        models,
        criterion,
        HeadTailBalancer(criterion, config.htb_power, config.htb_mode) if joint and config.htb_weight else None,
        AdditiveAttention(config.feature_dim, dropout=config.attention_dropout) if joint and attention else None,
        weights,
        context.stats.rows,
        config.own_towers(names, context.backbone),
    )


def build_classifier(config: Comic.Config, classes: int) -> MultiHeadCosine | LinearClassifier:
    """The classifier of one model."""
    if config.classifier == "linear":
        return LinearClassifier(config.feature_dim, classes)
    return MultiHeadCosine(config.feature_dim, classes, config.heads, config.scale, config.eta)


def other_loss(config: Comic.Config, context: Context) -> nn.Module:
    """The loss that takes the multi-focal one's places, as the recipe ``plt-NAME`` has it."""
    return build_plain_loss(PlainLossConfig.model_validate({"loss": config.loss}), context.stats, context.variant)


def groups(config: Comic.Config, module: ComicModule) -> list[ParamGroup]:
    """Seven groups for three models: features and classifier of each, and the attention; a trained tower adds one.

    A tower's rate falls when that of the features behind it does.
    """
    steps = {
        HEAD: (config.head_step, config.head_step),
        TAIL: (config.tail_step, config.tail_step),
        BALANCED: (config.balanced_step, config.classifier_step),
    }
    found = []
    for name in module.models:
        model = module.stream(name)
        of_features, of_classifier = steps[name]
        found.append(config.step_group(f"{name}-features", list(model.linear.parameters()), config.lr, of_features))
        classifier = list(model.classifier.parameters())
        found.append(config.step_group(f"{name}-classifier", classifier, config.classifier_lr, of_classifier))
        tower = module.tower(name)
        if tower is not None:
            found.append(config.step_group(f"{name}-tower", tower.trained(), config.tower_lr, of_features))
    if module.attention is not None:
        attention = list(module.attention.parameters())
        found.append(config.step_group("attention", attention, config.lr, config.attention_step))
    return found
