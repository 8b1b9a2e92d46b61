"""Toys through ``run_one`` on shapes-micro: from request to record, with kills, audits, divergence and the guard."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.engine.request import RunRequest
from ltbench.engine.run import Finished, run_one
from ltbench.plugin import MethodSpec, UserError
from ltbench.plugin.manager import extra_specs
from ltbench.records.logits import read_logits
from ltbench.records.verify import verify
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_truth

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    names = (
        "Plain",
        "Noisy",
        "LabelRewriting",
        "Diverging",
        "Nearest",
        "OpenNames",
        "Captioned",
        "Grouped",
        "Watchful",
    )
    specs = [MethodSpec(name=name.lower(), target=f"engine.toys:{name}", summary="toy") for name in names]
    with extra_specs(specs):
        yield


def run(method: str, out: Path, task: str = "shapes-micro", **options: Any) -> Finished:
    facts: dict[str, Any] = {"weights": "random", "device": "cpu", **options}
    return run_one(RunRequest(load_task(task), method, "tiny-clip", out=out, **facts))


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_bit_equal(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "engine.killed", str(tmp_path), "6", "20"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stderr
    in_training = [epochs for epochs in told["killed_after_epochs"] if epochs > 0]
    # All of them: the first kill waits for a whole epoch.
    assert len(in_training) == 6, f"too few of the kills hit a run with a checkpoint: {told}"
    (peace,) = (tmp_path / "peace").glob("*/*/*/attempt-*")
    (war,) = (tmp_path / "war").glob("*/*/*/attempt-*")
    for name in ("logits.safetensors", "weights.safetensors", "decisions.json"):
        assert (war / name).read_bytes() == (peace / name).read_bytes(), f"{name} differs, {told}"
    records = [json.loads((folder / "record.json").read_text()) for folder in (peace, war)]
    assert records[0]["scores"] == records[1]["scores"]
    assert records[0]["key"] == records[1]["key"]


def test_a_run_leaves_a_record_and_a_second_one_finds_it(tmp_path: Path) -> None:
    first = run("plain", tmp_path)
    assert first.record.status == "completed"
    assert first.record.selection.oracle is None
    assert not first.reused
    assert not (first.folder / "checkpoints").exists()
    again = run("plain", tmp_path)
    assert again.reused
    assert again.record == first.record


def test_auditing_leaves_the_logits_as_they_are_and_names_the_oracle(tmp_path: Path) -> None:
    plain = run("noisy", tmp_path / "plain")
    audited = run("noisy", tmp_path / "audited", audit_selection=True)
    assert plain.record.logits is not None
    assert audited.record.logits == plain.record.logits
    assert (audited.folder / "logits.safetensors").read_bytes() == (plain.folder / "logits.safetensors").read_bytes()
    assert audited.record.scores == plain.record.scores
    selection = audited.record.selection
    assert selection.oracle is not None
    epochs = sorted((audited.folder / "audit").glob("*.safetensors"))
    assert len(epochs) == 3
    np.testing.assert_array_equal(
        read_logits(epochs[-1]).logits, read_logits(audited.folder / "logits.safetensors").logits
    )
    oracle, score = selection.oracle["mAP"]["total"], audited.record.scores["mAP"]["total"]
    assert oracle is not None
    assert score is not None
    assert oracle >= score
    assert selection.oracle_epoch in (1, 2, 3)


def test_the_oracle_is_the_best_epoch_on_test(tmp_path: Path) -> None:
    from ltbench.records.judge import judge

    task = load_task("shapes-micro")
    audited = run("grouped", tmp_path, audit_selection=True, overrides={"epochs": 5})
    truth = open_truth(task, open_data_set(task, DataRoot()))
    by_epoch = [
        judge(task, truth, read_logits(path).logits, replicates=1).scores["mAP"]["total"]
        for path in sorted((audited.folder / "audit").glob("*.safetensors"))
    ]
    selection = audited.record.selection
    assert selection.oracle is not None
    assert selection.oracle["mAP"]["total"] == max(by_epoch)  # type: ignore[type-var]
    assert by_epoch[selection.oracle_epoch - 1] == max(by_epoch)  # type: ignore[operator, type-var]


@pytest.mark.parametrize("how", ["loss", "gradient"])
def test_a_diverging_run_ends_as_diverged_with_its_step(how: str, tmp_path: Path) -> None:
    found = run("diverging", tmp_path, overrides={"how": how, "at": 2, "batch_size": 8})
    assert found.record.status == "diverged"
    assert found.record.step == (2 if how == "loss" else 3)
    assert found.record.reason is not None
    assert "in stage 'train' at step" in found.record.reason
    assert not found.record.scores
    assert not (found.folder / "checkpoints").exists()
    assert not (found.folder / "logits.safetensors").exists()


def test_decisions_are_written_for_the_judge(tmp_path: Path) -> None:
    found = run("labelrewriting", tmp_path, task="shapes-micro", overrides={"epochs": 3})
    # Nothing is unknown on shapes-micro, so there is nothing to rewrite and no file.
    assert found.record.decisions is None
    assert not (found.folder / "decisions.json").exists()


def test_corrections_are_judged_by_the_labels_that_the_task_hid(tmp_path: Path) -> None:
    found = run("labelrewriting", tmp_path, task="shapes-plt@mr40", overrides={"epochs": 3}, limit=96)
    assert found.record.status == "completed", found.record.reason
    judged = found.record.corrections
    assert judged is not None
    assert found.record.schema_version == 3
    assert len(judged.right) == len(judged.wrong) == 3
    assert judged.hidden >= judged.found
    triples = json.loads((found.folder / "decisions.json").read_text())
    # Nothing is unknown to shapes itself: each decision is right or wrong.
    assert sum(judged.right) + sum(judged.wrong) == len(triples["rows"]) > 0


def test_validation_rows_are_an_extra_and_show_observed_labels_unless_the_row_says_clean(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"task": "shapes-plt@mr40", "overrides": {"epochs": 1}, "limit": 64}
    observed = run("watchful", tmp_path, **facts).record
    clean = run("watchful", tmp_path, **facts, validation="clean").record
    assert observed.status == clean.status == "completed"
    assert (observed.extras, clean.extras) == (("validation",), ("clean validation",))
    assert observed.key != clean.key
    # shapes-micro hides nothing: what is observed there is clean.
    assert run("watchful", tmp_path).record.extras == ("clean validation",)
    with pytest.raises(UserError, match="method plain asks for no validation rows"):
        run("plain", tmp_path, validation="clean")


@pytest.mark.parametrize("distribution", ["lab", "ltbench"])
def test_a_local_method_that_was_edited_never_returns_an_old_score(
    distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from engine.toys import Plain\nclass Ours(Plain):\n    pass\n"
    module = tmp_path / "src" / f"of_{distribution}.py"
    module.parent.mkdir()
    module.write_text(source)
    monkeypatch.syspath_prepend(str(module.parent))
    spec = MethodSpec(name="ours", target=f"of_{distribution}:Ours", summary="toy")
    with extra_specs([spec], distribution=distribution):
        first = run("ours", tmp_path)
        module.write_text(source + "# edited\n")
        edited = run("ours", tmp_path)
        again = run("ours", tmp_path)
    assert again.reused
    assert edited.record.key == first.record.key
    # The version of ltbench's own distribution stands for its code; nobody else's does.
    assert edited.reused == (distribution == "ltbench")
    if distribution == "lab":
        assert edited.record.method.code_sha256 != first.record.method.code_sha256
        assert (edited.record.attempt, again.record) == (2, edited.record)


def test_a_task_of_contract_two_judges_the_file_as_it_lies(tmp_path: Path) -> None:
    task = load_task("shapes-micro").model_copy(update={"contract": 2})
    request = RunRequest(task, "plain", "tiny-clip", weights="random", device="cpu", out=tmp_path / "two")
    two = run_one(request)
    one = run("plain", tmp_path / "one")
    assert one.record.logits is not None
    assert two.record.logits is not None
    assert (one.record.logits.dtype, two.record.logits.dtype) == ("float32", "float16")
    assert one.record.key != two.record.key
    files = [read_logits(found.folder / "logits.safetensors") for found in (one, two)]
    np.testing.assert_array_equal(files[0].logits.astype(np.float16).astype(np.float32), files[1].logits)
    assert (files[0].logits != files[1].logits).any()
    data = open_data_set(task, DataRoot())
    report = verify(two.folder / "record.json", lambda record: (task, open_truth(task, data)))
    assert report.ok, report.problems
    # The same figures under the other contract's file are not what was judged.
    (two.folder / "logits.safetensors").write_bytes((one.folder / "logits.safetensors").read_bytes())
    report = verify(two.folder / "record.json", lambda record: (task, open_truth(task, data)))
    assert "logits are float32, contract 2 judges float16" in report.problems


def test_labels_are_hashed_and_gone_between_the_needs_and_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that docs/explanation/two-phases.md states."""
    from engine.toys import Plain
    from ltbench.engine import prepare
    from ltbench.engine import run as running

    trace: list[str] = []
    for name in ("__init__", "needs", "stages"):
        monkeypatch.setattr(Plain, name, noted(trace, f"method.{name}", getattr(Plain, name)))
    monkeypatch.setattr(prepare, "open_truth", noted(trace, "hash", prepare.open_truth))
    monkeypatch.setattr(running, "open_truth", noted(trace, "judge", running.open_truth))
    monkeypatch.setattr(running, "write_logits", noted(trace, "logits", running.write_logits))
    run("plain", tmp_path)
    order = list(dict.fromkeys(trace))
    assert order == ["method.__init__", "method.needs", "hash", "method.stages", "logits", "judge"]
    assert trace.count("hash") == 1


def noted(trace: list[str], name: str, function: Any) -> Any:
    def call(*args: Any, **rest: Any) -> Any:
        trace.append(name)
        return function(*args, **rest)

    return call


def test_captions_given_by_the_data_set_are_an_extra(tmp_path: Path) -> None:
    assert run("captioned", tmp_path).record.extras == ("captions",)
    assert run("plain", tmp_path).record.extras == ()


def test_methods_without_gradients_and_with_open_classes_run_too(tmp_path: Path) -> None:
    for name in ("nearest", "opennames"):
        record = run(name, tmp_path).record
        assert record.status == "completed"
        score = record.scores["mAP"]["total"]
        assert score is not None
        assert score > 30


@pytest.mark.slow
def test_no_object_holds_hidden_labels_while_a_run_trains(tmp_path: Path) -> None:
    """On shapes-plt@mr40, where most of what the data set knows is hidden from a method."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "engine.guarded", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"leaks": [], "planted": ["numpy.ndarray"], "status": "completed", "walks": 3}


def test_bytes_of_logits_are_those_of_the_record(tmp_path: Path) -> None:
    found = run("nearest", tmp_path)
    assert found.record.logits is not None
    content = (found.folder / "logits.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == found.record.logits.sha256
