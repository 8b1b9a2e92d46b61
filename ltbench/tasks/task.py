"""What is asked: a versioned problem with a fixed split, label protocol, class groups, metrics and selection rule."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ltbench.data.getting.sources import Source
from ltbench.plugin.names import Label, Name
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
        unused: of the part, only this many rows that training leaves out, drawn by hash; None for the whole part.
        fraction: share of the training rows held out, in (0, 1).
        draw: of the hold-out: ``hashed`` (our own; independent of the order of rows) or ``cole`` (RandomState(1200) of
            Cole et al. and LargeLoss, which goes by row order).
        tuning_only: rows are held out while tuning only; a final run trains on all rows and has no validation.
        labels: what a search judges by: ``clean`` (complete) or ``observed`` (through the label protocol). A final run
            shows observed labels, or clean ones where a row is to say so.
        classes: zero-shot only: seen classes withheld from training while tuning, and validated on.
    """

    kind: Literal["none", "part", "holdout"] = "none"
    part: str | None = None
    unused: int | None = Field(default=None, ge=1)
    fraction: float | None = Field(default=None, gt=0, lt=1)
    draw: Literal["hashed", "cole"] = "hashed"
    tuning_only: bool = False
    labels: Literal["clean", "observed"] = "clean"
    classes: tuple[str, ...] = ()

    @property
    def in_final_runs(self) -> bool:
        """Whether a run that counts has validation rows, not just a search."""
        return self.kind != "none" and not self.tuning_only

    @property
    def summary(self) -> str:
        """One line for cards."""
        if self.kind == "none":
            return "none"
        if self.kind == "part":
            rows = f"part {self.part}" if self.unused is None else f"{self.unused} rows of {self.part} not trained on"
        else:
            drawn = ", drawn by RandomState(1200)" if self.draw == "cole" else ""
            rows = f"{self.fraction:.0%} of the training rows{drawn}"
        withheld = f", over {len(self.classes)} seen classes withheld for it" if self.classes else ""
        when = "while tuning only: " if self.tuning_only else ""
        return f"{when}{rows}, labels {self.labels}{withheld}"

    @model_validator(mode="after")
    def _complete(self) -> Validation:
        if (self.kind == "part") != (self.part is not None):
            raise ValueError("validation kind 'part' needs a part, the others take none")
        if (self.kind == "holdout") != (self.fraction is not None):
            raise ValueError("validation kind 'holdout' needs a fraction, the others take none")
        if self.unused is not None and self.kind != "part":
            raise ValueError("only validation kind 'part' takes unused rows")
        if self.kind != "holdout" and (self.draw != "hashed" or self.tuning_only):
            raise ValueError("only validation kind 'holdout' is drawn, or kept for tuning")
        return self


class PublishedFile(Frozen):
    """A file that authors released, which defines a part of a task or is what a task can be checked against.

    Attributes:
        role: ``train`` and ``test`` list rows, in order; ``observed`` lists training rows with the labels that a method
            sees; ``captions`` has a caption of each training row; ``validation`` lists the images that unused rows of a
            validation part are drawn from.
        use: ``defines`` (the task takes its rows, labels or captions from it) or ``checks`` (the task rebuilds them,
            and cards and tests compare).
        labels: the class numbers in it are complete labels, and a defining file's are the task's.
        name: short name for people; no slashes.
        origin: ``github:<owner>/<repo>@<commit>:<path>`` or an address.
        sha256: of the file, or None where it is not known; then ``unpinned`` says why.
        size: bytes; None if unknown.
        licence: licence or terms of use, one line.
        unpinned: why there is no sha256.
    """

    role: Literal["train", "test", "observed", "captions", "validation"]
    use: Literal["defines", "checks"] = "defines"
    labels: bool = False
    name: str
    origin: str
    sha256: str | None
    size: int | None
    licence: str
    unpinned: str = ""

    @property
    def source(self) -> Source:
        """The file as something to fetch."""
        return Source(self.name, self.origin, self.sha256, self.size, self.licence, unpinned=self.unpinned)


class Counts(Frozen):
    """Rows, and present labels per class, as counted when the task was pinned; empty where that could not be.

    Attributes:
        train: [C] of complete training labels.
        observed: [C] of observed training labels, over the seen classes.
        test: [C] of test labels.
        train_rows: number of training rows (without validation), ``val_rows`` and ``test_rows`` alike.
    """

    train: tuple[int, ...] = ()
    observed: tuple[int, ...] = ()
    test: tuple[int, ...] = ()
    train_rows: int | None = None
    val_rows: int | None = None
    test_rows: int | None = None


#: Roles of published files that some runs do without, and the fingerprint of what they give.
_OPTIONAL = {"captions": "captions", "validation": "val_ids"}

_TARGET = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


class Task(Frozen):
    """A versioned problem. ``address`` is how people name it: ``shapes-plt@mr40``.

    Attributes:
        data_set: name of the data set with the training rows.
        test_data_set: the one with the test rows, where it is another.
        train_part: part with the training rows.
        test_part: part with the test rows.
        select: ``module:function``, called as ``(ids, labels int8 [N, C]) -> row numbers``: which rows of the training
            part are meant, in which order; pure. None for all, or for those of a published list.
        test_select: the same for the test part. It is given labels, and only row numbers leave it.
        classes: class names in column order; a subset of the data set's for tasks that leave classes out.
        unseen: zero-shot only: classes that appear at test only. Training keeps the rows selected by ``train_rows``.
        train_rows: ``all``; ``any-seen``: rows that show a seen class; ``seen-only``: those of them that show no unseen
            one.
        difficult: Pascal VOC only: how objects marked "difficult" count, in training and test; ``unjudged``: as present
            in training, and not at all (unknown) at test.
        protocol: how complete labels become observed ones.
        mask_seed: seed of the masks; belongs to the version, not to the run.
        mask_namespace: name under which masks are drawn; by default ``<name>.v<version>``, the same for all settings.
        unknown_policy: what a method does with 0 unless it says otherwise.
        groups: how classes are grouped.
        metrics: names of the contract's metrics that are reported.
        headline: the metric that ranks.
        captions: ``given`` (the data set's own), ``observed`` (made from observed labels) or ``none``.
        published: files that authors released.
        notes: how it is built, one line each.
        counts: what was counted when it was pinned.
        fingerprints: pinned hashes.
        unpinned: field of ``fingerprints`` → why it cannot be pinned.
        ranked: rows may be ranked as official.
        traps: what people get wrong about this task, one line each.
    """

    name: Name
    version: int = Field(ge=1)
    family: Family
    title: str
    setting: Name | None = None
    data_set: str
    test_data_set: str | None = None
    train_part: str
    test_part: str
    select: str | None = None
    test_select: str | None = None
    classes: tuple[Label, ...]
    unseen: tuple[str, ...] = ()
    train_rows: Literal["all", "any-seen", "seen-only"] = "all"
    difficult: Literal["positive", "negative", "unknown", "unjudged"] | None = None
    protocol: LabelProtocol
    mask_seed: int = 0
    mask_namespace: str | None = None
    unknown_policy: UnknownPolicy = "ignore"
    groups: GroupRule
    metrics: tuple[str, ...] = ("mAP",)
    headline: str = "mAP"
    contract: int = 1
    validation: Validation = Validation()
    selection: Literal["last"] = "last"
    captions: Literal["given", "observed", "none"] = "none"
    published: tuple[PublishedFile, ...] = ()
    notes: tuple[str, ...] = ()
    counts: Counts = Counts()
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

    @model_validator(mode="after")
    def _rows_are_defined_once(self) -> Task:
        for target in (self.select, self.test_select):
            if target is not None and not _TARGET.match(target):
                raise ValueError(f"row rule {target!r} is not of the form 'module:function'")
        defining = [file.role for file in self.published if file.use == "defines"]
        if len(set(defining)) != len(defining) or {"train", "observed"} <= set(defining):
            raise ValueError(f"two published files define the same rows, labels or captions: {defining}")
        if "validation" in defining and self.validation.unused is None:
            raise ValueError("a file of validation images needs validation by unused rows")
        if "captions" in defining and self.captions != "given":
            raise ValueError("a file of captions needs captions 'given'")
        if (getattr(self.protocol, "draw", None) == "published") != ("observed" in defining):
            raise ValueError("draw 'published' and a file of observed labels go together")
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
    def data_sets(self) -> tuple[str, ...]:
        """Names of the data sets it needs."""
        both = (self.data_set, self.test_data_set)
        return tuple(dict.fromkeys(name for name in both if name is not None))

    @property
    def sources(self) -> tuple[Source, ...]:
        """The published files that it needs, as sources to fetch; those it is only checked against are not needed."""
        return tuple(file.source for file in self.published if file.use == "defines")

    def defining(self, *roles: str) -> PublishedFile | None:
        """The published file that defines one of these, or None."""
        found = (file for file in self.published if file.use == "defines" and file.role in roles)
        return next(found, None)

    def read_with(self, *, captions: bool, validation: bool) -> Task:
        """The task as a run reads it that uses no captions, or no validation rows, so that it asks for no list of them.

        Only lists are left out of which the task pins what they give, so that a run can still state it: by
        :meth:`stating`.

        Args:
            captions: the run uses them.
            validation: the run uses validation rows.
        """
        unused = {"captions": not captions, "validation": not validation}
        left = {role for role, field in _OPTIONAL.items() if unused[role] and self._is_told(role, field)}
        if not left:
            return self
        changes: dict[str, Any] = {"published": tuple(file for file in self.published if file.role not in left)}
        if "captions" in left:
            changes["captions"] = "none"
        if "validation" in left:
            changes["validation"] = Validation()
        return self.model_copy(update=changes)

    def stating(self, found: Fingerprints, read: Task) -> Fingerprints:
        """Fingerprints as found, and as pinned for what was not read (see :meth:`read_with`)."""
        unread = [field for role, field in _OPTIONAL.items() if self.defining(role) and not read.defining(role)]
        return found.model_copy(update={field: getattr(self.fingerprints, field) for field in unread})

    def _is_told(self, role: str, field: str) -> bool:
        return self.defining(role) is not None and getattr(self.fingerprints, field) is not None

    @property
    def official(self) -> bool:
        """Fully pinned and meant to be ranked."""
        return self.ranked and not self.unpinned
