"""What tiny-clip is pre-trained on: scenes and captions of a stream apart from all parts of ``shapes``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from ltbench.backbones.tiny_clip.tokenizer import CONTEXT_LENGTH, TinyTokenizer
from ltbench.data.shapes.canvas import generator, shuffled
from ltbench.data.shapes.captions import caption, plain_caption
from ltbench.data.shapes.names import CLASS_NAMES
from ltbench.data.shapes.scene import EASY, STANDARD, draw_scene

_CHUNK = 500


@dataclass(frozen=True)
class Pool:
    """``images`` uint8 [N, 64, 64, 3]; ``tokens`` int16 [N, K, 32], K captions an image; ``shown`` bool [N, 20],
    the objects of an image, not all of which a caption names.

    The first ``easy`` images show one large object each, the others one to three objects as the data set draws them.
    """

    images: NDArray[np.uint8]
    tokens: NDArray[np.int16]
    shown: NDArray[np.bool_]
    easy: int


def build_pool(
    seed: int,
    easy: int,
    standard: int,
    captions: int,
    partial: float,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Pool:
    """Render the pool; the result does not depend on ``workers``. ``progress(done, total)`` counts images.

    ``partial`` is the chance that a caption names only some of the objects, as people's captions do.
    """
    total = easy + standard
    images = np.empty((total, 64, 64, 3), dtype=np.uint8)
    tokens = np.empty((total, captions, CONTEXT_LENGTH), dtype=np.int16)
    shown = np.empty((total, len(CLASS_NAMES)), dtype=np.bool_)
    jobs = [(seed, start, min(start + _CHUNK, total), easy, captions, partial) for start in range(0, total, _CHUNK)]
    arrays = (images, tokens, shown)
    if workers == 1:
        _collect(map(_chunk, jobs), arrays, progress)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as executor:
            _collect(executor.map(_chunk, jobs), arrays, progress)
    return Pool(images, tokens, shown, easy)


_Job = tuple[int, int, int, int, int, float]
_Arrays = tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.bool_]]


def _collect(results: Iterable[_Arrays], arrays: _Arrays, progress: Callable[[int, int], None] | None) -> None:
    images, tokens, shown = arrays
    start, total = 0, len(images)
    for result in results:
        stop = start + len(result[0])
        images[start:stop], tokens[start:stop], shown[start:stop] = result
        start = stop
        if progress is not None:
            progress(stop, total)


def _chunk(job: _Job) -> _Arrays:
    seed, start, stop, easy, captions, partial = job
    tokenizer = TinyTokenizer()
    images, tokens = [], []
    shown = np.zeros((stop - start, len(CLASS_NAMES)), dtype=np.bool_)
    for index in range(start, stop):
        rng = generator("pretrain", seed, index)
        count = 1 if index < easy else 1 + int(rng.random_sample() * 3)
        labels = shuffled(list(range(len(CLASS_NAMES))), rng)[:count]
        scene = draw_scene(labels, rng, EASY if index < easy else STANDARD)
        texts = []
        for k in range(captions):
            told = scene
            if rng.random_sample() < partial:
                kept = shuffled(list(range(count)), rng)[: 1 + int(rng.random_sample() * count)]
                told = replace(scene, objects=tuple(scene.objects[i] for i in sorted(kept)))
            text = plain_caption(told, rng) if k == 0 else caption(told, rng)
            # A full stop ends half of the texts, as it ends prompts.
            texts.append(text + "." if rng.random_sample() < 0.5 else text)
        images.append(scene.image)
        tokens.append(tokenizer(texts).numpy().astype(np.int16))
        shown[index - start, labels] = True
    return np.stack(images), np.stack(tokens), shown
