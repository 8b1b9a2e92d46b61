"""A clone as Git for Windows makes it (``core.autocrlf=true``) has the bytes that records and pages are checked by."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ltbench.cli import main

ROOT = Path(__file__).resolve().parents[2]


def git(*args: str, where: Path) -> str:
    """Git without the settings of this user and machine."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    alone |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "safe.directory=*", *args]
    return subprocess.run(command, cwd=where, env=alone, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The working tree as it is, committed to a repository of its own and cloned as Windows would."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository: an archive of the sources has no line ends to choose")
    source, target = tmp_path / "source", tmp_path / "clone"
    source.mkdir()
    kept = git("ls-files", "--", ".gitattributes", "README.md", "leaderboards/shapes-lt", where=ROOT).splitlines()
    for name in kept:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    git("init", "--quiet", where=source)
    git("add", "--all", where=source)
    git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "x", where=source)
    git("clone", "--quiet", "-c", "core.autocrlf=true", str(source), str(target), where=tmp_path)
    return target


def test_no_byte_of_a_clone_differs(clone: Path) -> None:
    names = git("ls-files", where=clone).splitlines()
    assert len(names) > 100
    differing = [name for name in names if (clone / name).read_bytes() != (clone.parent / "source" / name).read_bytes()]
    assert differing == []


def test_without_the_attributes_it_would(clone: Path) -> None:
    """The test above can fail: Git does change line ends in such a clone where nothing tells it not to."""
    source, other = clone.parent / "source", clone.parent / "other"
    (source / ".gitattributes").unlink()
    git("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-am", "x", where=source)
    git("clone", "--quiet", "-c", "core.autocrlf=true", str(source), str(other), where=clone.parent)
    assert b"\r\n" in (other / "README.md").read_bytes()


def test_records_and_pages_of_a_clone_are_right(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = sorted((clone / "leaderboards/shapes-lt/v1/records").glob("*-zero-shot-s0-*.json"))[0]
    monkeypatch.chdir(clone)
    assert main(["verify", str(record)]) == 0
    assert "1 of 1 record verified." in capsys.readouterr().out
    assert main(["leaderboard", "--task", "shapes-lt", "--check"]) == 0


def test_every_kind_of_file_has_its_line_ends_fixed() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and the repository")
    lines = [line.split("\t")[0].split() for line in git("ls-files", "--eol", where=ROOT).splitlines()]
    # In the index no text has carriage returns, and a file that holds other bytes is marked as such.
    assert {line[0] for line in lines} <= {"i/lf", "i/none", "i/-text"}
    assert {" ".join(line[2:]) for line in lines if line[0] == "i/-text"} == {"attr/-text"}
    assert {" ".join(line[2:]) for line in lines if line[0] == "i/lf"} <= {"attr/text eol=lf", "attr/text=auto eol=lf"}
