"""What plugins register: frozen, typed descriptions whose heavy code is named by a string and imported only to run."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ltbench.plugin.errors import PluginError

FAMILIES = ("ltml", "plt", "spml", "partial", "zero-shot", "custom")
OFFERS = ("image", "global", "region", "text")

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_TARGET = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Common to all specs.

    Args:
        name: lower case, digits, dots and hyphens; unique among all plugins.
        target: ``package.module:object``, imported only when the object is needed.
        summary: one line for lists.

    Raises:
        PluginError: the name or the target is malformed.
    """

    kind: ClassVar[str] = "spec"
    pattern: ClassVar[re.Pattern[str]] = _NAME
    name: str
    target: str
    summary: str

    def __post_init__(self) -> None:
        if not self.pattern.fullmatch(self.name):
            raise PluginError(f"{self.kind} name {self.name!r}: use lower-case letters, digits, '.', '_' and '-'")
        if not _TARGET.match(self.target):
            raise PluginError(f"{self.kind} {self.name!r}: target {self.target!r} is not of the form 'module:object'")

    def load(self) -> Any:
        """Import the module of ``target`` and return the object.

        Raises:
            PluginError: the module or the object is missing, or the module raises on import.
        """
        return self.load_target(self.target)

    def load_target(self, target: str) -> Any:
        """Import another ``module:object`` that the spec names; errors as :meth:`load`."""
        module_name, _, attribute = target.partition(":")
        try:
            found: Any = importlib.import_module(module_name)
            for part in attribute.split("."):
                found = getattr(found, part)
        except Exception as error:
            line = " ".join(str(error).split())
            raise PluginError(
                f"{self.kind} {self.name!r}: {target} cannot be loaded ({type(error).__name__}: {line})",
                "ltbench --debug … for the traceback",
            ) from error
        return found

    @property
    def package(self) -> str:
        """Import package that holds the target; cards and presets are looked up there."""
        return self.target.partition(":")[0].rpartition(".")[0] or self.target.partition(":")[0]


@dataclass(frozen=True, kw_only=True)
class RowNote:
    """What a reader of a leaderboard has to know of some rows and their figures do not tell; it stands below them.

    A note belongs to the method or the encoder whose fact it is, and holds for its rows that meet every condition.

    Args:
        text: one sentence without its full stop.
        methods: of an encoder's note: names of methods; empty for all.
        backbones: of a method's note: names of encoders; empty for all.
        config: values that the row's configuration has.
        words: some option of the row's configuration is a text with one of these words.
        mark: of a method's note: a word that the names of such rows carry, ``erm (frozen)``; empty for none.

    Raises:
        PluginError: the text is empty, is not one line, or ends with a full stop.
    """

    text: str
    methods: frozenset[str] | set[str] = frozenset()
    backbones: frozenset[str] | set[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    mark: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip() or "\n" in self.text or self.text.endswith("."):
            raise PluginError(f"note {self.text!r}: give one line of text without its full stop")

    def holds(self, method: str, backbone: str, config: Mapping[str, Any]) -> bool:
        """Whether it is said of a row."""
        told = {
            word for value in config.values() if isinstance(value, str) for word in re.findall(r"\w+", value.lower())
        }
        return (
            (not self.methods or method in self.methods)
            and (not self.backbones or backbone in self.backbones)
            and all(name in config and config[name] == value for name, value in self.config.items())
            and (not self.words or not told.isdisjoint(self.words))
        )


@dataclass(frozen=True, kw_only=True)
class MethodSpec(Spec):
    """A recipe: a trainer (``target``, a ``Method`` class) bound to a base configuration.

    Args:
        families: the families of task the method was made for; they document, they never forbid.
        config: base configuration of the recipe, laid over the defaults of ``Config``.
        variants: ``paper`` (printed formulas) and/or ``code`` (what the authors' repository computes); the first is the
            default.
        deterministic: the seed changes nothing, so that seed intervals make no sense.
        card: file in the target's package that describes the method, Markdown.
        presets: file in the target's package with named presets, YAML.
        notes: what leaderboards say below rows of the method.
    """

    kind: ClassVar[str] = "method"
    families: frozenset[str] | set[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[str, ...] = ("paper",)
    deterministic: bool = False
    card: str | None = None
    presets: str | None = None
    notes: tuple[RowNote, ...] = ()

    def marked(self, backbone: str, config: Mapping[str, Any]) -> str:
        """The recipe's name with the marks of its notes: ``erm (frozen)`` is another thing than ``erm``."""
        marks = [note.mark for note in self.notes if note.mark and note.holds(self.name, backbone, config)]
        return f"{self.name} ({', '.join(marks)})" if marks else self.name

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "families", frozenset(self.families))
        unknown = sorted(set(self.families) - set(FAMILIES))
        if unknown:
            raise PluginError(f"method {self.name!r}: unknown families {unknown}; known are {list(FAMILIES)}")
        wrong = sorted(set(self.variants) - {"paper", "code"})
        if wrong or not self.variants:
            raise PluginError(
                f"method {self.name!r}: variants must be 'paper' and/or 'code', not {list(self.variants)}"
            )


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """A task; ``target`` is a function ``(setting: str | None) -> Task``.

    Args:
        family: one of the five families, or ``custom``.
        version: changes only when the definition does.
        settings: names addressed as ``task@setting``; empty when the task has none.
        data_set: name of the data set it needs.
        ranked: rows may be ranked on a leaderboard (not so for tasks made for tests).
    """

    kind: ClassVar[str] = "task"
    family: str
    version: int
    data_set: str
    settings: tuple[str, ...] = ()
    ranked: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family not in FAMILIES:
            raise PluginError(f"task {self.name!r}: unknown family {self.family!r}; known are {list(FAMILIES)}")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A data set; ``target`` is a function ``(root: DataRoot) -> DataSet``.

    Args:
        licence: licence of images and labels, one line.
        size: what it takes on disk, one line.
        status: ``module:function``, called as ``(root: DataRoot) -> list[DataStatus]``: what is here and what is
            missing, told without reading the data; None where nobody can tell.
        pieces: ``module:function``, called as ``() -> tuple[Piece, ...]``: the archives that ``ltbench data prepare``
            brings; None where nothing has to be brought.
    """

    kind: ClassVar[str] = "dataset"
    licence: str = ""
    size: str = ""
    status: str | None = None
    pieces: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for field_name, target in (("status", self.status), ("pieces", self.pieces)):
            if target is not None and not _TARGET.match(target):
                raise PluginError(f"dataset {self.name!r}: {field_name} {target!r} is not of the form 'module:object'")


@dataclass(frozen=True, kw_only=True)
class BackboneSpec(Spec):
    """A pre-trained encoder; ``target`` is a function ``(name, BackboneOptions) -> Backbone``.

    Args:
        offers: some of ``image``, ``global``, ``region``, ``text``.
        pretraining: what the weights saw, one line.
        prefix: the name is a prefix and the rest is an argument (``timm:resnet18``).
        image_size: side of the square input in pixels, where the name alone decides it.
        own_size: ``module:function``, called as ``(backbone: str) -> int | None``: the same where what follows the
            prefix decides it; None where nobody can tell.
        released: ``module:function``, called as ``(backbone: str) -> Released | tuple[Released, ...] | None``: the
            files of its released weights (:class:`ltbench.backbones.released.Released`), told without opening them;
            None where nothing has to be brought, or nobody can tell.
        card: file in the target's package that describes the encoder, Markdown.
        notes: what leaderboards say below rows that stand on the encoder.
    """

    kind: ClassVar[str] = "backbone"
    offers: tuple[str, ...] = ("image", "global")
    pretraining: str = ""
    prefix: bool = False
    image_size: int | None = None
    own_size: str | None = None
    released: str | None = None
    card: str | None = None
    notes: tuple[RowNote, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for field_name, target in (("released", self.released), ("own_size", self.own_size)):
            if target is not None and not _TARGET.match(target):
                raise PluginError(f"backbone {self.name!r}: {field_name} {target!r} is not of the form 'module:object'")
        unknown = sorted(set(self.offers) - set(OFFERS))
        if unknown:
            raise PluginError(f"backbone {self.name!r}: unknown offers {unknown}; known are {list(OFFERS)}")


@dataclass(frozen=True, kw_only=True)
class MetricSpec(Spec):
    """A metric of the contract; its name is the field's (``mAP``, ``F1@3``), so capitals and ``@`` are allowed."""

    kind: ClassVar[str] = "metric"
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"^[A-Za-z][\w@.-]*$")


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(Spec):
    """Where jobs of a sweep run; ``target`` is a function ``(ExecutorOptions) -> Executor``.

    Args:
        addressed: it needs the address of a scheduler.
    """

    kind: ClassVar[str] = "executor"
    addressed: bool = False


@dataclass(frozen=True, kw_only=True)
class ReporterSpec(Spec):
    """Where curves of runs go; ``target`` is a function ``(folder: Path) -> Curves``, called once a run."""

    kind: ClassVar[str] = "reporter"
