"""Whether the released weights of an encoder are on this machine, told without building it or asking a network."""

from __future__ import annotations

from ltbench.backbones.released import released_files
from ltbench.data.base import DataRoot


def weights_at_hand(name: str, root: DataRoot) -> bool:
    """Whether a run with this backbone would find its weights: on this machine, or in a mirror folder.

    Encoders that bring their weights along, and those of other plugins that do not say, count as here.

    Raises:
        UnknownName: no such backbone, architecture or tag.
        UserError: ``LTBENCH_MIRROR`` is no mirror.
    """
    return all(file.here(root) is not None or file.mirrored() is not None for file in released_files(name))
