"""What differs between platforms stands in ``ltbench/plugin/system.py`` only: the sources are walked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltbench.cli.variables import PREFIX, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ROOT / "ltbench" / "plugin" / "system.py"
SOURCES = [path for folder in ("ltbench", "plugins") for path in sorted((ROOT / folder).rglob("*.py"))]
MODULES = {"resource", "fcntl", "termios", "tty", "pty", "pwd", "grp", "syslog", "msvcrt", "winreg", "signal", "ctypes"}
"""Of the standard library, on some platforms only, or different on each."""
CALLS = {"link", "symlink", "mkfifo", "fork", "forkpty", "umask", "getuid", "geteuid", "getgid", "setsid", "killpg"}
CALLS |= {"kill", "chown", "fchmod", "uname", "nice", "getloadavg", "sched_getaffinity", "statvfs", "sysconf"}
CALLS |= {"cpu_count", "process_cpu_count"}
"""Of module os."""
METHODS = {"hardlink_to", "symlink_to"}
"""Of paths."""


def unportable(source: str) -> Iterator[str]:
    """What a source uses that not every platform has, with its line."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line}: import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in MODULES:
                yield f"{line}: from {node.module} import"
            elif node.module == "os":
                yield from (f"{line}: from os import {name.name}" for name in node.names if name.name in CALLS)
        elif isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr in CALLS:
                yield f"{line}: os.{node.attr}"
            elif node.attr in METHODS:
                yield f"{line}: {node.attr}"
        elif isinstance(node, ast.Call) and (called := text_without_encoding(node)):
            yield f"{line}: {called} without an encoding"


def text_without_encoding(call: ast.Call) -> str:
    """``read_text``, ``write_text`` or ``open`` of a text whose encoding is left to the platform; else empty."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    given = {keyword.arg for keyword in call.keywords}
    if "encoding" in given:
        return ""
    if name in ("read_text", "write_text"):
        return name
    modes = [
        value.value for value in (*call.args, *(k.value for k in call.keywords)) if isinstance(value, ast.Constant)
    ]
    modes = [mode for mode in modes if isinstance(mode, str) and mode and set(mode) <= set("rwxabt+")]
    return "open" if name == "open" and modes and "b" not in modes[0] else ""


def test_platforms_are_asked_in_one_place() -> None:
    found = {path.relative_to(ROOT).as_posix(): list(unportable(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert any("os.umask" in line for line in found.pop(SYSTEM.relative_to(ROOT).as_posix()))
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import resource", "import resource"),
        ("def f():\n    import fcntl as locks", "import fcntl"),
        ("from signal import SIGTERM", "from signal"),
        ("from importlib import resources", None),
        ("import os\nos.link(a, b)", "os.link"),
        ("from os import fork", "from os import fork"),
        ("import os\nos.cpu_count() or 1", "os.cpu_count"),
        ("import os\nos.replace(a, b)", None),
        ("path.hardlink_to(other)", "hardlink_to"),
        ("path.read_text()", "read_text without"),
        ("path.read_text(encoding='utf-8')", None),
        ("path.open('w')", "open without"),
        ("open(name, 'rb')", None),
        ("open(name, mode='r')", "open without"),
        ("path.open('a', encoding='utf-8')", None),
    ],
)
def test_the_walk_sees(source: str, found: str | None) -> None:
    assert [found in line for line in unportable(source) if found] == ([True] if found else [])
    assert bool(list(unportable(source))) == bool(found)


def test_every_variable_that_is_read_is_known() -> None:
    """Whole strings only: sentences name variables too."""
    read = {
        node.value
        for path in SOURCES
        if path.name != "variables.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(PREFIX)
        if node.value.replace("_", "").isalpha() and node.value.isupper() and node.value != PREFIX
    }
    assert read == set(VARIABLES)
