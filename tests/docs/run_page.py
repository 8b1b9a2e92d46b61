"""Runs one page, as a program of its own: ``python run_page.py PROGRAM TITLE`` in a scratch folder."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path


def shell(command: str) -> None:
    """Run a command line; what it prints goes where this program's output goes."""
    sys.stdout.flush()
    subprocess.run(command, shell=True, check=True)


def write(name: str, text: str) -> None:
    """Write a file of the page. A ``pyproject.toml`` counts as installed from then on."""
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    if file.name == "pyproject.toml":
        install(tomllib.loads(text)["project"])


def install(project: dict[str, object]) -> None:
    """Lay what an editable install would: metadata and entry points. The scratch folder is on Python's path."""
    name, version = str(project["name"]), str(project["version"])
    folder = Path(f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["entry-points"]
    assert isinstance(points, dict)
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in points.items()]
    (folder / "entry_points.txt").write_text("".join(lines))


if __name__ == "__main__":
    program, title = sys.argv[1:]
    code = compile(Path(program).read_text(encoding="utf-8"), title, "exec")
    exec(code, {"__name__": "__main__", "_shell": shell, "_write": write})
