"""How tiny-clip's weights are made: two seeded stages on rendered scenes, a few minutes of processor time.

Stage ``words`` teaches the image tower which words the captions of an image hold (sum of binary cross-entropies over
the vocabulary), first on images of one large object, then on the data set's own kind of scene. Stage ``contrast``
aligns both towers with the symmetric InfoNCE loss of CLIP (Radford et al. 2021, section 2.3): each
image with its own caption, which may leave objects out. The loss of the first stage fades out during the second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from ltbench.backbones.tiny_clip.model import build_model, preprocess
from ltbench.backbones.tiny_clip.pool import Pool, build_pool
from ltbench.backbones.tiny_clip.tokenizer import TinyTokenizer
from ltbench.backbones.tiny_clip.towers import TinyClip
from ltbench.plugin.files import write_atomic

Rows = NDArray[np.int64]

Progress = Callable[[str, int, int, float], None]
"""Called with the stage, steps done, steps in all and the last loss (0 while the pool is drawn)."""

Watch = Callable[[str, int, TinyClip], None]
"""Called every 100 steps with the stage, the step and the model, to study the training; must not change it."""


@dataclass(frozen=True)
class Recipe:
    """Everything that the weights depend on besides the seed, library versions and thread count."""

    easy: int = 10_000
    standard: int = 30_000
    captions: int = 4
    partial: float = 0.3
    """Chance that a caption names only some of the objects of its image."""
    words_steps: int = 700
    words_batch: int = 128
    words_rate: float = 3e-3
    easy_share: float = 0.3
    """Share of the first stage that sees easy images only; afterwards they are ``easy_mix`` of every batch."""
    easy_mix: float = 0.3
    contrast_steps: int = 200
    contrast_batch: int = 128
    contrast_rate: float = 1.8e-3
    words_weight: float = 0.3
    """Weight of the first stage's loss when the second starts; zero from 60 % of the second stage on."""
    warmup: int = 60
    weight_decay: float = 0.05
    shift: int = 6
    """Images are shifted by up to so many pixels and mirrored at random."""


def pretrain(
    out: Path,
    seed: int = 0,
    *,
    recipe: Recipe | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Pre-train tiny-clip and write its weights as float16 safetensors to ``out``; returns recipe, seconds and losses.

    The result is the same for the same seed, recipe, thread count, processor and library versions; global random
    state and thread count are left as they were. Raises FloatingPointError if a loss is not finite and
    UserError if ``out`` cannot be written.
    """
    recipe = recipe or Recipe()
    report: dict[str, Any] = {"seed": seed, "threads": threads, "recipe": asdict(recipe)}
    started = time.perf_counter()

    def drawn(done: int, total: int) -> None:
        if progress is not None:
            progress("draw", done, total, 0.0)

    workers = threads if recipe.easy + recipe.standard >= 4_000 else 1
    pool = build_pool(seed, recipe.easy, recipe.standard, recipe.captions, recipe.partial, workers, drawn)
    report["draw_seconds"] = round(time.perf_counter() - started, 1)
    with _seeded(seed, threads):
        trainer = _Trainer(pool, recipe, seed, progress, watch)
        for stage in (trainer.words, trainer.contrast):
            began = time.perf_counter()
            report[f"{stage.__name__}_loss"] = stage()
            report[f"{stage.__name__}_seconds"] = round(time.perf_counter() - began, 1)
    state = trainer.model.state_dict()
    halves = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in sorted(state.items())}
    write_atomic(out, save(halves))
    report["seconds"] = round(time.perf_counter() - started, 1)
    return report


def encode_text(model: TinyClip, tokens: Tensor) -> Tensor:
    """Text features [n, 128], not normalised; a causal tower need not read past the last end token of the batch."""
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    projected: Tensor = x[torch.arange(len(x)), ends] @ model.text_projection
    return projected


class _Trainer:
    def __init__(self, pool: Pool, recipe: Recipe, seed: int, progress: Progress | None, watch: Watch | None) -> None:
        self.pool, self.recipe, self.progress, self.watch = pool, recipe, progress, watch
        self.draws = np.random.RandomState(seed)
        self.tokenizer = TinyTokenizer()
        self.model = build_model()
        self.model.visual.to(memory_format=torch.channels_last)
        self.bag = _bags(pool, self.tokenizer)
        prior = self.bag.mean(dim=0).clamp(1e-4, 1 - 1e-4)
        self.head = nn.Linear(128, self.bag.shape[1])
        with torch.no_grad():
            self.head.bias.copy_(torch.log(prior / (1 - prior)))
        lookup = torch.arange(self.tokenizer.vocab_size)
        left, right = self.tokenizer.encode("left right")
        lookup[left], lookup[right] = right, left
        self.mirrored = lookup

    def words(self) -> float:
        """The first stage; returns the mean loss of its last steps."""
        r = self.recipe

        def loss(step: int) -> Tensor:
            only_easy = step < r.easy_share * r.words_steps
            rows = self._rows(r.words_batch, 1.0 if only_easy else r.easy_mix)
            images, _ = self._images(rows)
            return self._bag_loss(self.model.visual(images), rows)

        parameters = [*self.model.visual.named_parameters(), *self.head.named_parameters()]
        return self._run("words", r.words_steps, r.words_rate, parameters, loss)

    def contrast(self) -> float:
        """The second stage; returns the mean loss of its last steps."""
        r = self.recipe

        def loss(step: int) -> Tensor:
            rows = self._rows(r.contrast_batch, 0.0)
            images, mirrored = self._images(rows)
            raw = self.model.visual(images)
            choice = self._integers(self.pool.tokens.shape[1], len(rows))
            tokens = torch.from_numpy(self.pool.tokens[rows, choice]).long()
            tokens = torch.where(mirrored[:, None], self.mirrored[tokens], tokens)
            texts = functional.normalize(encode_text(self.model, tokens), dim=-1)
            logits = self.model.logit_scale.exp() * functional.normalize(raw, dim=-1) @ texts.T
            pairs = torch.eye(len(rows))
            total = functional.cross_entropy(logits, pairs) + functional.cross_entropy(logits.T, pairs)
            total = total / 2
            weight = r.words_weight * max(0.0, 1.0 - step / (0.6 * r.contrast_steps))
            return total + weight * self._bag_loss(raw, rows) if weight > 0 else total

        parameters = [*self.model.named_parameters(), *self.head.named_parameters()]
        return self._run("contrast", r.contrast_steps, r.contrast_rate, parameters, loss)

    def _run(
        self,
        stage: str,
        steps: int,
        rate: float,
        parameters: list[tuple[str, nn.Parameter]],
        loss_of: Callable[[int], Tensor],
    ) -> float:
        decay = [p for _, p in parameters if p.ndim >= 2]
        other = [p for _, p in parameters if p.ndim < 2]
        groups = [{"params": decay, "weight_decay": self.recipe.weight_decay}, {"params": other, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        recent: list[float] = []
        self.model.train()
        for step in range(steps):
            warm = min(1.0, (step + 1) / self.recipe.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            loss = loss_of(step)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(f"stage {stage} diverged at step {step + 1}: loss {value}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for _, p in parameters], 5.0)
            optimizer.step()
            with torch.no_grad():
                self.model.logit_scale.clamp_(0.0, math.log(100.0))
            recent = [*recent[-49:], value]
            if self.progress is not None:
                self.progress(stage, step + 1, steps, value)
            if self.watch is not None and ((step + 1) % 100 == 0 or step + 1 == steps):
                self.watch(stage, step + 1, self.model)
                self.model.train()
        return round(sum(recent) / max(len(recent), 1), 4)

    def _integers(self, below: int, count: int) -> Rows:
        return (self.draws.random_sample(count) * below).astype(np.int64)

    def _rows(self, count: int, easy_share: float) -> Rows:
        easy = round(count * easy_share)
        standard = self._integers(len(self.pool.images) - self.pool.easy, count - easy) + self.pool.easy
        return np.concatenate([self._integers(self.pool.easy, easy), standard])

    def _images(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Shifted, mirrored and preprocessed images, and which of them are mirrored (bool [n])."""
        images = preprocess(torch.from_numpy(self.pool.images[rows]))
        mirrored = torch.from_numpy(self.draws.random_sample(len(rows)) < 0.5)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        chunks = images.chunk(8)
        shifts = self._integers(2 * self.recipe.shift + 1, 2 * len(chunks)) - self.recipe.shift
        moved = [
            chunk.roll((int(shifts[2 * i]), int(shifts[2 * i + 1])), dims=(2, 3)) for i, chunk in enumerate(chunks)
        ]
        return torch.cat(moved).contiguous(memory_format=torch.channels_last), mirrored

    def _bag_loss(self, raw: Tensor, rows: Rows) -> Tensor:
        loss = functional.binary_cross_entropy_with_logits(self.head(raw), self.bag[rows], reduction="sum")
        return loss / len(rows)


def _bags(pool: Pool, tokenizer: TinyTokenizer) -> Tensor:
    """float32 [N, words]: the share of an image's captions that hold each word."""
    first = tokenizer.vocab_size - 1 - len(tokenizer.words)
    bag = np.zeros((len(pool.tokens), tokenizer.vocab_size), dtype=np.float32)
    rows = np.arange(len(pool.tokens))[:, None]
    for k in range(pool.tokens.shape[1]):
        once = np.zeros(bag.shape, dtype=np.bool_)
        once[rows, pool.tokens[:, k]] = True
        bag += once
    return torch.from_numpy(bag[:, first:-1] / pool.tokens.shape[1])


@contextmanager
def _seeded(seed: int, threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
