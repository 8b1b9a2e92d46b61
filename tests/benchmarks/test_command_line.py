"""How long the commands take that people type most, each in a fresh process.

Run with ``pytest tests/benchmarks/test_command_line.py --benchmark-only``. The figures in
docs/explanation/performance.md come from here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="command line")


def ltbench(*arguments: str, cwd: Path) -> int:
    """Run the command and return the most memory it held, in bytes."""
    command = [sys.executable, "-m", "ltbench", *arguments]
    process = psutil.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        try:
            process.wait(timeout=0.05)
        except psutil.TimeoutExpired:
            continue
    assert process.returncode == 0, command
    return peak


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list", "tasks"), ("list", "methods"), ("show", "method", "lmpt")], ids=" ".join
)
def test_quick_commands(benchmark: BenchmarkFixture, arguments: tuple[str, ...], tmp_path: Path) -> None:
    benchmark.pedantic(ltbench, arguments, {"cwd": tmp_path}, rounds=7, warmup_rounds=1)


def test_main_job_the_first_time(benchmark: BenchmarkFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    main_job = ("run", "--task", "shapes-lt", "--method", "lmpt")
    peak = benchmark.pedantic(ltbench, main_job, {"cwd": tmp_path}, rounds=1)
    benchmark.extra_info["peak_memory_mb"] = round(peak / 2**20)


def test_main_job_with_warm_caches(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    ltbench("run", "--task", "shapes-lt", "--method", "zero-shot", cwd=tmp_path)
    seeds = iter(range(1, 10))

    def another_seed() -> int:
        return ltbench("run", "--task", "shapes-lt", "--method", "lmpt", "--seed", str(next(seeds)), cwd=tmp_path)

    peak = benchmark.pedantic(another_seed, rounds=2)
    benchmark.extra_info["peak_memory_mb"] = round(peak / 2**20)
    benchmark.extra_info["cpus"] = os.cpu_count()
