"""Options of methods that start from a vector for each class name."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_serializer, field_validator
from torch import Tensor

from ltbench.method.config import MethodConfig
from ltbench.method.method import Context
from ltbench.nn import ensemble_features, read_word_vectors


class WordVectorConfig(MethodConfig):
    """Where the vectors of class names come from. A method's ``needs`` takes :meth:`text` and :meth:`extras`."""

    words: Literal["text", "glove", "one-hot"] = Field(
        "text", description="vectors of class names: the text tower's, a file of word vectors, or one-hot [ours: text]"
    )
    glove_file: str = Field(
        "", description="text file of word vectors; words=glove only. The record keeps its name and sha256"
    )

    @field_validator("glove_file")
    @classmethod
    def _file_where_it_is_used(cls, value: str, info: ValidationInfo) -> str:
        used = info.data.get("words") == "glove"
        if used and not Path(value).expanduser().is_file():
            raise ValueError(f"words=glove reads a file of word vectors, and there is none at {value!r}")
        if value and not used:
            raise ValueError("a file of word vectors is read with words=glove only")
        return value

    @field_serializer("glove_file", when_used="json")
    def _without_path(self, value: str) -> str:
        # Records name no paths, and two files of one name are not the same configuration.
        path = Path(value).expanduser()
        return f"{path.name} (sha256 {_sha256(path, path.stat().st_mtime_ns)})" if value else ""

    def text(self) -> bool:
        """Whether the backbone must have a text tower."""
        return self.words == "text"

    def extras(self) -> tuple[str, ...]:
        """What a row used besides images and labels."""
        return ("GloVe",) if self.words == "glove" else ()

    def vectors(self, context: Context) -> Tensor:
        """Vectors float32 [C, W] of the classes, on the CPU.

        Text features are those of "a photo of a …", normalised; one-hot vectors make W = C.

        Raises:
            UserError: the file lacks a word.
        """
        if self.words == "glove":
            return read_word_vectors(Path(self.glove_file).expanduser(), context.class_names)
        if self.words == "one-hot":
            return torch.eye(len(context.class_names))
        assert context.backbone.text is not None, "the needs of the method ask for a text tower"
        return ensemble_features(context.backbone.text, context.class_names).float().cpu()


@lru_cache(maxsize=8)
def _sha256(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
