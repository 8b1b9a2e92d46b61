"""What loaded code was made of: whether its files still say the same, and a hash where it has no file."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ltbench.plugin.code import files_sha256, source_files
from ltbench.plugin.errors import PluginError

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def changed_since_import(files: Iterable[Path]) -> list[Path]:
    """Files whose loaded modules are not what stands there now.

    Functions, methods and names that are bound to literals are compared; a module that was loaded by something else
    than Python's own reading of its file (pytest's for tests, say) is not looked at.
    """
    wanted = {path.resolve() for path in files}
    return sorted({path for path, module in _loaded() if path in wanted and not _as_written(module, path)})


def _loaded() -> Iterator[tuple[Path, ModuleType]]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and type(getattr(module, "__loader__", None)) is SourceFileLoader:
            yield Path(file).resolve(), module


def _as_written(module: ModuleType, path: Path) -> bool:
    try:
        source = path.read_bytes()
        written = compile(source, str(path), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    codes = set(_codes(written))
    if any(function.__code__ not in codes for function in _functions(module)):
        return False
    return all(
        type(found := getattr(module, name)) is type(value) and found == value
        for name, value in _literals(source)
        if hasattr(module, name)
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Functions and methods of a module that stand in its file; those that a decorator made stand elsewhere."""
    waiting: list[Any] = list(vars(module).values())
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
        if isinstance(found, property):
            waiting += [found.fget, found.fset]
        if id(found) in seen or getattr(found, "__module__", None) != module.__name__:
            continue
        seen.add(id(found))
        if isinstance(found, type):
            waiting += vars(found).values()
        elif isinstance(found, FunctionType) and found.__code__.co_filename == module.__file__:
            yield found


def _literals(source: bytes) -> Iterator[tuple[str, Any]]:
    """Names that the top of a module binds once, to a literal."""
    bound: dict[str, list[ast.expr]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                bound.setdefault(target.id, []).append(value)
    for name, values in bound.items():
        if len(values) > 1:
            continue
        try:
            yield name, ast.literal_eval(values[0])
        except (ValueError, TypeError):
            continue


def typed_sha256(cls: type[Any]) -> str:
    """sha256 (hex) over a class that was typed into a session, and over what it uses of that session.

    That is the source of its classes and functions, the values of its names, and the files of modules that lie in a
    folder of the user's.

    Raises:
        PluginError: it uses something whose content cannot be told.
    """
    space = vars(sys.modules[cls.__module__])
    parts: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(cls.__name__, cls)]
    while waiting:
        name, found = waiting.pop()
        if name in parts:
            continue
        own = getattr(found, "__module__", None) == cls.__module__
        if own and isinstance(found, type | FunctionType):
            parts[name] = source = _source(found)
            used = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
            waiting += [(other, space[other]) for other in sorted(used) if other in space]
        else:
            parts[name] = _told(name, found, cls)
    text = "\n".join(f"{name}\n{len(part)}\n{part}" for name, part in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _told(name: str, found: Any, cls: type[Any]) -> str:
    """What a name of a session stands for, as text that another value would not have."""
    if _is_plain(found):
        return repr(found)
    module = found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", None)
    if isinstance(found, ModuleType | type) or callable(found):
        top = str(module).partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None)
        code = ""
        if file is not None and not _installed(Path(file)):
            place = Path(file).parent.parent if Path(file).name == "__init__.py" else Path(file).parent
            code = files_sha256(place, source_files(place, top))
        if hasattr(found, "__qualname__") or isinstance(found, ModuleType):
            return f"{module}.{getattr(found, '__qualname__', '')} {code}"
    raise PluginError(
        f"{cls.__name__} uses {name!r} ({type(found).__name__}) of this session, whose content cannot be told",
        "put the method into a file, or give it the value as an option",
    )


def _is_plain(found: Any) -> bool:
    if isinstance(found, list | tuple | set | frozenset):
        return all(map(_is_plain, found))
    if isinstance(found, dict):
        return all(map(_is_plain, [*found, *found.values()]))
    return type(found) in _PLAIN


def _installed(file: Path) -> bool:
    import sysconfig

    paths = (Path(path).resolve() for path in sysconfig.get_paths().values())
    return any(file.resolve().is_relative_to(path) for path in paths)


def _source(found: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(found))
    except (OSError, TypeError):
        pass
    # Python before 3.13 does not find classes of a notebook's cells; their functions know the cell.
    for value in vars(found).values() if isinstance(found, type) else ():
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            text = "".join(linecache.getlines(function.__code__.co_filename))
            classes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef) and n.name == found.__name__]
            if classes:
                return ast.get_source_segment(text, classes[-1]) or ""
    raise PluginError(f"the source of {found.__name__} cannot be found", "put the method into a file")
