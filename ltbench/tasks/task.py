"""What is asked: a versioned problem with a fixed split, label protocol, class groups, metrics and selection rule."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ltbench.tasks.groups import GroupRule
from ltbench.tasks.protocols import LabelProtocol

Family = Literal["ltml", "plt", "spml", "partial", "zero-shot", "custom"]
UnknownPolicy = Literal["ignore", "assume-negative", "own"]


class Frozen(BaseModel):
    """Base of everything a task is made of: immutable, and extra keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fingerprints(Frozen):
    """Separate sha256 (hex) of everything a task fixes; ``None`` where it is not pinned or does not apply.

    Attributes:
        class_names: names joined by newlines, column order.
        train_ids: ids of the training rows, in order.
        observed_labels: int8 matrix that the method sees.
        train_labels: complete training labels.
        val_ids: ids of the validation rows, where validation is a part or a hold-out.
        test_ids: ids of the test rows, in order.
        test_labels: true test labels.
        captions: captions of the training rows.
        groups: head/medium/tail (or seen/unseen) by class name.
        images: bytes of all images (a user's folder, generated data).
    """

    class_names: str | None = None
    train_ids: str | None = None
    observed_labels: str | None = None
    train_labels: str | None = None
    val_ids: str | None = None
    test_ids: str | None = None
    test_labels: str | None = None
    captions: str | None = None
    groups: str | None = None
    images: str | None = None


class Validation(Frozen):
    """Where a method's own choices may look: never at the test part.

    Attributes:
        kind: ``none``; ``part`` (a part of the data set); ``holdout`` (a seeded share of the training rows).
        part: name of the part.
        fraction: share of the training rows held out, in (0, 1).
        labels: ``clean`` (complete) or ``observed`` (through the label protocol).
        classes: zero-shot only: seen classes withheld from training while tuning, and validated on.
    """

    kind: Literal["none", "part", "holdout"] = "none"
    part: str | None = None
    fraction: float | None = Field(default=None, gt=0, lt=1)
    labels: Literal["clean", "observed"] = "clean"
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Validation:
        if (self.kind == "part") != (self.part is not None):
            raise ValueError("validation kind 'part' needs a part, the others take none")
        if (self.kind == "holdout") != (self.fraction is not None):
            raise ValueError("validation kind 'holdout' needs a fraction, the others take none")
        return self


class Task(Frozen):
    """A versioned problem. ``address`` is how people name it: ``shapes-plt@mr40``.

    Attributes:
        data_set: name of the data set.
        train_part: part with the training rows.
        test_part: part with the test rows.
        classes: class names in column order; a subset of the data set's for tasks that leave classes out.
        unseen: zero-shot only: classes that appear at test only. Training keeps the rows selected by ``train_rows``.
        train_rows: ``all``, or ``seen-only``: rows that show no unseen class.
        protocol: how complete labels become observed ones.
        mask_seed: seed of the masks; belongs to the version, not to the run.
        unknown_policy: what a method does with 0 unless it says otherwise.
        groups: how classes are grouped.
        metrics: names of the contract's metrics that are reported.
        headline: the metric that ranks.
        captions: ``given`` (the data set's own), ``observed`` (made from observed labels) or ``none``.
        fingerprints: pinned hashes.
        unpinned: field of ``fingerprints`` → why it cannot be pinned.
        ranked: rows may be ranked as official.
        traps: what people get wrong about this task, one line each.
    """

    name: str
    version: int = Field(ge=1)
    family: Family
    title: str
    setting: str | None = None
    data_set: str
    train_part: str
    test_part: str
    classes: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    train_rows: Literal["all", "seen-only"] = "all"
    protocol: LabelProtocol
    mask_seed: int = 0
    unknown_policy: UnknownPolicy = "ignore"
    groups: GroupRule
    metrics: tuple[str, ...] = ("mAP",)
    headline: str = "mAP"
    contract: int = 1
    validation: Validation = Validation()
    selection: Literal["last"] = "last"
    captions: Literal["given", "observed", "none"] = "none"
    fingerprints: Fingerprints = Fingerprints()
    unpinned: dict[str, str] = Field(default_factory=dict)
    ranked: bool = True
    licence: str = ""
    traps: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Task:
        if self.headline not in self.metrics:
            raise ValueError(f"headline {self.headline!r} is not among the metrics {self.metrics}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("class names repeat")
        stray = [name for name in (*self.unseen, *self.validation.classes) if name not in self.classes]
        if stray:
            raise ValueError(f"unseen or validation classes {stray} are not classes of the task")
        if self.captions == "given" and self.protocol.kind != "full":
            raise ValueError("captions name what a mask hides: only protocol 'full' may use given captions")
        if bool(self.unseen) != (self.protocol.kind == "seen-only"):
            raise ValueError("unseen classes and protocol 'seen-only' go together")
        unknown = set(self.unpinned) - set(Fingerprints.model_fields)
        if unknown:
            raise ValueError(f"unpinned names no fingerprint: {sorted(unknown)}")
        return self

    @property
    def address(self) -> str:
        """Name with setting, as typed on the command line."""
        return self.name if self.setting is None else f"{self.name}@{self.setting}"

    @property
    def seen(self) -> tuple[str, ...]:
        """Classes whose names and labels exist in training."""
        return tuple(name for name in self.classes if name not in set(self.unseen))

    @property
    def official(self) -> bool:
        """Fully pinned and meant to be ranked."""
        return self.ranked and not self.unpinned
