"""What 10,000 records cost: listing them, and their leaderboard.

Skipped in normal runs. To measure:

    pytest -o addopts= tests/benchmarks/test_many_records.py --benchmark-only -s

Each command runs twice in a process of its own, the second time with the index that the first one left; seconds are
those of the processor, start of Python and imports among them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from records.many import true_records, write_runs

#: Most seconds with the index.
LIMITS = {"list runs": 5.0, "leaderboard": 8.0}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,000 records as runs leave them, five of them damaged."""
    written = write_runs(true_records(10_000), tmp_path_factory.mktemp("many") / "runs")
    for path in written[::2000]:
        path.write_text("{", encoding="utf-8")
    time.sleep(2.5)  # younger files are not indexed
    return written[0].parents[4]


def seconds(command: list[str], cache: Path) -> tuple[float, str]:
    """Processor seconds of a command, and what it wrote on stderr."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "ltbench", *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LTBENCH_CACHE": str(cache)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stderr


@pytest.mark.parametrize("name", LIMITS)
def test_ten_thousand_records(name: str, runs: Path, tmp_path: Path, benchmark: BenchmarkFixture) -> None:
    command = ["list", "runs", "--out"] if name == "list runs" else ["leaderboard", "--records"]
    first, said = seconds([*command, str(runs)], tmp_path)
    again, said_again = benchmark.pedantic(seconds, args=([*command, str(runs)], tmp_path), rounds=1)
    print(json.dumps({"command": name, "first": round(first, 1), "with_index": round(again, 1)}))
    assert said.count("is damaged") == said_again.count("is damaged") == 5
    assert again < LIMITS[name]
