"""A task at its full size, rehearsed: tree of the true ids, the command as people type it, time, memory and disk.

    python tests/benchmarks/rehearsal.py voc-lt --method lmpt
    python tests/benchmarks/rehearsal.py partial-coco@p50 --method linear-probe -- --backbone timm:resnet18

Not part of the test suite: COCO's trees hold 123,287 files. Lists of authors come from the cache or ``LTBENCH_MIRROR``.
Photographs are texture, with bytes of their own, because the cache of features goes by content; ``--drawn 200`` makes
COCO's trees in minutes. The second run finds features and hashes in the cache. The labels of VOC2012
lie beside the project, where the tests find them.
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
import zlib
from pathlib import Path
from typing import Any

#: Images of the parts that tasks train and test on, where they pin no rows and so the tree draws ids.
ROWS = {"train": 82_783, "test": 40_504}


def disk(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def asked_for(child: int) -> int | None:
    """Bytes that a process read by calls, from disk or from the system's cache, once it has ended; mapped files, as the
    features are, do not count. None where the system does not tell."""
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    try:
        told = dict(line.split(": ") for line in Path(f"/proc/{child}/io").read_text().splitlines())
    except OSError:
        return None
    return int(told["rchar"])


def run(command: list[str], cwd: Path, cache: Path, made_up: bool = False) -> dict[str, Any]:
    """Run one command in a process of its own; what it took."""
    program = [str(Path(__file__).with_name("made_up_features.py"))] if made_up else ["-m", "ltbench"]
    before = time.monotonic()
    environment = {**os.environ, "LTBENCH_CACHE": str(cache), "LTBENCH_OFFLINE": "1"}
    child = subprocess.Popen([sys.executable, *program, *command], cwd=cwd, env=environment)
    asked = asked_for(child.pid)
    # Of this child alone: what was waited for before does not count.
    _, status, used = os.wait4(child.pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": round(time.monotonic() - before, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_rss_gb": round(used.ru_maxrss * unit / 1e9, 2),
        "read_from_disk_gb": round(used.ru_inblock * 512 / 1e9, 2),
        "read_calls_gb": None if asked is None else round(asked / 1e9, 2),
        "cache_gb": round(disk(cache) / 1e9, 2),
    }


def labels_of(address: str) -> dict[str, dict[str, tuple[str, ...]]] | None:
    """Labels that no list of authors has: those of VOC2012, which lie beside the project and not in it."""
    from ltbench.tasks.registry import load_task

    if load_task(address).data_set != "voc2012":
        return None
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.tasks.official.official_facts import SHARED, labelled_rows

    if not (SHARED / "data").is_dir():
        raise SystemExit(
            f"{address} needs the labels of VOC2012 in {SHARED / 'data'}, which is not part of the project"
        )
    return {"voc2012": labelled_rows("voc2012", "trainval")}


def copies_of(count: int) -> None:
    """Draw only so many photographs; each file still has bytes of its own, by a comment that decoders skip."""
    from ltbench.testing._tree_plan import Plan

    draw, drawn = Plan.write_image, []

    def write(plan: Plan, path: Path, name: str) -> None:
        if len(drawn) < count:
            draw(plan, path, name)
            drawn.append(path.read_bytes())
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        comment = f"copy for {name}".encode()
        like = drawn[zlib.crc32(comment) % count]
        # A comment segment right behind the start of the image: FF FE, its length with these two bytes, the text.
        path.write_bytes(like[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + like[2:])

    setattr(Plan, "write_image", write)  # noqa: B010


def main() -> None:
    """Make the tree, run the command twice in processes of their own, print one line of JSON for each."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="options of ltbench run come last, after --"
    )
    parser.add_argument("task")
    parser.add_argument("--method", required=True)
    parser.add_argument("--width", type=int, default=640, help="of the photographs, in pixels")
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument(
        "--drawn", type=int, default=0, metavar="N", help="draw N photographs, the others are copies with a comment"
    )
    parser.add_argument(
        "--made-up", action="store_true", help="first run: noise in place of the image tower's features"
    )
    parser.add_argument("--folder", type=Path, default=None, help="for tree and cache; removed unless it is named")
    given = sys.argv[1:]
    # By hand, because argparse has no positional arguments on both sides of options.
    cut = given.index("--") if "--" in given else len(given)
    asked, rest = parser.parse_args(given[:cut]), given[cut + 1 :]
    from ltbench.testing.task_trees import make_task_tree

    if asked.drawn:
        copies_of(asked.drawn)

    folder = asked.folder or Path(tempfile.mkdtemp(prefix="ltbench-rehearsal-"))
    try:
        root, cache = folder / "data", folder / "cache"
        if not root.exists():
            before = time.monotonic()
            size = asked.width, asked.height
            make_task_tree(asked.task, root, pinned=True, image_size=size, labels=labels_of(asked.task), **ROWS)
            made = {"tree_seconds": round(time.monotonic() - before, 1), "tree_gb": round(disk(root) / 1e9, 2)}
            print(json.dumps({"task": asked.task, **made}), flush=True)
        command = ["run", "--task", asked.task, "--method", asked.method, "--weights", "random", *rest]
        command += ["--data-root", str(root)]
        for what in ("first", "again"):
            found = run([*command, "--out", str(folder / what)], folder, cache, asked.made_up and what == "first")
            print(json.dumps({"task": asked.task, "method": asked.method, "run": what, **found}), flush=True)
            if found["exit"]:
                break
    finally:
        if asked.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
