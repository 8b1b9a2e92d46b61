"""Branches of an image tower: parts of it that exist several times, while the rest is shared."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class TowerBranches(nn.Module):
    """Gives a tower K branches by copies of some of its parts.

    The tower itself is branch 0 and stays as it is, so whatever encodes with it goes on to; the copies start equal to
    its parts and belong to this module. Only inside :meth:`every` and :meth:`each` do rows take different branches:

    >>> import torch
    >>> tower = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2))
    >>> branches = TowerBranches(tower, ["1"])
    >>> with branches.every():
    ...     tower(torch.zeros(5, 3)).shape
    torch.Size([10, 2])

    Args:
        tower: an image tower whose parts take rows first, [n, …].
        parts: names of its parts that each branch has for itself, in the order in which rows meet them. Parts that
            come later and are not named are shared again.
        branches: K, at least 2.

    Raises:
        ValueError: no part, or fewer than two branches.
        AttributeError: the tower has no part of that name.
    """

    def __init__(self, tower: nn.Module, parts: Sequence[str], branches: int = 2) -> None:
        super().__init__()
        if not parts or branches < 2:
            raise ValueError(f"expected a part and two branches at least, got {list(parts)} and {branches}")
        self.parts = tuple(parts)
        self.branches = branches
        # A tuple, because as a module of this one the tower would be in its state twice.
        self._own = tuple(tower.get_submodule(part) for part in self.parts)
        self.copies = nn.ModuleList(
            nn.ModuleList(copy.deepcopy(part) for part in self._own) for _ in range(branches - 1)
        )

    def follow(self) -> None:
        """Put each copy into the mode (training, evaluation) of the part it was copied from."""
        for copies in self.copies:
            assert isinstance(copies, nn.ModuleList)
            for part, twin in zip(self._own, copies, strict=True):
                for one, other in zip(part.modules(), twin.modules(), strict=True):
                    other.training = one.training

    @contextmanager
    def every(self) -> Iterator[None]:
        """Inside, the tower takes n rows through all branches and gives [K n, …]: first all rows of branch 0, …"""
        with self._routed(spread=True):
            yield

    @contextmanager
    def each(self) -> Iterator[None]:
        """Inside, the tower takes K equal shares of rows, share k through branch k, and gives them in that order."""
        with self._routed(spread=False):
            yield

    @contextmanager
    def _routed(self, spread: bool) -> Iterator[None]:
        handles = []
        try:
            for number, part in enumerate(self._own):
                twins = [copies[number] for copies in self.copies]  # type: ignore[index]
                route = _Route(twins, spread and number == 0)
                handles.append(part.register_forward_pre_hook(route.before, with_kwargs=True))
                handles.append(part.register_forward_hook(route.after, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Route:
    """Cuts the input of a part to the rows of branch 0, and adds what the copies make of the others."""

    def __init__(self, twins: Sequence[nn.Module], spread: bool) -> None:
        self._twins = twins
        self._spread = spread
        self._rest: tuple[Tensor, ...] = ()

    def before(self, part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rows: Tensor = args[0]
        branches = len(self._twins) + 1
        if self._spread:
            self._rest = (rows,) * len(self._twins)
            return args, kwargs
        if len(rows) % branches:
            raise ValueError(f"{len(rows)} rows are not {branches} equal shares")
        first, *rest = rows.chunk(branches)
        self._rest = tuple(rest)
        return (first, *args[1:]), kwargs

    def after(self, part: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor) -> Tensor:
        others = [twin(rows, *args[1:], **kwargs) for twin, rows in zip(self._twins, self._rest, strict=True)]
        self._rest = ()
        return torch.cat([output, *others])
