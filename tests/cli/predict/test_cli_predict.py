"""``ltbench predict``: the logits of the run, what is present, other class names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import METHODS, attempt, table_of


@pytest.mark.parametrize("method", METHODS)
def test_test_images_get_the_logits_of_the_run(
    cli: Cli, here: Path, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "nothing-here"))  # neither data nor features
    said = cli("predict", "--run", str(attempt(here, method)), "test", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    assert [Path(picture["path"]).name for picture in document["pictures"]] == [f"{row:03d}.png" for row in range(16)]
    stored = read_logits(attempt(here, method) / "logits.safetensors").logits
    np.testing.assert_allclose(table_of(document), stored, rtol=1e-5, atol=1e-5)
    assert document["classes"] == list(load_task("shapes-micro").classes)
    assert document["run"]["method"] == method
    assert not (tmp_path / "nothing-here").exists()
    labels = document["pictures"][0]["labels"]
    assert [label["logit"] for label in labels] == sorted((label["logit"] for label in labels), reverse=True)
    if document["calibrated"]:
        assert document["threshold"] == 0.5
        for label in labels:
            assert label["probability"] == pytest.approx(1 / (1 + np.exp(-label["logit"])))
            assert label["present"] == (label["logit"] > 0)
    else:
        assert {(label["probability"], label["present"]) for label in labels} == {(None, None)}


def test_calibrated_methods_show_what_is_present(cli: Cli, here: Path) -> None:
    run = attempt(here, "coop")
    stored = read_logits(run / "logits.safetensors").logits
    names = load_task("shapes-micro").classes
    said = cli("predict", "--run", str(run), "test")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "coop (paper), trained on shapes-micro, seed 0"
    assert lines[1].split() == ["picture", "label", "probability"]
    assert lines[-1] == "Present: probability above 0.5."
    shown = [line.split() for line in lines[3:-1]]
    first = [names[k] for k in np.argsort(-stored[0]) if stored[0, k] > 0]
    assert first, "the picture shows the other half of this test only with a present class"
    assert shown[0][:2] == ["test/000.png", first[0]]
    assert sum(line[0] != "none" and "(first:" not in line for line in shown) == int((stored > 0).sum())

    strict = cli("predict", "--run", str(run), "test/000.png", "--threshold", "1")
    assert f"none (first: {first[0]})" in strict.out
    loose = cli("predict", "--run", str(run), "test/000.png", "--threshold", "0")
    assert all(name in loose.out for name in names)
    top = cli("predict", "--run", str(run), "test/000.png", "--top", "6")
    assert top.out.splitlines()[1].split() == ["picture", "label", "probability", "present"]
    assert sum(line.endswith(" yes") for line in top.out.splitlines()) == len(first)
    document = json.loads(cli("predict", "--run", str(run), "test/000.png", "--top", "2", "--json").out)
    assert len(document["pictures"][0]["labels"]) == 2


def test_scores_that_are_no_probabilities_are_ranked_and_named_so(cli: Cli, here: Path) -> None:
    run = str(attempt(here, "zero-shot"))
    said = cli("predict", "--run", run, "test/000.png")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[1].split() == ["picture", "label", "score"]
    assert len(lines) == 3 + 5 + 1
    assert lines[-1] == "Scores order the classes of a picture; they are not probabilities."
    said = cli("predict", "--run", run, "test/000.png", "--threshold", "0.5")
    assert said.code == 2
    assert said.err.startswith("error: scores of zero-shot are no probabilities, so there is no threshold for them → ")


@pytest.mark.parametrize("method", ["coop", "zero-shot"])
def test_open_class_sets_answer_for_other_names(cli: Cli, here: Path, method: str) -> None:
    run = str(attempt(here, method))
    usual = json.loads(cli("predict", "--run", run, "test/003.png", "--json").out)
    said = cli("predict", "--run", run, "test/003.png", "--json", "--classes", "moon, umbrella,cup")
    assert said.code == 0, said.err
    assert said.err == ""
    found = json.loads(said.out)
    assert found["classes"] == ["moon", "umbrella", "cup"]
    columns = [usual["classes"].index(name) for name in ("moon", "cup")]
    np.testing.assert_allclose(table_of(found)[:, [0, 2]], table_of(usual)[:, columns], rtol=1e-5, atol=1e-5)

    said = cli("predict", "--run", run, "test/003.png", "--classes", "zebra,umbrella", "--top", "2")
    assert said.code == 0
    assert said.err == "warning: class 'zebra': unknown to the tokenizer: zebra\n"
    assert "umbrella" in said.out


def test_class_names_that_cannot_be_answered_for(cli: Cli, here: Path) -> None:
    said = cli("predict", "--run", str(attempt(here, "linear-probe")), "test/000.png", "--classes", "zebra")
    assert said.code == 2
    assert said.err.startswith(
        "error: linear-probe learned one output for each class it was trained on and cannot answer for other class "
        "names → leave --classes out, or find a method with an open class set: ltbench list methods"
    )
    zero = str(attempt(here, "zero-shot"))
    assert "--classes names 'cup' twice" in cli("predict", "--run", zero, "test/000.png", "--classes", "cup,cup").err
    assert "has an empty name" in cli("predict", "--run", zero, "test/000.png", "--classes", "cup,").err
