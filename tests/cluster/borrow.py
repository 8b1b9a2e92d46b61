"""Let a virtual environment see the packages of another one that is on this machine, so that none is installed twice.

``python tests/cluster/borrow.py OTHER`` is called with the Python of the one. It does nothing where OTHER is not there,
is of another Python, or holds no PyTorch, which is what takes minutes and gigabytes; then pip installs all.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def main(other: Path) -> None:
    here = Path(sysconfig.get_path("purelib"))
    try:
        there = other.resolve() / here.relative_to(Path(sys.prefix).resolve())
    except ValueError:
        return
    if (there / "torch").is_dir() and there != here:
        (here / "borrowed.pth").write_text(f"{there}\n", encoding="utf-8")
        print(f"packages of {other.name} are used")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
