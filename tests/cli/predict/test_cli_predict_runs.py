"""``ltbench predict``: names of a run, and runs that are not what they were."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ltbench.records.canonical import canonical_json
from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import attempt, table_of


def edited(here: Path, recipe: str, **changes: Any) -> str:
    """Change entries of a record: ``method={"version": "0"}``."""
    path = attempt(here, recipe) / "record.json"
    document = json.loads(path.read_text())
    for name, change in changes.items():
        document[name] = document[name] | change if isinstance(change, dict) else change
    path.write_text(canonical_json(document))
    return str(path)


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
