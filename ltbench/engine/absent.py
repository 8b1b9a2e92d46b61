"""Libraries that another one is not to find while it is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Context in which modules cannot be imported, as if they were not installed: for what can do without.

    A module that is imported already is found as ever; afterwards all are. Other threads do not find them either, so
    that this is for imports before threads are at work.

    Args:
        names: in full, as in ``sys.modules``.
    """
    # None is Python's own mark of a module that is not to be imported: "import of NAME halted", an ImportError.
    hidden: dict[str, ModuleType | None] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
