"""The campaign in short, on every run of the suite, and at its full length where it is asked for.

In full: ``tox -e campaign``, which is ``python -m pytest tests/reliability --campaign``, or each program alone
(``tests/reliability/mutants.py`` and ``kills.py``, with ``tests`` on the path), which takes an hour and more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reliability.mutants import attack
from reliability.readers import readers

TESTS = Path(__file__).parents[1]


def run_program(program: str, *words: str) -> str:
    """What one of the two programs prints."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / program), *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_changed_files_are_refused_or_read_rightly(tmp_path: Path) -> None:
    found = readers(tmp_path)
    told = [attack(reader, 6, 1) for reader in found]
    assert len(found) >= 69
    assert sum(each["refused"] for each in told) > 150


def test_killed_jobs_lose_nothing() -> None:
    said = run_program("kills.py", "--only", "prepare", "--kills", "2", "--disks", "16384", "--limits", "20000")
    assert "2 jobs, 0 failed" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words"), [("mutants.py", ("--mutants", "20000")), ("kills.py", ("--kills", "240"))]
)
def test_the_whole_campaign(request: pytest.FixtureRequest, program: str, words: tuple[str, ...]) -> None:
    if not request.config.getoption("--campaign"):
        pytest.skip("takes an hour; --campaign runs it")
    print(run_program(program, *words))
