"""Learnable context words in front of class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.nn.text import Shared, Tower, recomputed
from ltbench.plugin.errors import UserError

Position = Literal["end", "middle", "front"]


class PromptLearner(nn.Module):
    """Prompts ``[start] [context] [class name] . [end of text]`` whose context vectors are learned.

    Source: CoOp (Zhou et al., Learning to Prompt for Vision-Language Models, IJCV 2022, section 3.2). Class names keep
    their own token embeddings; underscores in them become blanks. Towers without a start-of-text token have none here.
    Prompts end with the last end-of-text token of all classes; a tower that sees more than that adds it itself. Only
    ``ctx`` is learned and in ``state_dict``; all else follows from the tower and the class names.

    Args:
        tower: frozen text tower; it is used, not owned (see ``ltbench.nn.text.Shared``).
        class_names: names of the C classes.
        context_tokens: number M of context vectors.
        init: words whose embeddings the context starts from; they must have M tokens. None draws the context from
            N(0, 0.02^2).
        class_specific: a context for each class [C, M, W] instead of one for all [M, W].
        position: where the name stands: at the ``end``, in the ``middle`` of the context (M // 2 vectors before it), or
            in ``front`` of it.
        seed: seed of the random context; None draws from torch's global generator.

    Raises:
        UserError: ``init`` has another number of tokens, or a prompt does not fit the tower's context (class named).
    """

    prefix: Tensor
    tail: Tensor
    ends: Tensor

    def __init__(
        self,
        tower: Tower,
        class_names: Sequence[str],
        context_tokens: int = 4,
        init: str | None = "a photo of a",
        class_specific: bool = False,
        position: Position = "end",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self._shared = Shared(tower)
        self.class_names: tuple[str, ...] = ()
        self.context_tokens = context_tokens
        self.class_specific = class_specific
        self.position = position
        for name in ("prefix", "tail", "ends"):
            self.register_buffer(name, None, persistent=False)
        self._bind(class_names)
        copies = (len(self.class_names),) if class_specific else ()
        shape = (*copies, context_tokens, tower.width)
        if init is None:
            generator = None if seed is None else torch.Generator().manual_seed(seed)
            self.ctx = nn.Parameter((torch.randn(shape, generator=generator) * 0.02).to(self.prefix))
        else:
            self.ctx = nn.Parameter(self._embedded(init).expand(shape).clone())

    @property
    def tower(self) -> Tower:
        """The frozen text tower."""
        return self._shared.tower

    def forward(self, keep: int | None = None) -> tuple[Tensor, Tensor]:
        """Token embeddings [C, length, W] of all prompts, and the positions of their end-of-text tokens int64 [C].

        Args:
            keep: leave out all but the last so many context vectors, 0 <= keep <= M; None keeps all.

        Raises:
            ValueError: there are fewer vectors than asked for.
        """
        return self._prompts(self.ctx, slice(None), self._dropped(keep))

    def _dropped(self, keep: int | None) -> int:
        dropped = 0 if keep is None else self.context_tokens - keep
        if not 0 <= dropped <= self.context_tokens:
            raise ValueError(f"keep: expected 0 <= keep <= {self.context_tokens} (context vectors), got {keep}")
        return dropped

    def _prompts(self, context: Tensor, rows: slice | Tensor, dropped: int) -> tuple[Tensor, Tensor]:
        """Embeddings of some classes' prompts up to their own last end, and the ends.

        Args:
            context: the shared context [M, W], or that of these classes [n, M, W].
            rows: the classes.
            dropped: leave out so many context vectors.
        """
        ends = self.ends[rows] - dropped
        # Of the tokens behind the start: the name, the full stop and the end.
        count = len(ends)
        length = int(ends.max()) + 1 - self.tower.starts - (self.context_tokens - dropped)
        ctx = (context if self.class_specific else context.expand(count, -1, -1))[:, dropped:]
        start = self.prefix.expand(count, -1, -1)
        with torch.no_grad():
            tail = self.tower.embed_tokens(self.tail[rows, :length]).to(self.prefix)
        if self.position == "end":
            return torch.cat([start, ctx, tail], dim=1), ends
        # Names differ in length, so that each prompt is put together on its own.
        before = 0 if self.position == "front" else max(0, self.context_tokens // 2 - dropped)
        chosen = rows.tolist() if isinstance(rows, Tensor) else range(len(self.class_names))[rows]
        lengths = [self._name_lengths[c] for c in chosen]
        prompts = [
            torch.cat([start[c], ctx[c, :before], tail[c, :own], ctx[c, before:], tail[c, own:]])
            for c, own in enumerate(lengths)
        ]
        return torch.stack(prompts), ends

    def padded(self) -> Tensor:
        """Token embeddings [C, context_length, W] of all prompts, padding tokens included."""
        embeddings, _ = self()
        missing = self.tower.context_length - embeddings.shape[1]
        with torch.no_grad():
            filler = torch.full((1, 1), self.tower.padding, dtype=torch.int64, device=embeddings.device)
            blank = self.tower.embed_tokens(filler)
        # A prompt ends elsewhere than the longest one, but behind its end the tokenizer pads alike.
        return torch.cat([embeddings, blank.to(embeddings).expand(len(embeddings), missing, -1)], dim=1)

    def class_features(
        self, chunk: int | None = None, keep: int | None = None, classes: Tensor | None = None
    ) -> Tensor:
        """L2-normalised text features [C, D].

        Args:
            chunk: put together and encode so many prompts at a time, and again in the backward pass, so that memory
                does not grow with the number of classes; None encodes all at once.
            keep: see :meth:`forward`.
            classes: int64 [n], features of these classes only, [n, D].
        """
        dropped, count = self._dropped(keep), len(self.class_names)
        if classes is not None:
            return self._features_of(classes, dropped, chunk or len(classes))
        if chunk is None or count <= chunk:
            return self._features(self.ctx, slice(None), dropped)
        starts = range(0, count, chunk)
        # Split, not sliced: the backward pass of each slice would fill a gradient of all contexts.
        contexts = torch.split(self.ctx, chunk) if self.class_specific else [self.ctx] * len(starts)
        return torch.cat(
            [
                recomputed(self._features, context, slice(start, start + chunk), dropped)
                for start, context in zip(starts, contexts, strict=True)
            ]
        )

    def _features_of(self, classes: Tensor, dropped: int, chunk: int) -> Tensor:
        parts = torch.split(classes.to(self.ends.device), chunk)
        if len(parts) == 1:
            return self._features(self.ctx[parts[0]] if self.class_specific else self.ctx, parts[0], dropped)
        contexts = [self.ctx[part] for part in parts] if self.class_specific else [self.ctx] * len(parts)
        return torch.cat(
            [recomputed(self._features, context, part, dropped) for context, part in zip(contexts, parts, strict=True)]
        )

    def _features(self, context: Tensor, rows: slice | Tensor, dropped: int) -> Tensor:
        embeddings, ends = self._prompts(context, rows, dropped)
        return normalize(self.tower.encode_alike(embeddings, ends, self._alike(dropped)), dim=-1)

    def _alike(self, dropped: int) -> int:
        """How many first positions all prompts share: the start, and the context that stands before the names."""
        if self.class_specific or self.position == "front":
            return self.tower.starts
        before = self.context_tokens if self.position == "end" else max(dropped, self.context_tokens // 2)
        return self.tower.starts + before - dropped

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned context in front of other class names.

        Raises:
            UserError: the context is class-specific, so that other classes have none; or a prompt does not fit.
        """
        if self.class_specific:
            raise UserError(
                "class-specific contexts say nothing about classes they were not trained on", "class_specific=false"
            )
        device = self.ctx.device
        self._bind(names)
        self.to(device)

    def _bind(self, class_names: Sequence[str]) -> None:
        if not class_names:
            raise ValueError("no class names")
        tower = self.tower
        plain = [name.replace("_", " ") for name in class_names]
        with torch.no_grad():
            device = _device(tower)
            sentences = tower.tokenize([f"{name}." for name in plain]).to(device)
            ends = tower.end_positions(sentences)
            starts = tower.starts
            lengths = tower.end_positions(tower.tokenize(plain).to(device)) - starts
            # A name that fills the context was cut off, so that its true length is not known.
            room = tower.context_length - 1
            too_long = (ends + self.context_tokens > room) | (lengths >= room - starts)
            if bool(too_long.any()):
                name = class_names[int(too_long.int().argmax())]
                raise UserError(
                    f"class name {name!r} and {self.context_tokens} context tokens exceed the {tower.context_length}"
                    " tokens of the text tower",
                    "fewer context tokens, or a shorter name",
                )
            first = tower.embed_tokens(sentences[:1, :starts]).detach()
        self.class_names = tuple(class_names)
        self._name_lengths = tuple(int(n) for n in lengths)
        # Token ids, not their embeddings: ten thousand classes' embeddings take hundreds of megabytes.
        self.prefix, self.tail = first.clone(), sentences[:, starts : int(ends.max()) + 1].clone()
        self.ends = ends + self.context_tokens

    def _embedded(self, init: str) -> Tensor:
        """Token embeddings [M, W] of the initial words."""
        tower = self.tower
        with torch.no_grad():
            tokens = tower.tokenize([init.replace("_", " ")]).to(self.prefix.device)
            starts = tower.starts
            count = int(tower.end_positions(tokens)[0]) - starts
            if count != self.context_tokens:
                raise UserError(
                    f"the context starts from {init!r}, which has {count} tokens, but context_tokens is"
                    f" {self.context_tokens}",
                    f"context_tokens={count}, or init=null for a random start",
                )
            return tower.embed_tokens(tokens)[0, starts : starts + count].detach()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._shared.apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def _device(tower: Tower) -> torch.device:
    parameters = tower.parameters() if isinstance(tower, nn.Module) else iter(())
    first = next(parameters, None)
    return torch.device("cpu") if first is None else first.device
