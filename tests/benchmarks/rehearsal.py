"""A task at its full size, rehearsed: tree of the true ids, the command as people type it, time, memory and disk.

    python tests/benchmarks/rehearsal.py voc-lt --method lmpt
    python tests/benchmarks/rehearsal.py partial-coco@p50 --method linear-probe -- --backbone timm:resnet18

Not part of the test suite: COCO's trees hold 123,287 files. Lists of authors come from the cache or ``LTBENCH_MIRROR``.
Photographs are texture, with bytes of their own, because the cache of features goes by content. The second run finds
features and hashes in the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def disk(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def run(command: list[str], cwd: Path, cache: Path) -> dict[str, Any]:
    """Run one command in a process of its own; what it took."""
    before = time.monotonic()
    environment = {**os.environ, "LTBENCH_CACHE": str(cache), "LTBENCH_OFFLINE": "1"}
    child = subprocess.Popen([sys.executable, "-m", "ltbench", *command], cwd=cwd, env=environment)
    # Of this child alone: what was waited for before does not count.
    _, status, used = os.wait4(child.pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": round(time.monotonic() - before, 1),
        "peak_rss_gb": round(used.ru_maxrss * unit / 1e9, 2),
        "read_gb": round(used.ru_inblock * 512 / 1e9, 2),
        "cache_gb": round(disk(cache) / 1e9, 2),
    }


def main() -> None:
    """Make the tree, run the command twice in processes of their own, print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--method", required=True)
    parser.add_argument("--width", type=int, default=640, help="of the photographs, in pixels")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--folder", type=Path, default=None, help="for tree and cache; removed unless it is named")
    parser.add_argument("rest", nargs="*", help="options of ltbench run, after --")
    asked = parser.parse_args()
    from ltbench.testing.task_trees import make_task_tree

    folder = asked.folder or Path(tempfile.mkdtemp(prefix="ltbench-rehearsal-"))
    try:
        root, cache = folder / "data", folder / "cache"
        if not root.exists():
            before = time.monotonic()
            make_task_tree(asked.task, root, pinned=True, image_size=(asked.width, asked.height))
            made = {"tree_seconds": round(time.monotonic() - before, 1), "tree_gb": round(disk(root) / 1e9, 2)}
            print(json.dumps({"task": asked.task, **made}), flush=True)
        command = ["run", "--task", asked.task, "--method", asked.method, "--weights", "random", *asked.rest]
        command += ["--data-root", str(root)]
        for what in ("first", "again"):
            found = run([*command, "--out", str(folder / what)], folder, cache)
            print(json.dumps({"task": asked.task, "method": asked.method, "run": what, **found}), flush=True)
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
