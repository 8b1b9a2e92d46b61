"""``ltbench task new`` as people type it, with their photographs and labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Cli

LABELS = ["sun", "sky|sun", "apple", "leaf|sky", "", "apple|leaf", "sun", "sky", "leaf", "apple|sun"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Ten photographs, and their labels in the current folder."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    lines = ["file,split,labels"]
    for number, labels in enumerate(LABELS):
        pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(tmp_path / "photos" / f"{number}.png")
        lines.append(f"{number}.png,{'test' if number % 2 else 'train'},{labels}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_names_like_paths_are_refused_before_anything_is_trained(cli: Cli, here: Path) -> None:
    text = (here / "labels.csv").read_text().replace("apple", "/m/0aa11")
    (here / "labels.csv").write_text(text)
    said = cli("task", "new", "mids", "--images", "photos", "--labels", "labels.csv")
    assert said.code == 2
    assert "label '/m/0aa11' reads like a file path, which no record may hold" in said.err
    assert not (here / "ltbench-tasks").exists()


def test_a_large_picture_names_the_variable(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "1000")
    said = cli("task", "new", "big", "--images", "photos", "--labels", "labels.csv", "--skip-bad")
    assert "1,024 pixels, the limit is 1,000; LTBENCH_MAX_PIXELS=10M raises it" in said.err
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "2K")
    assert cli("task", "new", "big", "--images", "photos", "--labels", "labels.csv").code == 0


def test_what_was_guessed_is_said_and_in_the_json(cli: Cli, here: Path) -> None:
    (here / "labels.csv").write_text((here / "labels.csv").read_text().replace("|", ";"))
    command = ("task", "new", "joined", "--images", "photos", "--labels", "labels.csv")
    said = cli(*command)
    assert said.out.splitlines()[:2] == [
        "Task joined version 1: 5 train, 5 test images, 4 classes.",
        "Note: labels are joined by ';'; --sep '|' takes cells as they are.",
    ]
    document = json.loads(cli(*command, "--json").out)
    assert (document["changed"], document["ranked"], document["left_out"]) == (False, True, [])
    assert document["notes"][0].startswith("labels are joined by ';'")


def test_a_task_with_hidden_labels_is_run_and_shown(cli: Cli, here: Path) -> None:
    """Own photographs under the protocol of a family, from the folder to a record."""
    names = ("--images", "photos", "--labels", "labels.csv", "--protocol", "partial:0.6", "--head-from", "3")
    assert cli("task", "new", "mine", *names, "--medium-from", "2").code == 0
    shown = cli("show", "task", "mine").out
    assert "60 % of all labels known (hashed draw)" in shown
    assert "head n >= 3, medium n >= 2" in shown
    said = cli("run", "--task", "mine", "--method", "linear-probe", "--backbone", "tiny-clip", "-o", "epochs=1")
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--images", "photos"), "where are the labels?"),
        (("--images", "photos", "--labels", "labels.csv", "--column", "picture=file"), "a role is file, labels"),
        (("--images", "photos", "--labels", "labels.json"), "labels.json does not exist"),
    ],
)
def test_what_is_missing_is_one_line(cli: Cli, here: Path, words: tuple[str, ...], expected: str) -> None:
    said = cli("task", "new", "mine", *words)
    assert said.code == 2
    assert expected in said.err
    assert "→" in said.err


def test_a_folder_a_class_needs_no_labels(cli: Cli, here: Path) -> None:
    for number in range(10):
        folder = here / "sorted" / ("dog" if number % 2 else "cat")
        folder.mkdir(parents=True, exist_ok=True)
        (here / "photos" / f"{number}.png").rename(folder / f"{number}.png")
    said = cli("task", "new", "mine", "--format", "folder", "--images", "sorted", "--absent", "unknown")
    assert said.code == 0, said.err
    assert "classes that an image does not name are unknown in training, and absent at test" in said.out
