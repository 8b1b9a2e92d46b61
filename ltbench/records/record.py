"""The record: one JSON file per attempt that says everything about a run, and a hash over all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, model_serializer, model_validator

from ltbench.method.origin import OLD_ORIGIN, parse_origin
from ltbench.plugin.names import Label, label_problem, shown
from ltbench.records.canonical import canonical_json, sha256_of
from ltbench.records.facts import (
    SEEN_BEFORE,
    BackboneFacts,
    Corrections,
    Cost,
    Environment,
    Facts,
    IntervalTable,
    LogitsFacts,
    MethodFacts,
    Percent,
    ScoreTable,
    Selection,
    Sha256,
    TaskFacts,
    Tuning,
)
from ltbench.records.versions import (
    FIRST_WITH_CODE,
    FIRST_WITH_CORRECTIONS,
    FIRST_WITH_DEVICE,
    FIRST_WITH_ORIGINS,
    WRITTEN,
    SchemaVersion,
)

Status = Literal["completed", "diverged", "failed"]


class RunContent(Facts):
    """Everything in a record but its own hash; make the record with :func:`seal`.

    Attributes:
        key: identity of the run, see :func:`run_key`; shared by all attempts.
        attempt: 1, 2, … under one key.
        created: UTC, ISO 8601 to the second.
        threads: CPU threads.
        device: its type (``cpu``, ``cuda``, ``mps``); its name is ``cost.device``.
        limit: only so many rows were used; such a run is never ranked.
        share: only this share of the training rows was used; such a run is never ranked. Left out where it was all.
        world_size: processes that worked on the run together; left out where it was one.
        accumulation: passes that training batches were cut into; left out where it was one.
        reason: why a run diverged or failed, one line.
        step: optimisation step at which a run diverged.
        scores: metric → subset → percent.
        intervals: same shape, 95 % bootstrap intervals over test images.
        excluded_classes: classes without a positive in the test labels.
        extras: what was used beyond images and observed labels (``captions``, ``GloVe`` …), see
            :mod:`ltbench.method.extras`.
        decisions: sha256 of the file of decisions, where a method leaves one.
        corrections: the decisions, judged; version 1 has none, version 2 always.
    """

    class_fields: ClassVar[frozenset[str]] = frozenset({"per_class_ap", "excluded_classes"})

    schema_version: SchemaVersion = WRITTEN
    key: Sha256
    attempt: int = Field(ge=1)
    created: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")
    task: TaskFacts
    method: MethodFacts
    backbone: BackboneFacts
    seed: int
    threads: int = Field(ge=1)
    device: str
    selection: Selection
    tuning: Tuning | None = None
    limit: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, lt=1)
    world_size: int | None = Field(default=None, ge=2)
    accumulation: int | None = Field(default=None, ge=2)
    status: Status
    reason: str | None = None
    step: int | None = Field(default=None, ge=0)
    scores: ScoreTable = Field(default_factory=dict)
    intervals: IntervalTable = Field(default_factory=dict)
    per_class_ap: dict[str, Percent | None] = Field(default_factory=dict)
    excluded_classes: tuple[str, ...] = ()
    cost: Cost
    environment: Environment
    extras: tuple[Label, ...] = ()
    logits: LogitsFacts | None = None
    decisions: Sha256 | None = None
    corrections: Corrections | None = None

    @model_serializer(mode="wrap")
    def _fields_of_the_version(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = rest(self)
        if self.schema_version < FIRST_WITH_CORRECTIONS:
            document.pop("corrections", None)
        for name in ("share", "world_size", "accumulation"):
            if document.get(name) is None:
                document.pop(name, None)
        if self.schema_version < FIRST_WITH_CODE:
            document["method"].pop("code_sha256", None)
        return document

    @model_validator(mode="after")
    def _of_its_version(self) -> RunContent:
        if (self.method.code_sha256 is not None) != (self.schema_version >= FIRST_WITH_CODE):
            raise ValueError(
                f"records of schema version {FIRST_WITH_CODE} have method.code_sha256, older ones have none"
            )
        if self.schema_version >= FIRST_WITH_DEVICE and not self.device.isalpha():
            raise ValueError(f"device is a type of device, not {self.device!r}")
        # Origins of older records are kept as they were stated.
        if self.schema_version >= FIRST_WITH_ORIGINS:
            parse_origin(self.method.origin)
        elif re.match(OLD_ORIGIN, self.method.origin) is None:
            raise ValueError(f"{self.method.origin!r} is no origin of schema version {self.schema_version}")
        return self

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunContent:
        if self.status == "completed":
            if not self.scores or self.logits is None:
                raise ValueError("a completed run has scores and logits")
            if "total" not in self.scores.get(self.task.headline, {}):
                raise ValueError(f"a completed run has a total of {self.task.headline}, by which its task ranks")
        elif not self.reason:
            raise ValueError(f"a run that {self.status} says why")
        if self.status == "diverged" and self.step is None:
            raise ValueError("a run that diverged names the step")
        if {m: set(s) for m, s in self.scores.items()} != {m: set(s) for m, s in self.intervals.items()}:
            raise ValueError("intervals have another shape than scores")
        always = self.schema_version == FIRST_WITH_CORRECTIONS
        if self.schema_version <= FIRST_WITH_CORRECTIONS and (self.corrections is not None) != always:
            raise ValueError("records of schema version 2 have corrections, those of version 1 have none")
        if self.corrections is not None and self.decisions is None:
            raise ValueError("corrections were judged from a file of decisions")
        without = {name for name, value in self.per_class_ap.items() if value is None}
        if without != set(self.excluded_classes):
            raise ValueError("excluded_classes are not the classes without an average precision")
        if info.context == SEEN_BEFORE:
            return self
        odd = next((name for name in self.per_class_ap if label_problem(name)), None)
        if odd is not None:
            raise ValueError(f"the class name {shown(odd)} is none: {label_problem(odd)}")
        return self


class RunRecord(RunContent):
    """A sealed record.

    Attributes:
        record_sha256: sha256 of the canonical JSON of all other fields.
    """

    record_sha256: Sha256

    def to_json(self) -> str:
        """The text of the file: canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))


def run_key(
    *,
    task: TaskFacts,
    method: MethodFacts,
    backbone: BackboneFacts,
    selection_rule: str,
    threads: int,
    seed: int,
    limit: int | None = None,
    share: float | None = None,
    extras: Sequence[str] = (),
    device: str | None = None,
    world_size: int | None = None,
    accumulation: int | None = None,
) -> str:
    """Identity of a run: sha256 (hex) over everything that decides its outcome.

    Task setting and fingerprints, recipe, distribution version, variant, resolved configuration, backbone with dtype,
    selection rule, threads, seed, limit, extras, the type of the device, and where there are such: share, number of
    processes, and of passes that a batch is cut into. How a configuration came about (preset, tuning) is not part of
    it, nor is the hash of the method's code.

    Args:
        device: ``None`` gives the key of schema versions 1 and 2, which leave the device out.
    """
    return sha256_of(
        {
            **({} if device is None else {"device": device}),
            **({} if share is None else {"share": share}),
            **({} if world_size is None else {"world_size": world_size}),
            **({} if accumulation is None else {"accumulation": accumulation}),
            "task": task.model_dump(mode="json", include={"name", "setting", "version", "contract", "fingerprints"}),
            "method": method.model_dump(
                mode="json", include={"name", "distribution", "version", "variant", "config", "unknown_policy"}
            ),
            "backbone": backbone.model_dump(
                mode="json", include={"name", "weights_sha256", "transform_sha256", "revision", "dtype"}
            ),
            "selection_rule": selection_rule,
            "threads": threads,
            "seed": seed,
            "limit": limit,
            "extras": sorted(extras),
        }
    )


def key_of(content: RunContent) -> str:
    """Recompute the key of a run from its record, by the formula of the record's schema version."""
    return run_key(
        task=content.task,
        method=content.method,
        backbone=content.backbone,
        selection_rule=content.selection.rule,
        threads=content.threads,
        seed=content.seed,
        limit=content.limit,
        share=content.share,
        extras=content.extras,
        world_size=content.world_size,
        accumulation=content.accumulation,
        device=content.device if content.schema_version >= FIRST_WITH_DEVICE else None,
    )


def seal(content: RunContent) -> RunRecord:
    """Close a record: add the hash over all other fields.

    Raises:
        ValueError: the key is not the one that the content gives.
    """
    if content.key != key_of(content):
        raise ValueError("the key of a record must be run_key of its content")
    document = content.model_dump(mode="json", exclude={"record_sha256"})
    return RunRecord.model_validate({**document, "record_sha256": sha256_of(document)})


def document_sha256(document: dict[str, Any]) -> str:
    """What ``record_sha256`` should be for a record read as plain JSON."""
    return sha256_of({name: value for name, value in document.items() if name != "record_sha256"})


def utc_now() -> str:
    """Now, as ``created`` states it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def schema_text() -> str:
    """JSON Schema of a record as committed in docs/reference/record.schema.json."""
    schema = RunRecord.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, sort_keys=True, indent=1, ensure_ascii=False) + "\n"
