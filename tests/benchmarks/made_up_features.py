"""``ltbench`` with features that no tower computed: disk, memory and hashes at a task's full number of rows.

    python tests/benchmarks/made_up_features.py run --task … --method …

All but the image tower is what a run does: photographs are hashed, shards of the true size are written and read. What
comes out means nothing. ``rehearsal.py --made-up`` runs the command so the first time, and as it is the second time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ltbench.backbones.encode import Encoder, Job
from ltbench.backbones.features import Float32
from ltbench.cli import main
from ltbench.data.base import Images

_BLOCK = 64


def make_up() -> None:
    """Have the cache filled with noise, in place of what the tower makes of the photographs."""
    true_regions = Encoder.regions
    places = [0]
    noise: list[Float32] = []

    def regions(encoder: Encoder) -> int:
        places[0] = true_regions(encoder)
        return places[0]

    def batches(
        encoder: Encoder, jobs: Sequence[Job], images: Images, ids: Sequence[str]
    ) -> Iterator[tuple[Sequence[Job], torch.Tensor]]:
        for start in range(0, len(jobs), encoder.batch_size):
            batch = jobs[start : start + encoder.batch_size]
            yield batch, torch.zeros(len(batch))

    def encoded(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
        width = encoder.width(places[0] if encoder.kind == "region" else 0)
        if not noise or noise[0].shape[1] != width:
            noise[:] = [np.random.default_rng(0).standard_normal((_BLOCK, width), dtype=np.float32)]
        return torch.from_numpy(noise[0][: len(pixels)])

    for name, function in (("regions", regions), ("_batches", batches), ("_encode_batch", encoded)):
        setattr(Encoder, name, function)


if __name__ == "__main__":
    make_up()
    sys.exit(main(sys.argv[1:]))
