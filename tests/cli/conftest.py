"""Running the command line: in this process for speed, in a process of its own where imports and signals count."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltbench.cli import main


@dataclass(frozen=True)
class Said:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """``cli("list", "tasks")`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> Said:
        capfd.readouterr()
        code = main(list(args))
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return call


@pytest.fixture
def process(tmp_path: Path) -> Cli:
    """The same in a process of its own; ``env`` goes into its environment, ``errors`` is as ``open`` has it."""

    def call(
        *args: str,
        env: dict[str, str] | None = None,
        python: tuple[str, ...] = ("-m", "ltbench"),
        errors: str | None = None,
    ) -> Said:
        done = subprocess.run(
            [sys.executable, *python, *args],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            errors=errors,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return call
