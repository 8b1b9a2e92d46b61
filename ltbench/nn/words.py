"""Vectors of class names from a file of word vectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ltbench.plugin.errors import UserError


def words_of(name: str) -> tuple[str, ...]:
    """The lower-case words of a class name; blanks, underscores, hyphens and slashes part them.

    >>> words_of("Traffic_light")
    ('traffic', 'light')
    """
    return tuple(word for word in re.split(r"[\s_\-/]+", name.lower()) if word)


def read_word_vectors(path: Path, class_names: Sequence[str]) -> Tensor:
    """Vectors float32 [C, D] of class names: the mean over the words of a name, as ML-GCN has it.

    Only the words asked for are kept, so a file of any size is read in constant memory.

    Args:
        path: text file of GloVe's form: a word and D numbers a line, parted by blanks.
        class_names: the names; see :func:`words_of`.

    Raises:
        UserError: no such file, a line that is none of this form, or a word that the file does not have.
    """
    wanted = {word for name in class_names for word in words_of(name)}
    found: dict[str, Tensor] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, _, rest = line.rstrip().partition(" ")
                if word in wanted and word not in found:
                    found[word] = _vector(rest, path, number)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"word vectors {path.name} cannot be read ({error})", "-o words=text") from error
    sizes = {len(vector) for vector in found.values()}
    if len(sizes) > 1:
        raise UserError(f"word vectors {path.name} differ in size: {sorted(sizes)}", "-o words=text")
    gaps = {name: [word for word in words_of(name) or ("any word",) if word not in found] for name in class_names}
    lacking = [name for name, words in gaps.items() if words]
    if lacking:
        more = f", and for {len(lacking) - 1} more classes" if len(lacking) > 1 else ""
        raise UserError(
            f"word vectors {path.name} lack {', '.join(gaps[lacking[0]])} for class {lacking[0]!r}{more}",
            "-o words=text",
        )
    return torch.stack([torch.stack([found[w] for w in words_of(name)]).mean(dim=0) for name in class_names])


def _vector(text: str, path: Path, number: int) -> Tensor:
    try:
        vector = torch.tensor([float(part) for part in text.split()], dtype=torch.float32)
    except ValueError:
        vector = torch.empty(0)
    if not len(vector) or not bool(torch.isfinite(vector).all()):
        raise UserError(f"word vectors {path.name}, line {number}: expected a word and numbers", "-o words=text")
    return vector
