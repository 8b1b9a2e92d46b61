"""What can be chosen in a configuration of HSPNet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ltbench.method import TrainingConfig
from ltbench_hspnet.labels import PromptForm
from ltbench_hspnet.module import BatchNormUse


class HSPNetConfig(TrainingConfig):
    """Options of all recipes. Sources in brackets: sections and tables of the paper, "release", or "ours"."""

    groups: Literal["auto", "task", "cluster", "random"] = Field(
        "auto",
        description="groups of classes: the task's (auto: clusters where it has none), clusters of text features,"
        " or the task's with classes dealt out at random [3.1; Table 4; Table 3, w/o LGP]",
    )
    clusters: int | None = Field(
        None, ge=1, description="number of clusters; null: as many as the task has groups, else sqrt(C) [ours]"
    )
    group_names: Literal["task", "numbers"] = Field(
        "task", description="names of groups in their prompts; numbers: group1, group2, … [Table 3, w/o GRP]"
    )
    prompts: PromptForm = Field(
        "group", description="context from the group, one for all classes, both in a row, or their sum [Table 5]"
    )
    context_tokens: int = Field(4, ge=1, description="context vectors N [release]")
    init: str | None = Field(
        "a photo of a",
        description="start of the context of all classes; null: N(0, 0.02^2); group: with meta_start only [ours]",
    )
    meta_hidden: int | None = Field(
        None, ge=1, description="hidden size of the meta network; null: N times the token's size [release]"
    )
    meta_start: Literal["random", "context"] = Field(
        "random",
        description="what the meta network gives at first: whatever its random weights give, or the context that "
        "init names (nothing, where the prompts add it) [release; ours]",
    )
    label_graph: bool = Field(True, description="refine the features of classes [3.2]")
    group_graph: bool = Field(True, description="refine the features of groups [3.2]")
    share_graph: bool | None = Field(
        None, description="one graph convolution for both; null: no (paper), yes (code) [3.2; release]"
    )
    graph_layers: int = Field(3, ge=1, description="graph convolutions L [release]")
    graph_hidden: int | None = Field(
        None, ge=1, description="size of a node between them; null: twice the text feature's [release]"
    )
    keep_share: float = Field(
        0.75, gt=0, le=1, description="K as a share of the nodes, the node itself counted [release]"
    )
    neighbour_share: float = Field(0.2, ge=0, le=1, description="weight r of all neighbours of a node [release]")
    residual: Literal["sum", "gate"] | None = Field(
        None, description="x + G(x), or g G(x) + (1 - g) x; null: sum (paper), gate (code) [3.2; release]"
    )
    gate: float = Field(0.9, description="g at the start; residual=gate only [release]")
    scale: float | None = Field(
        None, gt=0, description="factor of the cosine; null: the encoder's own (paper), 10 (code) [Eq. 10; release]"
    )
    learn_scale: bool | None = Field(
        None, description="learn the factor; null: yes (paper), no (code) [Eq. 10; release]"
    )
    loss: Literal["splc", "ll-r", "ll-ct"] = Field(
        "splc",
        description="SPLC's, or cross-entropy without the unknown labels of largest loss, or with these turned for the "
        "moment (LargeLoss) [3.3; Table 1, LargeLoss*: its form is ours]",
    )
    ll_delta: float = Field(
        0.002, ge=0, le=1, description="growth an epoch of the share of entries taken; ll-* [LargeLoss: 0.001 to 0.005]"
    )
    tau: float = Field(0.6, ge=0, le=1, description="probability from which an unknown label is present; splc [3.3]")
    change_epoch: int = Field(1, ge=0, description="first epoch in which labels are rewritten; splc [release]")
    margin: float = Field(1.0, ge=0, description="margin of present labels, in logits; splc [3.3]")
    gamma: float = Field(2.0, ge=0, description="focusing exponent; splc [3.3]")
    unknown: Literal["assume", "ignore"] = Field(
        "assume", description="unknown labels: absent until rewritten, or left out [3.3; ours]"
    )
    train_encoder: bool = Field(True, description="train the image tower as well [3.3]")
    freeze: tuple[str, ...] = Field((), description="parts of the image tower left alone [release: none]")
    batch_norm: BatchNormUse = Field(
        "from-second",
        description="statistics of pre-training, of the batch, or of the batch from the second epoch on [release]",
    )
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="optimiser [4.1]")
    lr: float = Field(1e-4, gt=0, description="highest learning rate [4.1]")
    graph_lr: float | None = Field(
        None, gt=0, description="that of the graphs; null: as lr (paper), 5 lr (code) [4.1; release, COCO]"
    )
    weight_decay: float = Field(1e-4, ge=0, description="of parameters with two or more axes [release]")
    epochs: int = Field(30, ge=1, description="passes over the rows [A.2; release: 60]")
    schedule_epochs: int | None = Field(
        None, ge=1, description="epochs the one-cycle schedule is laid out for; null: all [release: 80]"
    )
    warm_share: float = Field(0.2, ge=0, lt=1, description="share of the schedule with a rising rate [release]")
    cycle_momentum: bool = Field(
        True, description="first beta of Adam from 0.95 to 0.85 and back, against the rate; else 0.9 [release]"
    )
    batch_size: int = Field(128, ge=1, description="rows a step [4.1]")
    ema_epoch: float | None = Field(
        0.82, gt=0, lt=1, description="what an average of parameters keeps over an epoch; null: none [release]"
    )
    ema_buffers: bool = Field(True, description="average batch statistics as well as parameters [release]")
    ema_steps: int | None = Field(
        None, ge=1, description="steps of an epoch for it; null: as many as there are [release: a table]"
    )
    # Wider than the base's choice: what the paper states, and the variant's.
    augment: Literal["live", "flip", "none"] | None = Field(  # type: ignore[assignment]
        None, description="random crops, mirrored images, or none; null: live (paper), none (code) [4.1; release]"
    )
    images: Literal["backbone", "squeezed"] = Field(
        "backbone", description="the encoder's preprocessing, or whole images squeezed to a square [release]"
    )
    image_size: int | None = Field(
        None, ge=32, description="side in pixels, squeezed only; null: the encoder's own [A.2: 448, partial labels]"
    )
    chunk: int = Field(1024, ge=1, description="prompts that are encoded at a time; changes memory only [ours]")

    @model_validator(mode="after")
    def _consistent(self) -> HSPNetConfig:
        if self.prompts == "single" and self.group_graph:
            raise ValueError("group_graph: prompts=single uses no groups, so it needs group_graph=false")
        if self.schedule_epochs is not None and self.schedule_epochs < self.epochs:
            raise ValueError(f"schedule_epochs: shorter than the {self.epochs} epochs of training")
        if self.image_size is not None and self.images != "squeezed":
            raise ValueError("image_size goes with images=squeezed")
        if self.loss != "splc" and self.unknown == "ignore":
            raise ValueError(f"unknown: {self.loss} picks among unknown labels, which ignore leaves out")
        return self

    def unstated(self) -> frozenset[str]:
        """The start and the loss that there were before one could choose."""
        start = {"meta_start"} if self.meta_start == "random" else set()
        return frozenset(start | ({"loss", "ll_delta"} if self.loss == "splc" else set()))
