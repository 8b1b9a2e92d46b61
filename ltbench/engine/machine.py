"""What a process asks of the machine before it computes: threads, and that memory once had is kept."""

from __future__ import annotations

from typing import Final

import torch

from ltbench.plugin.system import keep_freed_memory

#: Activations of a batch are tens of megabytes each; what is larger than this goes back to the system at once.
_KEPT_BYTES: Final = 1 << 30


def compute_with(threads: int) -> None:
    """Compute with so many CPU threads from here on, and keep freed memory for the next batch.

    The system would otherwise clear the same pages for every layer of every batch, up to half of the time that an image
    tower takes. Results depend on the number of threads, in the last bits, and on nothing else here.
    """
    torch.set_num_threads(threads)
    keep_freed_memory(_KEPT_BYTES)
