"""The campaign in short, on every run of the suite, and at its full length where it is asked for.

In full: ``python -m pytest tests/reliability --campaign``, or each program alone (``tests/reliability/mutants.py`` and
``kills.py``, with ``tests`` on the path), which takes an hour and more.
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


def test_changed_files_are_refused_or_read_rightly(tmp_path: Path) -> None:
    found = readers(tmp_path)
    told = [attack(reader, 12, 1) for reader in found]
    assert len(found) >= 30
    assert sum(each["refused"] for each in told) > sum(each["read"] for each in told)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "words"), [("mutants.py", ("--mutants", "20000")), ("kills.py", ("--kills", "210"))]
)
def test_the_whole_campaign(request: pytest.FixtureRequest, program: str, words: tuple[str, ...]) -> None:
    if not request.config.getoption("--campaign"):
        pytest.skip("takes an hour; --campaign runs it")
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / program), *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
