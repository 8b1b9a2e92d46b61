"""``python -m ltbench``."""

from __future__ import annotations

import sys

from ltbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
