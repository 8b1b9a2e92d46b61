"""Libraries that another one is not to find while it is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def absent(*names: str, hollow: Mapping[str, str] | None = None) -> Iterator[None]:
    """Context in which modules cannot be imported, as if they were not installed: for what can do without.

    A module that is imported already is found as ever; afterwards all are. Other threads do not find them either, so
    that this is for imports before threads are at work.

    Args:
        names: in full, as in ``sys.modules``.
        hollow: modules that are found, and hold nothing but an empty class of this name: for what cannot do without,
            and never makes one.
    """
    # None is Python's own mark of a module that is not to be imported: "import of NAME halted", an ImportError.
    shown: dict[str, ModuleType | None] = dict.fromkeys(names)
    for name, member in (hollow or {}).items():
        shown[name] = ModuleType(name)
        setattr(shown[name], member, type(member, (), {}))
    hidden = {name: module for name, module in shown.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
