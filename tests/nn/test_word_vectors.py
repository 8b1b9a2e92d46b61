"""Vectors of class names: from a file, from the text tower, one-hot; and what a record keeps of the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from ltbench.method import WordVectorConfig
from ltbench.method.config import build_config
from ltbench.nn import read_word_vectors, words_of
from ltbench.plugin import UserError

LINES = "the 9 9 9\ntraffic 1 2 3\nlight 3 4 -5\ncat 0.5 0 1e-1\ncat 7 7 7\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_words_of_a_name() -> None:
    assert words_of("Traffic_light") == ("traffic", "light")
    assert words_of(" hot-dog / bun ") == ("hot", "dog", "bun")


def test_a_name_of_several_words_is_their_mean(file: Path) -> None:
    vectors = read_word_vectors(file, ["cat", "Traffic light"])
    torch.testing.assert_close(vectors, torch.tensor([[0.5, 0.0, 0.1], [2.0, 3.0, -1.0]]))


@pytest.mark.parametrize(
    ("content", "names", "named"),
    [
        (LINES, ["cat", "dog house", "sun"], "lack dog, house for class 'dog house', and for 1 more"),
        (LINES, ["--"], "lack any word for class '--'"),
        ("cat 1 x\n", ["cat"], "line 1"),
        ("cat\n", ["cat"], "line 1"),
        ("dog 1\ncat nan 1\n", ["cat"], "line 2"),
        ("dog 1\ncat 1 2\n", ["cat", "dog"], r"\[1, 2\]"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path: Path, content: str, names: list[str], named: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=named):
        read_word_vectors(path, names)
    with pytest.raises(UserError, match="cannot be read"):
        read_word_vectors(tmp_path / "none.txt", ["cat"])


def test_a_record_keeps_name_and_hash_of_the_file_and_no_path(file: Path) -> None:
    config = WordVectorConfig(words="glove", glove_file=str(file))
    assert config.extras() == ("GloVe",)
    assert not config.text()
    digest = hashlib.sha256(LINES.encode()).hexdigest()
    assert config.model_dump(mode="json")["glove_file"] == f"vectors.txt (sha256 {digest})"
    assert config.glove_file == str(file)


def test_without_a_file() -> None:
    for words in ("text", "one-hot"):
        config = WordVectorConfig(words=words)
        assert config.extras() == ()
        assert config.text() is (words == "text")
        assert config.model_dump(mode="json") == {"words": words, "glove_file": ""}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"words": "glove"}, "there is none at ''"),
        ({"words": "glove", "glove_file": "missing.txt"}, "there is none at 'missing.txt'"),
        ({"glove_file": "missing.txt"}, "words=glove only"),
    ],
)
def test_a_file_that_is_not_there_or_not_used_is_refused(options: dict[str, str], named: str) -> None:
    with pytest.raises(UserError, match=named):
        build_config(WordVectorConfig, "ml-gcn", options)
