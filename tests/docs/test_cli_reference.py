"""The page of commands is what the commands say of themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from ltbench.cli.reference import page
from ltbench.cli.root import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_current() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert written == page(), "out of date: python -m ltbench.cli.reference > docs/reference/cli.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_there(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = page()
    assert f"\n## ltbench {name}\n" in text
    below = command.lazy if isinstance(command, click.Group) else ()  # type: ignore[attr-defined]
    assert all(f"\n### ltbench {name} {each}\n" in text for each in below)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(option in text for option in parameter.opts)


def test_writing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ltbench.cli.reference import page; page();"
        "print([name for name in ('torch', 'mmengine', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
