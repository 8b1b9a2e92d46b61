"""Finding plugins, one at a time: a broken one is a line in ``ltbench plugins``, never a crash."""

from __future__ import annotations

import difflib
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

import pluggy

from ltbench.plugin.errors import PluginError, UnknownName, UserError
from ltbench.plugin.hooks import CONTRACT, GROUP, HOOK_KINDS, OLDEST_CONTRACT, Hooks
from ltbench.plugin.specs import (
    BackboneSpec,
    DatasetSpec,
    ExecutorSpec,
    MethodSpec,
    MetricSpec,
    ReporterSpec,
    Spec,
    TaskSpec,
)

S = TypeVar("S", bound=Spec)

ALLOW_LIST = "LTBENCH_PLUGINS"
CORE_DISTRIBUTION = "ltbench"
CORE_PREFIX = "core-"
_HOW_TO_LIST = {"metric": "ltbench plugins", "executor": "ltbench plugins", "reporter": "ltbench plugins"}
_KINDS = ("method", "task", "dataset", "backbone", "metric", "executor", "reporter")
#: Names of methods that no plugin registers, see :mod:`ltbench.method.local`.
LOCAL_PREFIX = "local."


@dataclass(frozen=True)
class PluginReport:
    """Health of one entry point.

    Attributes:
        status: ``ok``, ``broken`` or ``off`` (not in the allow-list).
        provides: ``kind name`` lines of what it registered.
        problem: one line, empty when healthy.
        trace: the traceback of a broken plugin.
    """

    name: str
    module: str
    distribution: str
    version: str
    status: str
    provides: tuple[str, ...] = ()
    problem: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Registered(Generic[S]):
    """A spec and the distribution that claims it.

    Attributes:
        code: sha256 of the code, where it was taken when the code was loaded; None where the files tell it.
    """

    spec: S
    distribution: str
    version: str
    plugin: str
    code: str | None = None

    @property
    def claimant(self) -> str:
        """Who claims the name, in words."""
        return f"{self.distribution} {self.version} (plugin {self.plugin})"


@dataclass
class Catalogue(Generic[S]):
    """All specs of one kind, by name. A name claimed twice stays unusable until one claimant goes.

    Attributes:
        kind: what the specs describe.
        entries: usable specs by name.
        conflicts: name → who claims it, each as ``distribution version (plugin name)``.
    """

    kind: str
    entries: dict[str, Registered[S]] = field(default_factory=dict)
    conflicts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, item: Registered[S]) -> None:
        """Add an entry, or note the conflict when another plugin already claimed the name."""
        name = item.spec.name
        claimed = self.conflicts.get(name) or ((self.entries[name].claimant,) if name in self.entries else ())
        if claimed:
            self.conflicts[name] = (*claimed, item.claimant)
            self.entries.pop(name, None)
            return
        self.entries[name] = item

    def get(self, name: str) -> Registered[S]:
        """Look a name up.

        Raises:
            PluginError: two distributions claim the name; both are named.
            UnknownName: nobody registered it; the nearest names are suggested.
            UserError: it is a local method whose file was not named.
        """
        if name in self.conflicts:
            owners = " and ".join(self.conflicts[name])
            raise PluginError(
                f"{self.kind} {name!r} is claimed by {owners}",
                f"uninstall one of them, or name in {ALLOW_LIST} the plugins to load",
            )
        if name not in self.entries and self.kind == "method" and name.startswith(LOCAL_PREFIX):
            raise UserError(f"method {name!r} is local code, of a file that was not named", "--method-file FILE.py")
        if name not in self.entries:
            raise UnknownName(self.kind, name, [*self.entries, *self.conflicts], _HOW_TO_LIST.get(self.kind, ""))
        return self.entries[name]

    def __iter__(self) -> Iterator[Registered[S]]:
        return iter(sorted(self.entries.values(), key=lambda item: item.spec.name))

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def names(self) -> list[str]:
        """All usable names, sorted."""
        return sorted(self.entries)


@dataclass
class Registry:
    """Everything that the installed plugins offer."""

    methods: Catalogue[MethodSpec] = field(default_factory=lambda: Catalogue("method"))
    tasks: Catalogue[TaskSpec] = field(default_factory=lambda: Catalogue("task"))
    datasets: Catalogue[DatasetSpec] = field(default_factory=lambda: Catalogue("dataset"))
    backbones: Catalogue[BackboneSpec] = field(default_factory=lambda: Catalogue("backbone"))
    metrics: Catalogue[MetricSpec] = field(default_factory=lambda: Catalogue("metric"))
    executors: Catalogue[ExecutorSpec] = field(default_factory=lambda: Catalogue("executor"))
    reporters: Catalogue[ReporterSpec] = field(default_factory=lambda: Catalogue("reporter"))
    reports: list[PluginReport] = field(default_factory=list)
    unmatched: tuple[str, ...] = ()
    """Names of the allow-list that fit no installed plugin."""

    def catalogue(self, kind: str) -> Catalogue[Any]:
        """The catalogue of one kind (``method``, ``task``, ``dataset``, ``backbone``, ``metric`` …)."""
        found: Catalogue[Any] = getattr(self, f"{kind}s")
        return found

    def conflicts(self) -> list[str]:
        """One line for every name that two distributions claim."""
        return [
            f"{kind} {name!r} is claimed by {' and '.join(owners)}"
            for kind in _KINDS
            for name, owners in sorted(self.catalogue(kind).conflicts.items())
        ]


def _contract_problem(plugin: object, distribution: str) -> None:
    """Refuse a plugin that says it was written for a contract that is not spoken here.

    Raises:
        PluginError: the message names what has to be newer.
    """
    said = getattr(plugin, "ltbench_contract", CONTRACT)
    if not isinstance(said, int) or isinstance(said, bool):
        raise PluginError(f"ltbench_contract is {said!r}, not a whole number")
    if said > CONTRACT:
        raise PluginError(
            f"it is written for contract {said}, this ltbench speaks {CONTRACT}", "pip install --upgrade ltbench"
        )
    if said < OLDEST_CONTRACT:
        spoken = str(CONTRACT) if OLDEST_CONTRACT == CONTRACT else f"{OLDEST_CONTRACT} to {CONTRACT}"
        raise PluginError(
            f"it is written for contract {said}, this ltbench speaks {spoken}", f"pip install --upgrade {distribution}"
        )


def _silent_mistake(plugin: object) -> str:
    """Name the first function that looks like a hook and is none; pluggy itself would stay silent."""
    for name in sorted(dir(plugin)):
        candidate = getattr(plugin, name, None)
        marked = getattr(candidate, f"{GROUP}_impl", None) is not None
        looks = name.startswith("ltbench_") and callable(candidate)
        if name in HOOK_KINDS and looks and not marked:
            return f"{name} is not marked with @hookimpl"
        if name not in HOOK_KINDS and (marked or looks):
            close = difflib.get_close_matches(name, HOOK_KINDS, n=1, cutoff=0.4)
            return f"unknown hook {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    return ""


def _collect(plugin: object, name: str) -> list[Spec]:
    """Call the hooks of one plugin and check what they return.

    pluggy matches names and signatures; the hooks themselves are called one by one, because pluggy drops an answer of
    ``None``, which is what a forgotten ``return`` gives.
    """
    problem = _silent_mistake(plugin)
    if problem:
        raise PluginError(problem)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(plugin, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(" ".join(str(error).split())) from error
    found: list[Spec] = []
    for hook, expected in HOOK_KINDS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            answer = implementation.function()
            if not isinstance(answer, list | tuple):
                raise PluginError(f"{hook} returned {type(answer).__name__}, expected a list of {expected.__name__}")
            for spec in answer:
                if not isinstance(spec, expected) or not isinstance(spec, Spec):
                    raise PluginError(
                        f"{hook} returned a list with {type(spec).__name__}, expected a list of {expected.__name__}"
                    )
                if any(other.kind == spec.kind and other.name == spec.name for other in found):
                    raise PluginError(f"{hook} registers {spec.kind} {spec.name!r} twice")
                found.append(spec)
    return found


def _normal(distribution: str) -> str:
    """Distribution names compare without regard to case, ``-``, ``_`` and ``.`` (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _matches(point: EntryPoint, distribution: str, allowed: str) -> bool:
    return allowed == point.name or _normal(allowed) == _normal(distribution)


def _allowed(point: EntryPoint, distribution: str, allow: frozenset[str] | None) -> bool:
    if allow is None or (distribution == CORE_DISTRIBUTION and point.name.startswith(CORE_PREFIX)):
        return True
    return any(_matches(point, distribution, name) for name in allow)


def _owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that declares the entry point; its metadata may be damaged."""
    if point.dist is None:
        return "unknown", "0"
    metadata = point.dist.metadata
    return metadata["Name"] or "unknown", metadata["Version"] or "0"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else ""


def load_entry_points(points: Iterable[EntryPoint], allow: frozenset[str] | None = None) -> Registry:
    """Load each entry point on its own and gather what it registers.

    Args:
        points: entry points of the group ``ltbench``.
        allow: names of entry points or distributions to load; ``None`` loads all. Core plugins always load.
    """
    registry = Registry()
    ordered = sorted(points, key=lambda p: (p.name, p.value))
    # Each look at a distribution's metadata reads and parses its file.
    owners = {key: _owner(point) for key, point in {id(point.dist): point for point in ordered}.items()}
    found = [(point, *owners[id(point.dist)]) for point in ordered]
    registry.unmatched = tuple(
        name for name in sorted(allow or ()) if not any(_matches(point, owner, name) for point, owner, _ in found)
    )
    for point, distribution, version in found:
        report = partial(PluginReport, point.name, point.value, distribution, version)
        if not _allowed(point, distribution, allow):
            registry.reports.append(report(status="off", problem=f"not in {ALLOW_LIST}"))
            continue
        try:
            plugin = point.load()
            _contract_problem(plugin, distribution)
            specs = _collect(plugin, point.name)
        except (Exception, SystemExit) as error:
            # SystemExit too: a plugin that calls sys.exit() on import must not end somebody else's run.
            line = _first_line(error)
            problem = line if isinstance(error, PluginError) else f"{type(error).__name__}: {line}"
            registry.reports.append(report(status="broken", problem=problem, trace=traceback.format_exc()))
            continue
        for spec in specs:
            registry.catalogue(spec.kind).add(Registered(spec, distribution, version, point.name))
        provides = tuple(f"{spec.kind} {spec.name}" for spec in specs)
        registry.reports.append(report(status="ok", provides=provides))
    return registry


def allow_list() -> frozenset[str] | None:
    """Names in the environment variable ``LTBENCH_PLUGINS`` (comma separated); ``None`` when it is unset."""
    value = os.environ.get(ALLOW_LIST)
    return None if value is None else frozenset(part.strip() for part in value.split(",") if part.strip())


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of this process, loaded on first use."""
    seen: dict[tuple[str, str, str], EntryPoint] = {}
    for point in entry_points(group=GROUP):
        # An editable install can be listed twice (its own metadata and the source tree's).
        seen.setdefault((point.name, point.value, point.dist.name if point.dist else ""), point)
    return load_entry_points(seen.values(), allow_list())


@contextmanager
def extra_specs(specs: Iterable[Spec], distribution: str = "extra", version: str = "0") -> Iterator[Registry]:
    """For tests: the registry of this process with further specs, as if a distribution had registered them.

    Names that are taken become conflicts, as always. On leaving, the registry is as it was. Other processes (those of
    a sweep) do not see the specs; they need an installed entry point.

    Example:
        with extra_specs([MethodSpec(name="toy", target="toys:Toy", summary="a toy")]):
            run_one(RunRequest(task=task, method="toy", backbone="tiny-clip"))
    """
    found = registry()
    before = {kind: (dict(found.catalogue(kind).entries), dict(found.catalogue(kind).conflicts)) for kind in _KINDS}
    try:
        for spec in specs:
            found.catalogue(spec.kind).add(Registered(spec, distribution, version, distribution))
        yield found
    finally:
        for kind, (entries, conflicts) in before.items():
            found.catalogue(kind).entries = entries
            found.catalogue(kind).conflicts = conflicts
