"""How long ``ltbench task new`` takes for 5,000 photographs, and how much memory.

Skipped in normal runs. To measure, on a machine that does nothing else:

    pytest -o addopts= tests/benchmarks/test_task_new.py --benchmark-only -s
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PHOTOS = 5000
MOST_SECONDS = 60
"""On two quiet cores; counted in processor time, of which these have twice as much."""
MOST_MEMORY = 10**9

pytestmark = pytest.mark.slow


def test_five_thousand_photographs(benchmark: Any, tmp_path: Path) -> None:
    """JPEGs of 640 x 480 with smooth random content, no two alike."""
    resource = pytest.importorskip("resource", reason="processor time and memory of a child are told by POSIX")
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    lines = ["file,labels"]
    for number in range(PHOTOS):
        small = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8))
        small.resize((640, 480), Image.Resampling.BILINEAR).save(tmp_path / "photos" / f"{number:04d}.jpg", quality=85)
        lines.append(f"{number:04d}.jpg,{'|'.join(name for name in ('cat', 'dog', 'tree') if rng.random() < 0.3)}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "ltbench", "task", "new", "five", "--images", "photos", "--labels", "labels.csv"]
    once = lambda: subprocess.run(command, cwd=tmp_path, env=os.environ, check=True, capture_output=True)  # noqa: E731
    benchmark.pedantic(once, rounds=1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    print(f"\n{PHOTOS} photographs: {seconds:.1f} s of processor time, {memory / 1e6:.0f} MB at most")
    assert seconds <= 2 * MOST_SECONDS
    assert memory <= MOST_MEMORY
