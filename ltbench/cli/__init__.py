"""The command line: one small file per command, imported only when the command is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: what follows ``ltbench``; ``None`` takes ``sys.argv``.

    Returns:
        Exit code: 0; 1 when something was found wrong or an unexpected error occurred; 2 for what the user typed or has
        to put right; 130 after an interrupt.
    """
    from ltbench.cli.boundary import run_guarded
    from ltbench.cli.root import cli
    from ltbench.cli.variables import unknown_variables
    from ltbench.plugin.system import replace_unprintable

    replace_unprintable()
    for line in unknown_variables(os.environ):
        print(line, file=sys.stderr)
    return run_guarded(cli, list(sys.argv[1:] if args is None else args))
