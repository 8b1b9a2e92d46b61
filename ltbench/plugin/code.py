"""A hash over the code of a plugin: what decides whether a stored score may stand for a method that somebody edits."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from ltbench.plugin.errors import PluginError
from ltbench.plugin.manager import CORE_DISTRIBUTION, Registered


def is_own(distribution: str) -> bool:
    """Whether a distribution is ltbench's own, whose version number stands for its code."""
    return distribution == CORE_DISTRIBUTION


def made_by(registered: Registered[Any]) -> tuple[str, str, str | None]:
    """Distribution, version and hash of the code that decide whether a stored score is a method's; no hash for
    ltbench's own.

    Raises:
        PluginError: as :func:`code_sha256`.
    """
    own = is_own(registered.distribution)
    return registered.distribution, registered.version, None if own else code_sha256(registered)


def code_sha256(registered: Registered[Any]) -> str:
    """sha256 (hex) over the Python files that a registered object is made of.

    Those are all files of its top-level package, or its module where that lies in no package, and the modules and
    packages beside it that these import, and so on. Names and contents count; where the files lie does not. Other
    distributions and ltbench itself are not covered.

    What was typed into a session and has no file is its own source.

    Raises:
        PluginError: there is no source to be had.
    """
    if registered.code is not None:
        return registered.code
    start = registered.spec.target.partition(":")[0].partition(".")[0]
    place = _place(start)
    if place is None:
        return hashlib.sha256(_typed_in(registered).encode()).hexdigest()
    root, start = place
    return files_sha256(root, source_files(root, start, _followed(root, registered.distribution)))


def files_sha256(root: Path, files: Iterable[Path]) -> str:
    """sha256 (hex) over the names, from a folder on, and the contents of files."""
    digest = hashlib.sha256()
    for path in files:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _place(start: str) -> tuple[Path, str] | None:
    """Folder and name of a top-level package or module; None when it has no file."""
    if start == "__main__":
        script = getattr(sys.modules["__main__"], "__file__", None)
        return None if script is None or not Path(script).is_file() else (Path(script).parent, Path(script).stem)
    found = importlib.util.find_spec(start)
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations))).parent, start
    if found is not None and found.origin is not None and Path(found.origin).is_file():
        return Path(found.origin).parent, start
    return None


def _typed_in(registered: Registered[Any]) -> str:
    try:
        return inspect.getsource(registered.spec.load())
    except (OSError, TypeError) as error:
        spec = registered.spec
        raise PluginError(f"the code of {spec.kind} {spec.name!r} cannot be found ({spec.target})") from error


def _followed(root: Path, distribution: str) -> frozenset[str] | None:
    """Names whose imports are followed; None for all that lie in the folder.

    Installed plugins lie among all other distributions, whose versions tell their code.
    """
    if str(root.resolve()) not in {str(Path(path).resolve()) for path in sysconfig.get_paths().values()}:
        return None
    try:
        files = metadata.distribution(distribution).files or []
    except metadata.PackageNotFoundError:
        return frozenset()
    return frozenset(Path(file.parts[0]).stem for file in files)


def source_files(root: Path, start: str, followed: frozenset[str] | None = None) -> list[Path]:
    """Files of a module or package below a folder, and of those beside it that they import; sorted.

    Args:
        start: name of the module or package.
        followed: names whose imports are followed; None for all that lie in the folder.
    """
    found: set[Path] = set()
    waiting, known = [start], {start, CORE_DISTRIBUTION}
    while waiting:
        name = waiting.pop()
        here = sorted((root / name).rglob("*.py")) or [root / f"{name}.py"]
        for path in here:
            if not path.is_file():
                continue
            found.add(path)
            more = {name for name in _imported(path) if followed is None or name in followed} - known
            known |= more
            waiting.extend(more)
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    """Top-level names that a file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return  # its bytes count; what it would import, Python cannot tell either
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0]
