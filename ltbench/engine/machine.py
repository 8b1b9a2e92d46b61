"""What a process asks of the machine before it computes: threads, and that memory once had is kept."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

import torch

#: Numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
#: Activations of a batch are tens of megabytes each; what is larger than this goes back to the system at once.
_KEPT_BYTES: Final = 1 << 30


def compute_with(threads: int) -> None:
    """Compute with so many CPU threads from here on, and keep freed memory for the next batch.

    Results depend on the number of threads, in the last bits, and on nothing else here.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc answer large allocations from memory that it holds.

    By default it asks the system for each large tensor and gives it back at once, so that the system has to
    clear the same pages for every layer of every batch: up to half of the time that an image tower takes. Where the C
    library is another one, nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    adjust.argtypes = (ctypes.c_int, ctypes.c_int)
    for name in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        adjust(name, _KEPT_BYTES)
