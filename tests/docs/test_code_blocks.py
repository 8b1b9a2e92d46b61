"""Code blocks in the documentation are executed, so that they cannot rot.

A page runs from top to bottom in a scratch folder, as a reader would follow it. Python blocks share one namespace;
lines of ``console`` blocks that start with ``$ `` must succeed. Two kinds of comment right above a block change that:

* ``<!-- not run: reason -->`` leaves the block out;
* ``<!-- file: path -->`` writes the block to that file, whatever language it is in. A ``pyproject.toml`` written this
  way counts as installed: it stands for the editable install that the page asks the reader for.
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
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- (?P<mark>not run|file): (?P<text>[^>]*?) -->\s*\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```", re.S | re.M
)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``line`` is the line of its first code."""

    kind: str
    code: str
    line: int
    reason: str | None
    file: str | None


def blocks(page: Path) -> Iterator[Block]:
    """Blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text[: match.start("code")].count("\n") + 1
        reason = match["text"] if match["mark"] == "not run" else None
        file = match["text"] if match["mark"] == "file" else None
        yield Block(match["kind"], match["code"], line, reason, file)


def commands(block: Block) -> Iterator[tuple[int, str]]:
    """Commands of a console block with their lines: lines after ``$ ``, continued where they end in a backslash."""
    lines = enumerate(block.code.splitlines(), block.line)
    for number, line in lines:
        if not line.startswith("$ "):
            continue
        command = line[2:]
        while command.endswith("\\"):
            command = command[:-1] + next(lines)[1].removeprefix("> ")
        yield number, command


def program(page: Path) -> str:
    """The page as one Python program, line for line, so that a traceback names the page's own lines; empty if nothing
    in it runs."""
    lines: dict[int, str] = {}
    for block in blocks(page):
        if block.reason is not None:
            continue
        if block.file is not None:
            lines[block.line] = f"_write({block.file!r}, {block.code!r})"
        elif block.kind == "python":
            lines |= dict(enumerate(block.code.splitlines(), block.line))
        elif block.kind == "console":
            lines |= {number: f"_shell({command!r})" for number, command in commands(block)}
    return "\n".join(lines.get(number, "") for number in range(1, max(lines, default=0) + 1))


def environment(folder: Path) -> dict[str, str]:
    """The running interpreter's scripts first; a narrow terminal, as readers have; no network; the scratch folder on
    Python's path, as the place of what the reader installs."""
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
        "HOME": str(folder),
        "HF_HUB_OFFLINE": "1",
        "LTBENCH_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(folder),
    }


RUNNING = [page for page in PAGES if program(page)]


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.py"
    file.write_text(program(page), encoding="utf-8")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run_page.py")), str(file), str(page.relative_to(ROOT))],
        cwd=scratch,
        env=environment(scratch),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_every_skipped_block_says_why() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.reason is not None:
                assert len(block.reason.split()) >= 3, f"{page.name}:{block.line}"


def test_every_comment_of_this_kind_stands_above_a_block() -> None:
    # A blank or a typing error between comment and block would run, or leave out, something else than meant.
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        meant = len(re.findall(r"<!-- (?:not run|file)\b", text))
        marked = sum(block.reason is not None or block.file is not None for block in blocks(page))
        assert meant == marked, page.name


def test_every_block_names_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(\w*)", page.read_text(encoding="utf-8"), re.M)
        assert len(fences) % 2 == 0, page.name
        assert all(fences[::2]), page.name


def test_a_page_runs_in_order(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: one.txt -->\n```text\nhello\n```\n"
        "```python\ntext = open('one.txt').read()\n```\n"
        "```console\n$ cp one.txt \\\n> two.txt\nprints nothing\n```\n"
        "```python\nassert open('two.txt').read() == text == 'hello\\n'\n```\n"
        "<!-- not run: it would fail -->\n```console\n$ false\n```\n"
    )
    assert [block.line for block in blocks(page)] == [3, 6, 9, 14, 18]
    ran: list[str] = []
    files: dict[str, str] = {}
    lines = program(page).splitlines()
    assert lines[2] == "_write('one.txt', 'hello\\n')"
    assert lines[5] == "text = open('one.txt').read()"
    assert lines[8] == "_shell('cp one.txt two.txt')"
    exec("\n".join([lines[2], lines[8]]), {"_shell": ran.append, "_write": files.__setitem__})
    assert (ran, files) == (["cp one.txt two.txt"], {"one.txt": "hello\n"})
    assert "false" not in program(page)
