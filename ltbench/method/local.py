"""Methods that no distribution registers: a file of the user's, or a class that is given to ``ltbench.run``.

Each is registered in this process under ``local.`` and its class's name. Its distribution is stated as ``local code``
and its version as the first digits of the hash of its files, so that another text of them is another method.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from ltbench.plugin.blame import place_of
from ltbench.plugin.code import files_sha256, source_files
from ltbench.plugin.errors import PluginError, UserError
from ltbench.plugin.manager import LOCAL_PREFIX as PREFIX
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import MethodSpec
from ltbench.plugin.typed import changed_since_import, typed_sha256

#: No distribution can have this name, because it has a blank.
LOCAL = "local code"
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class LocalSpec(MethodSpec):
    """The recipe of a local method.

    Args:
        loaded: the class.
        typed: how the command line names it (``my.py:Adapter``); empty where it has no file.
        folder: from which ``typed`` is seen.
    """

    loaded: Any
    typed: str = ""
    folder: Path | None = None

    def load(self) -> Any:
        """The class, which is loaded already."""
        return self.loaded


@dataclass(frozen=True)
class _Source:
    """A file as it was loaded: the module, the files it is made of, and their hash."""

    module: ModuleType
    root: Path
    files: tuple[Path, ...]
    sha256: str


_LOADED: dict[Path, _Source] = {}


def names_file(text: str) -> bool:
    """Whether a method is named by its file: ``my.py`` or ``my.py:Adapter``."""
    return text.endswith(".py") or text.rpartition(":")[0].endswith(".py")


def use_file(text: str) -> str:
    """Load the method of a file and register it in this process.

    A file that was loaded before and has changed, or whose neighbours that it imports have, is loaded again.

    Args:
        text: ``my.py``, or ``my.py:Adapter`` where it holds several methods.

    Returns:
        The name of the method.

    Raises:
        UserError: there is no such file or class, or it cannot be loaded; file and line are named.
    """
    head, _, attribute = (text, "", "") if text.endswith(".py") else text.rpartition(":")
    path = Path(head).expanduser()
    if not path.is_file():
        raise UserError(f"there is no file {head}", "name a Python file with a Method class: --method-file my.py")
    head = str(path)
    source = _source(path.resolve(), head)
    cls = _class_of(source.module, attribute, head)
    return _register(cls, source.sha256, f"{head}:{cls.__qualname__}")


def use_class(cls: Any) -> str:
    """Register a class in this process.

    Returns:
        The name of the method.

    Raises:
        UserError: it is no Method class, was made inside a function, or its file was changed after it was imported.
    """
    if not _is_method(cls):
        raise UserError(f"{cls!r} is no Method class", "derive it from ltbench.method.Method")
    if "<locals>" in cls.__qualname__:
        raise UserError(
            f"{cls.__name__} is made inside a function, and its file does not tell with which values",
            "define it at the top of a module",
        )
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or not Path(file).is_file():
        return _register(cls, typed_sha256(cls), "")
    path = Path(file).resolve()
    root, name = _placed(path)
    files = source_files(root, name.partition(".")[0])
    changed = changed_since_import(files)
    if changed:
        raise UserError(
            f"{changed[0].name} was changed after {cls.__name__} was imported",
            "import it again with importlib.reload, or in a new session",
        )
    return _register(cls, files_sha256(root, files), f"{_from_here(path)}:{cls.__qualname__}")


def use(method: str | type[Any]) -> str:
    """Name of a method that is given by its name, its file or its class; the latter two are registered.

    Raises:
        UserError: as :func:`use_file` and :func:`use_class`.
    """
    if not isinstance(method, str):
        return use_class(method)
    return use_file(method) if names_file(method) else method


def local_files() -> tuple[str, ...]:
    """The files of local methods that this process uses, for :func:`use_file` in another one."""
    specs = [item.spec for item in registry().methods if isinstance(item.spec, LocalSpec) and item.spec.typed]
    return tuple(str(spec.folder / spec.typed) if spec.folder else spec.typed for spec in specs)


def in_session(name: str) -> bool:
    """Whether a method is a class without a file, which no other process can have."""
    item = registry().methods.entries.get(name)
    return item is not None and isinstance(item.spec, LocalSpec) and not item.spec.typed


def typed_words(name: str) -> list[str]:
    """Words of a command line that name a method, a local one by its file."""
    item = registry().methods.entries.get(name)
    if item is not None and isinstance(item.spec, LocalSpec):
        return ["--method-file", item.spec.typed or "FILE.py"]
    return ["--method-file", "FILE.py"] if name.startswith(PREFIX) and item is None else ["--method", name]


def _register(cls: type[Any], sha256: str, typed: str) -> str:
    name = PREFIX + _kebab(cls.__name__)
    catalogue = registry().methods
    held = catalogue.entries.get(name)
    if name in catalogue.conflicts or (held is not None and not isinstance(held.spec, LocalSpec)):
        owners = catalogue.conflicts.get(name) or ((held.claimant,) if held else ())
        raise PluginError(f"method {name!r} is claimed by {' and '.join(owners)} too", f"rename class {cls.__name__}")
    doc = (cls.__doc__ or "").strip().splitlines()
    spec = LocalSpec(
        name=name,
        # Nothing is imported by it: import paths are ASCII here, and class names need not be.
        target="ltbench.method.local:LocalSpec",
        summary=doc[0] if doc else LOCAL,
        loaded=cls,
        typed=typed,
        folder=Path.cwd() if typed else None,
    )
    catalogue.entries[name] = Registered(spec, LOCAL, sha256[:_DIGITS], LOCAL, sha256)
    return name


def _kebab(name: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
    return re.sub(r"[^a-z0-9]+", "-", parted).strip("-") or "method"


def _source(path: Path, shown: str) -> _Source:
    root, name = _placed(path)
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise UserError(f"{shown}, line {error.lineno}: {error.msg}", "mend that line") from error
    except (OSError, ValueError) as error:
        line = f"{shown} cannot be read as Python ({error})"
        raise UserError(line, "name a Python file: --method-file my.py") from error
    files = source_files(root, name.partition(".")[0])
    sha256 = files_sha256(root, files)
    known = _LOADED.get(path)
    if known is not None and known.sha256 == sha256:
        return known
    if known is not None:
        _forget(known.files)
    module = _load(path, root, name, shown)
    # A file that was saved while it was read would be another one than the hash says.
    if files_sha256(root, source_files(root, name.partition(".")[0])) != sha256:
        raise UserError(f"{shown} changed while it was loaded", "type the same command again")
    _LOADED[path] = _Source(module, root, tuple(files), sha256)
    return _LOADED[path]


def _placed(path: Path) -> tuple[Path, str]:
    """The folder that imports start from, and the name by which the file is imported from there."""
    root, parts = path.parent, [] if path.stem == "__init__" else [path.stem]
    while (root / "__init__.py").is_file() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _load(path: Path, root: Path, name: str, shown: str) -> ModuleType:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    # A file outside a package gets a name that hides no module of Python's or a library's.
    called = name if "." in name else f"ltbench_local_{name}"
    try:
        if "." in name:
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(called, path)
        if spec is None or spec.loader is None:
            raise UserError(f"{shown} cannot be loaded as Python", "name a file that ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[called] = module
        # Compiled here: a file that is saved twice within a second would meet its stale byte code.
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
        return module
    except UserError:
        sys.modules.pop(called, None)
        raise
    except (Exception, SystemExit) as error:
        sys.modules.pop(called, None)
        place = place_of(error)
        line = " ".join(str(error).split())
        where = f"{place.shown}, line {place.line}" if place else shown
        raise UserError(
            f"{where}: {type(error).__name__}: {line}", "mend that line; ltbench --debug … for the traceback"
        ) from error


def _forget(files: Iterable[Path]) -> None:
    """Drop modules of files that changed, so that they are read again."""
    gone = set(files)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and Path(file).resolve() in gone:
            del sys.modules[name]
            # Its byte code is checked by time and size, and an edit may keep both.
            cached = getattr(module, "__cached__", None)
            if isinstance(cached, str):
                Path(cached).unlink(missing_ok=True)


def _is_method(found: object) -> TypeGuard[type[Any]]:
    from ltbench.method.method import Method

    return isinstance(found, type) and issubclass(found, Method)


def _class_of(module: ModuleType, attribute: str, shown: str) -> type[Any]:
    own = [cls for cls in vars(module).values() if _is_method(cls) and cls.__module__ == module.__name__]
    own = list(dict.fromkeys(own))
    if attribute:
        found = getattr(module, attribute, None)
        if _is_method(found):
            return found
        names = ", ".join(cls.__name__ for cls in own) or "none"
        raise UserError(f"{shown} has no Method class {attribute!r}; its own: {names}", f"--method {shown}:CLASS")
    last = [cls for cls in own if not any(other is not cls and issubclass(other, cls) for other in own)]
    if not last:
        raise UserError(f"{shown} has no class derived from Method", "from ltbench.method import Method")
    if len(last) > 1:
        names = ", ".join(cls.__name__ for cls in last)
        raise UserError(f"{shown} has {len(last)} methods: {names}", f"--method {shown}:{last[0].__name__}")
    return last[0]


def _from_here(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
