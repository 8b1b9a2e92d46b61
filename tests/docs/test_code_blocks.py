"""Code blocks in the documentation are executed, so that they cannot rot.

Python blocks of a page run one after the other in one namespace. Lines of ``console`` blocks that start with ``$ `` run
in a scratch folder and must succeed. A block right below ``<!-- not run: reason -->`` is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?P<skip><!-- not run: (?P<reason>[^>]+) -->\s*\n)?```(?P<kind>\w+)\n(?P<code>.*?)^```", re.S | re.M
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    kind: str
    code: str
    line: int
    reason: str | None


def blocks(page: Path) -> Iterator[Block]:
    """Blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text[: match.start("code")].count("\n") + 1
        yield Block(match["kind"], match["code"], line, match["reason"])


def commands(block: Block) -> list[str]:
    """Commands of a console block: lines after ``$ ``, continued where they end in a backslash."""
    found: list[str] = []
    lines = iter(block.code.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            continue
        command = line[2:]
        while command.endswith("\\"):
            command = command[:-1] + next(lines).removeprefix("> ")
        found.append(command)
    return found


def environment(folder: Path) -> dict[str, str]:
    """The running interpreter's scripts first; a narrow terminal, as readers have."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80", "HOME": str(folder)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    script: list[str] = []
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.kind == "python":
            script.append("\n" * max(0, block.line - 1 - sum(part.count("\n") for part in script)) + block.code)
        elif block.kind == "console":
            for command in commands(block):
                done = subprocess.run(
                    command, shell=True, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
                )
                assert done.returncode == 0, f"{page.name}:{block.line}: {command}\n{done.stdout}\n{done.stderr}"
    if script:
        file = tmp_path / "blocks.py"
        file.write_text("".join(script), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, str(file)], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
        )
        assert done.returncode == 0, f"{page.name}:\n{done.stdout}\n{done.stderr}"


def test_every_skipped_block_says_why() -> None:
    reasons = [block.reason for page in PAGES for block in blocks(page) if block.reason is not None]
    assert all(reason.strip() for reason in reasons)
