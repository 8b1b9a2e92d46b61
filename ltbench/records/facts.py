"""What a record states about task, method, backbone and circumstances of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from ltbench.metrics.versions import LogitsDtype
from ltbench.plugin.names import Label, Name
from ltbench.records.canonical import find_path

if TYPE_CHECKING:
    from ltbench.backbones.base import BackboneCard
    from ltbench.tasks.task import Task

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Percent = Annotated[float, Field(ge=0, le=100)]
Interval = tuple[Percent, Percent]
#: metric → subset → percent, ``None`` where undefined.
ScoreTable = dict[str, dict[str, Percent | None]]
IntervalTable = dict[str, dict[str, Interval | None]]

#: Ends the name of a preset on which options of one's own were laid.
OVERRIDDEN: Final = "+overrides"


#: Context of a validation of the very bytes that passed one before: their texts are not searched again.
SEEN_BEFORE: Final = {"content": "seen before"}


class Facts(BaseModel):
    """Base of everything a record holds: immutable, extra keys are errors, numbers are finite, no text names a path."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Fields that hold names of classes, which may look like paths and are none.
    class_fields: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_paths(self, info: ValidationInfo) -> Facts:
        if info.context == SEEN_BEFORE:
            return self
        where = find_path(self.model_dump(exclude=set(self.class_fields)))
        if where is not None:
            raise ValueError(f"{where} holds a file path; records name no paths")
        return self


class TaskFacts(Facts):
    """The task as it was run.

    Attributes:
        name: without the setting.
        setting: ``None`` for a task without settings.
        fingerprints: sha256 by name, as found when the task was opened, or as pinned where the run did not read a list
            of captions or validation rows; ``None`` where it does not apply.
        unpinned: fingerprint → why the task cannot pin it; such tasks are marked and not ranked.
        contract: version of the metric contract.
        headline: the metric that ranks.
        ranked: the task is meant to be ranked at all.
    """

    name: Name
    setting: Name | None
    version: int = Field(ge=1)
    family: Label
    fingerprints: dict[str, Sha256 | None]
    unpinned: dict[str, str] = Field(default_factory=dict)
    contract: int
    headline: str = "mAP"
    ranked: bool = True

    @property
    def address(self) -> str:
        """Name with setting, as typed on the command line."""
        return self.name if self.setting is None else f"{self.name}@{self.setting}"

    @classmethod
    def of(cls, task: Task, fingerprints: Mapping[str, str | None]) -> TaskFacts:
        """State a task with its fingerprints as found."""
        return cls(
            name=task.name,
            setting=task.setting,
            version=task.version,
            family=task.family,
            fingerprints=dict(fingerprints),
            unpinned=dict(task.unpinned),
            contract=task.contract,
            headline=task.headline,
            ranked=task.ranked,
        )


class MethodFacts(Facts):
    """The recipe as it was run.

    Attributes:
        distribution: installed distribution that registered the recipe, with its ``version``.
        preset: name of the preset, or ``None``.
        origin: see :mod:`ltbench.method.origin`; records of schema versions 1 and 2 have the old grammar named there.
        config: the resolved configuration.
        deterministic: the seed changes nothing.
        calibrated: logits mean probability = sigmoid(logit).
        unknown_policy: what became of unknown labels.
        code_sha256: of the code that registered the recipe, see :func:`ltbench.plugin.code.code_sha256`; in records of
            version 3 and later.
    """

    name: Name
    distribution: Label
    version: Label
    variant: Literal["paper", "code"]
    preset: Label | None = None
    origin: str = Field(default="default", pattern=r"^(published\(.+\)|tuned\(\d+.*\)|transferred\(.+\)|default)$")
    config: dict[str, JsonValue]
    deterministic: bool
    calibrated: bool
    unknown_policy: Literal["ignore", "assume-negative", "own"]
    code_sha256: Sha256 | None = None


class BackboneFacts(Facts):
    """The card of the backbone, with the fingerprint of its preprocessing."""

    name: Label
    offers: tuple[str, ...]
    dim: int
    region_dim: int | None = None
    image_size: int | None = None
    weights: str
    weights_sha256: Sha256
    transform: str
    transform_sha256: Sha256
    revision: str
    pretraining: str
    dtype: str
    ranked: bool
    licence: str = ""

    @classmethod
    def of(cls, card: BackboneCard) -> BackboneFacts:
        """State the card of an opened backbone."""
        return cls.model_validate({**card.model_dump(), "transform_sha256": card.transform_sha256})


class Selection(Facts):
    """Which epoch counts.

    Attributes:
        rule: ``last``, or ``validation``: the best on validation rows by the task's headline metric, the first of
            equals.
        epoch: that epoch, 1-based, and ``score`` its figure on these rows, in percent; left out with ``last``.
        oracle: best-epoch-on-test scores of ``--audit-selection``: shown, never ranked; ``None`` without an audit.
        oracle_epoch: that epoch, 1-based.
    """

    rule: str
    oracle: ScoreTable | None = None
    oracle_epoch: int | None = None
    epoch: int | None = Field(default=None, ge=1)
    score: Percent | None = None

    @model_serializer(mode="wrap")
    def _stated(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = rest(self)
        return {name: value for name, value in document.items() if value is not None or name not in ("epoch", "score")}


class Tuning(Facts):
    """Budget of ``ltbench tune`` behind the configuration."""

    trials: int = Field(ge=1)
    seconds: float | None = Field(default=None, gt=0)


class Cost(Facts):
    """What the run took. ``None`` means not measured.

    Attributes:
        device: name of the device as the platform states it.
        energy_joules: only if measured.
    """

    trainable_parameters: int = Field(ge=0)
    total_parameters: int = Field(ge=0)
    encode_seconds: float | None = Field(default=None, ge=0)
    train_seconds: float | None = Field(default=None, ge=0)
    evaluate_seconds: float | None = Field(default=None, ge=0)
    peak_memory_bytes: int | None = Field(default=None, ge=0)
    device: str
    energy_joules: float | None = Field(default=None, ge=0)


class LogitsFacts(Facts):
    """The file of logits that phase 1 left behind; ``sha256`` is that of the whole file, ``dtype`` as stored."""

    sha256: Sha256
    rows: int = Field(ge=1)
    classes: int = Field(ge=1)
    dtype: LogitsDtype = "float32"


class Corrections(Facts):
    """Corrections of a run, judged. A correction says that a label is present which was not observed to be.

    Attributes:
        right: of each epoch from the first to the last, corrections to labels that are present.
        wrong: those to labels that are absent. Labels that the data set itself leaves unknown are in neither.
        hidden: labels that are present and were not observed, which corrections could find.
        found: hidden labels that the corrections of any epoch found.
    """

    right: tuple[Annotated[int, Field(ge=0)], ...]
    wrong: tuple[Annotated[int, Field(ge=0)], ...]
    hidden: int = Field(ge=0)
    found: int = Field(ge=0)

    @model_validator(mode="after")
    def _counts(self) -> Corrections:
        if len(self.right) != len(self.wrong):
            raise ValueError("right and wrong have different numbers of epochs")
        if self.found > self.hidden or not max(self.right, default=0) <= self.found <= sum(self.right):
            raise ValueError(
                "found is between the right corrections of one epoch and those of all, and not over hidden"
            )
        return self

    @property
    def recovered(self) -> tuple[float | None, ...]:
        """Share of the hidden labels that each epoch's corrections found, in percent; None where none is hidden."""
        return tuple(100 * found / self.hidden if self.hidden else None for found in self.right)

    @property
    def recovered_once(self) -> float | None:
        """Share of the hidden labels that the corrections of any epoch found, in percent; None where none is hidden."""
        return 100 * self.found / self.hidden if self.hidden else None

    @property
    def precision(self) -> tuple[float | None, ...]:
        """Share of each epoch's judged corrections that are right, in percent; None for an epoch without any."""
        pairs = zip(self.right, self.wrong, strict=True)
        return tuple(100 * right / (right + wrong) if right + wrong else None for right, wrong in pairs)


class Environment(Facts):
    """Versions and a generic description of the machine; no host name."""

    python: str
    platform: str
    machine: str
    torch: str | None
    torchvision: str | None
    open_clip: str | None
    mmengine: str | None
    numpy: str | None
    ltbench: str | None
