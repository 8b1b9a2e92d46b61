"""``ltbench predict``: a run's folder is enough to answer for new pictures as the run did for its test images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltbench.cli import main
from ltbench.data.base import DataRoot
from ltbench.records.canonical import canonical_json
from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_test
from tests.cli.conftest import Cli

METHODS = {
    "linear-probe": ["-o", "epochs=2", "--weights", "random"],
    "coop": ["-o", "epochs=2"],
    "zero-shot": [],
    # Its rows are drawn class by class, so that its stages cannot be built without observed labels.
    "rs": ["-o", "epochs=1", "-o", "sampler=class-aware"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of each method, and the test images of the task as files."""
    folder = tmp_path_factory.mktemp("trained")
    for method, options in METHODS.items():
        run = ["run", "--task", "shapes-micro", "--method", method, *options, "--out", str(folder / "ltbench-runs")]
        assert main(run) == 0
    task = load_task("shapes-micro")
    view = open_test(task, open_data_set(task, DataRoot()))
    (folder / "test").mkdir()
    for row in range(len(view)):
        view.images.load(row).save(folder / "test" / f"{row:03d}.png")
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A copy of it in the folder where the command line stands."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def attempt(here: Path, method: str) -> Path:
    """Folder of the run of a method."""
    (record,) = (here / "ltbench-runs" / "shapes-micro" / method).rglob("record.json")
    return record.parent


def edited(here: Path, recipe: str, **changes: Any) -> str:
    """Change entries of a record: ``method={"version": "0"}``."""
    path = attempt(here, recipe) / "record.json"
    document = json.loads(path.read_text())
    for name, change in changes.items():
        document[name] = document[name] | change if isinstance(change, dict) else change
    path.write_text(canonical_json(document))
    return str(path)


def table_of(document: dict[str, Any]) -> np.ndarray:
    """Logits [n, C] of a JSON answer in the order of its classes."""
    rows = [{label["class"]: label["logit"] for label in picture["labels"]} for picture in document["pictures"]]
    return np.array([[row[name] for name in document["classes"]] for row in rows], dtype=np.float32)


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


def test_bad_pictures_are_named_and_the_others_done(cli: Cli, here: Path) -> None:
    (here / "mixed" / "deep").mkdir(parents=True)
    (here / "mixed" / ".hidden").mkdir()
    shutil.copy("test/000.png", "mixed/deep/good.png")
    shutil.copy("test/000.png", "mixed/.hidden/other.png")
    (here / "mixed" / "notes.txt").write_text("no picture")
    (here / "mixed" / "empty.jpg").write_bytes(b"")
    (here / "mixed" / "cut.png").write_bytes((here / "test" / "001.png").read_bytes()[:200])
    (here / "nothing").mkdir()
    run = str(attempt(here, "coop"))
    said = cli("predict", "--run", run, "mixed", "gone.png", "nothing", "mixed/deep/good.png", "--json")
    assert said.code == 1
    document = json.loads(said.out)
    assert [picture["path"] for picture in document["pictures"]] == ["mixed/deep/good.png"]
    errors = said.err.splitlines()
    assert errors[0] == "error: image gone.png does not exist → ls ."
    assert errors[1].startswith("error: folder nothing has no images (.bmp, .gif, ")
    assert errors[2].startswith("error: image mixed/cut.png cannot be decoded (")
    assert errors[2].endswith(" → replace mixed/cut.png")
    assert errors[3] == "error: image mixed/empty.jpg cannot be decoded (0 bytes) → replace mixed/empty.jpg"
    assert len(errors) == 4
    assert len(document["problems"]) == 4
    said = cli("predict", "--run", run, "gone.png")
    assert (said.code, said.out) == (1, "")


def test_a_file_that_is_named_needs_no_known_ending(cli: Cli, here: Path) -> None:
    Image.open("test/000.png").save(here / "picture.dat", "PNG")
    said = cli("predict", "--run", str(attempt(here, "coop")), "picture.dat", "--json")
    assert said.code == 0, said.err
    same = cli("predict", "--run", str(attempt(here, "coop")), "test/000.png", "--json")
    assert np.array_equal(table_of(json.loads(said.out)), table_of(json.loads(same.out)))


def test_long_lists_show_their_progress(cli: Cli, here: Path) -> None:
    run = str(attempt(here, "zero-shot"))
    (here / "many").mkdir()
    for number in range(33):
        shutil.copy(f"test/{number % 16:03d}.png", here / "many" / f"{number}.png")
    said = cli("predict", "--run", run, "many")
    assert said.code == 0
    assert "predicting: done in" in said.err
    assert "predicting" not in cli("predict", "--run", run, "test").err


def test_annotated_pictures(cli: Cli, here: Path) -> None:
    (here / "other").mkdir()
    Image.open("test/000.png").resize((1500, 300)).save(here / "other" / "000.jpg")
    run = str(attempt(here, "coop"))
    said = cli("predict", "--run", run, "test/000.png", "other/000.jpg", "--annotate", "drawn", "--json", "--top", "3")
    assert said.code == 0, said.err
    first, second = json.loads(said.out)["pictures"]
    assert (first["drawn"], second["drawn"]) == ("drawn/000.png", "drawn/000-2.png")
    with Image.open(here / "drawn" / "000.png") as drawn:
        assert drawn.width == 480
        picture_height = 480  # 64 x 64 enlarged
        # A line a class, and the bars are as long as the probabilities.
        lengths = []
        pixels = np.asarray(drawn.convert("RGB")).astype(int)[picture_height:]
        blue = np.abs(pixels - (0x00, 0x72, 0xB2)).sum(axis=2) == 0
        grey = np.abs(pixels - (0xB8, 0xB8, 0xB8)).sum(axis=2) == 0
        inside = np.where((blue | grey).sum(axis=1) > 10, (blue | grey).sum(axis=1), 0)  # letters have such pixels too
        for row in range(1, len(inside)):
            if inside[row] and not inside[row - 1]:
                lengths.append(int(inside[row]))
        expected = [label["probability"] for label in first["labels"]]
        assert len(lengths) == 3
        full = lengths[0] / expected[0]
        assert lengths == pytest.approx([full * p for p in expected], abs=2.5)
        assert blue.any() == any(label["present"] for label in first["labels"])
    with Image.open(here / "drawn" / "000-2.png") as drawn:
        assert drawn.width == 960
    said = cli("predict", "--run", run, "test/000.png", "--annotate", "drawn")
    assert said.out.splitlines()[-1] == "Drawn: 1 in drawn"


def test_annotating_replaces_no_picture(cli: Cli, here: Path) -> None:
    before = (here / "test" / "000.png").read_bytes()
    said = cli("predict", "--run", str(attempt(here, "coop")), "test/000.png", "--annotate", "test")
    assert said.code == 2
    assert said.err == ("error: --annotate test would replace image test/000.png → --annotate with another folder\n")
    assert (here / "test" / "000.png").read_bytes() == before


def test_a_run_has_several_names(cli: Cli, here: Path) -> None:
    folder = attempt(here, "coop")
    (row,) = json.loads(cli("list", "runs", "--method", "coop", "--json").out)
    said = {
        cli("predict", "--run", name, "test/000.png").out
        for name in (str(folder), str(folder / "record.json"), str(folder.parent), row["key"][:8], row["key"])
    }
    assert len(said) == 1
    assert "coop (paper)" in said.pop()
    # A later attempt that failed does not stand in the way.
    later = folder.parent / "attempt-2"
    later.mkdir()
    document = json.loads((folder / "record.json").read_text())
    document |= {"attempt": 2, "status": "failed", "reason": "broken", "logits": None, "scores": {}, "intervals": {}}
    document |= {"per_class_ap": {}, "excluded_classes": []}
    (later / "record.json").write_text(canonical_json(document))
    assert cli("predict", "--run", row["key"][:8], "test/000.png").code == 0
    said_failed = cli("predict", "--run", str(later), "test/000.png")
    assert said_failed.code == 2
    assert said_failed.err.startswith(
        f"error: run {row['key'][:8]} failed (broken): it has no method to apply → ltbench"
    )
    assert "there is no run 'nope' in ltbench-runs → ltbench list runs" in cli("predict", "--run", "nope", "test").err
    assert "'ltbench-runs' fits 4 runs: " in cli("predict", "--run", "ltbench-runs", "test").err


def test_weights_that_are_missing_or_others_are_refused(cli: Cli, here: Path) -> None:
    folder = attempt(here, "coop")
    weights = folder / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said = cli("predict", "--run", str(folder), "test/000.png")
    assert said.code == 2
    assert "weights.safetensors is damaged, or not the file that the run wrote → ltbench run --task" in said.err
    weights.unlink()
    said = cli("predict", "--run", str(folder), "test/000.png")
    assert said.code == 2
    assert said.err.endswith(
        "has no weights.safetensors beside its record → ltbench run --task shapes-micro --method coop "
        "--backbone tiny-clip --seed 0 --overwrite always\n"
    )
    (folder / "training.safetensors").write_bytes(b"no")
    assert "training.safetensors is damaged" in cli("predict", "--run", str(folder), "test/000.png").err
    (folder / "training.safetensors").unlink()
    said = cli("predict", "--run", str(folder), "test/000.png")
    assert "has no training.safetensors beside its record, so its method cannot be built again → ltbench" in said.err


def test_another_encoder_is_refused(cli: Cli, here: Path) -> None:
    # The command knows only what the record says: any other weights, here the bundled ones, differ from those of the
    # run (random).
    record = edited(here, "linear-probe", backbone={"weights": "bundled"})
    said = cli("predict", "--run", record, "test/000.png")
    assert said.code == 2
    assert "backbone tiny-clip has other weights here (sha256 " in said.err
    record = edited(here, "zero-shot", backbone={"weights": "file mine.safetensors"})
    said = cli("predict", "--run", record, "test/000.png")
    assert said.err == (
        "error: the weights of backbone tiny-clip came from file mine.safetensors; records name no places "
        "→ --weights FILE\n"
    )
    record = edited(here, "zero-shot", backbone={"weights": "bundled", "transform_sha256": "0" * 64})
    assert "preprocesses images otherwise here" in cli("predict", "--run", record, "test/000.png").err
    record = edited(here, "zero-shot", backbone={"offers": ["global"], "name": "precomputed:mine.npz"})
    assert "it cannot encode pictures" in cli("predict", "--run", record, "test/000.png").err


def test_other_versions_are_a_warning_and_other_options_an_error(cli: Cli, here: Path) -> None:
    record = edited(here, "zero-shot", method={"version": "0.0.1"}, backbone={"revision": "older"})
    said = cli("predict", "--run", record, "test/000.png", "--json")
    assert said.code == 0
    lines = said.err.splitlines()
    assert lines[0].startswith("warning: method zero-shot is from ltbench ")
    assert lines[0].endswith(" here, the run's was from ltbench 0.0.1")
    assert lines[1].endswith(" here, the run's was older")
    assert json.loads(said.out)["warnings"] == [line.removeprefix("warning: ") for line in lines]

    run = str(attempt(here, "coop"))
    said = cli("predict", "--run", run, "test/000.png", "-o", "epochs=3")
    assert said.code == 2
    assert "option epochs of run " in said.err
    assert " was 2, not 3 → ltbench show run " in said.err
    assert cli("predict", "--run", run, "test/000.png", "-o", "epochs=2").code == 0
    config = json.loads((attempt(here, "coop") / "record.json").read_text())["method"]["config"]
    record = edited(here, "coop", method={"config": config | {"gone": 1}})
    assert "cannot be built again: unknown option of coop 'gone'" in cli("predict", "--run", record, "test").err
    # Three context vectors are no four: the state does not fit.
    record = edited(here, "coop", method={"config": config | {"context_tokens": 3, "init": None}})
    said = cli("predict", "--run", record, "test")
    assert said.code == 2
    assert "does not fit coop as it is installed" in said.err


def test_options_that_named_a_file_are_given_again(cli: Cli, here: Path) -> None:
    for name, third in (("words.txt", 0.5), ("others.txt", 0.6)):
        lines = [f"{word} {number / 6} {third}" for number, word in enumerate(load_task("shapes-micro").classes)]
        (here / name).write_text("\n".join(lines) + "\n")
    glove = ("-o", "words=glove", "-o", "glove_file=words.txt", "-o", "epochs=1", "--weights", "random")
    assert cli("run", "--task", "shapes-micro", "--method", "ml-gcn", *glove).code == 0
    run = str(attempt(here, "ml-gcn"))
    shutil.move("words.txt", "moved.txt")
    said = cli("predict", "--run", run, "test/000.png")
    assert said.code == 2
    assert "words=glove reads a file of word vectors, and there is none at 'words.txt (sha256 " in said.err
    assert said.err.endswith(" → -o OPTION=FILE, if it is a file that lies elsewhere\n")
    assert (
        "option glove_file of run " in cli("predict", "--run", run, "test/000.png", "-o", "glove_file=others.txt").err
    )
    shutil.move("moved.txt", "words.txt")
    said = cli("predict", "--run", run, "test", "-o", "glove_file=words.txt", "--json")
    assert said.code == 0, said.err
    stored = read_logits(Path(run) / "logits.safetensors").logits
    np.testing.assert_allclose(table_of(json.loads(said.out)), stored, rtol=1e-5, atol=1e-5)


def test_what_was_typed_is_checked_first(cli: Cli, here: Path) -> None:
    run = str(attempt(here, "coop"))
    assert "missing option '--run'" in cli("predict", "test").err
    assert "missing argument" in cli("predict", "--run", run).err
    assert cli("predict", "--run", run, "test", "--top", "0").code == 2
    assert cli("predict", "--run", run, "test", "--threshold", "2").code == 2
