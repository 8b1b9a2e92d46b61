"""Writes a distribution for a method of one's own that passes its own tests as it is written. Imports no torch."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Literal

from ltbench.plugin.errors import PluginError, UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry

Inputs = Literal["image", "global", "region"]
_NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")


@dataclass(frozen=True)
class Wanted:
    """What a distribution is to hold.

    Attributes:
        name: of the distribution and of its method: lower case, digits, hyphens.
        inputs: what the method sees.
        fit: the method is fitted in one call, without gradients.
        task, dataset, backbone: one of each as well. A data set comes with a task that uses it.

    Raises:
        PluginError: the name cannot be that of a distribution, a module and a method.
    """

    name: str
    inputs: Inputs = "global"
    fit: bool = False
    task: bool = False
    dataset: bool = False
    backbone: bool = False

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise PluginError(f"{self.name!r} is no name for a plugin", "lower case, digits and hyphens: acme-margin")
        if keyword.iskeyword(self.package) or self.package in sys.stdlib_module_names or self.package == "ltbench":
            raise PluginError(f"{self.package!r} is a name of Python's or ltbench's own", f"my-{self.name}")

    @property
    def package(self) -> str:
        """Import package."""
        return self.name.replace("-", "_")

    @property
    def cls(self) -> str:
        """Class of the method."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def with_task(self) -> bool:
        """Whether there is a task: one that was asked for, or that of the data set."""
        return self.task or self.dataset


def files(wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Path inside the distribution and text of each file."""
    import jinja2

    folder = resources.files(__package__).joinpath("templates")
    environment = jinja2.Environment(keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
    package = wanted.package
    chosen = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "LICENSE": "LICENSE",
        "gitignore": ".gitignore",
        "workflow.yml": ".github/workflows/test.yml",
        "plugin.py": f"{package}/plugin.py",
        "fit.py" if wanted.fit else "gradient.py": f"{package}/method.py",
        "card.md": f"{package}/card.md",
        "presets.yaml": f"{package}/presets.yaml",
        "test_plugin.py": f"tests/test_{package}.py",
    }
    chosen |= {"data.py": f"{package}/data.py"} if wanted.dataset else {}
    chosen |= {"task.py": f"{package}/task.py"} if wanted.with_task else {}
    chosen |= {"backbone.py": f"{package}/backbone.py"} if wanted.backbone else {}
    yield f"{package}/__init__.py", f'"""{wanted.cls}, a plugin of ltbench."""\n'
    for template, path in chosen.items():
        text = folder.joinpath(f"{template}.jinja").read_text(encoding="utf-8")
        yield path, environment.from_string(text).render(w=wanted, year=datetime.now(UTC).year)


def write(wanted: Wanted, folder: Path) -> list[Path]:
    """Write a distribution.

    Args:
        folder: a new or an empty one.

    Returns:
        The files, in the order in which they were written.

    Raises:
        UserError: the folder is not empty or cannot be written to, or the name is taken by an installed plugin.
    """
    known = registry().methods
    if wanted.name in known or wanted.name in known.conflicts:
        raise PluginError(f"there is a method {wanted.name!r} already", f"ltbench plugin new my-{wanted.name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already and not empty", f"ltbench plugin new {wanted.name} --out ANOTHER")
    written = []
    for name, text in files(wanted):
        write_atomic(folder / name, text)
        written.append(folder / name)
    return written
