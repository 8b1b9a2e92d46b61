"""A run that is trained again is compared with its record: to the bit where it must be, else within a tolerance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.forged import forge, put, verified
from ltbench.data.base import DataRoot
from ltbench.engine.rerun import HEADLINE_TOLERANCE, _tolerance, bits_must_agree, rerun, sample, seconds_of
from ltbench.records.judge import judge
from ltbench.records.logits import read_logits, write_logits
from ltbench.records.read import load_record
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_truth


def permuted(folder: Path) -> Path:
    """Logits of the run with their rows in another order, judged again, and a record that says what the judge found."""
    task = load_task("shapes-micro")
    truth = open_truth(task, open_data_set(task, DataRoot()))
    file = read_logits(folder / "logits.safetensors")
    logits = np.ascontiguousarray(file.logits[::-1])
    sha256 = write_logits(folder / "logits.safetensors", logits, truth.ids, truth.class_names)
    found = judge(task, truth, logits)

    def restated(document: dict[str, Any]) -> None:
        document["logits"] = {**document["logits"], "sha256": sha256}
        document["scores"], document["per_class_ap"] = found.scores, found.per_class_ap
        document["intervals"] = json.loads(json.dumps(found.intervals))

    return forge(folder, restated)


def test_a_run_trained_again_gives_the_same_bits(folder: Path, tmp_path: Path) -> None:
    report = rerun(folder / "record.json", tmp_path / "again")
    assert (report.verdict, report.problems) == ("same", [])
    assert report.stored == report.again
    assert report.tolerance is None


def test_permuted_logits_judged_again_are_found_by_training(folder: Path, tmp_path: Path) -> None:
    path = permuted(folder)
    # Judging cannot tell: figures and hashes are those of the file.
    assert verified(path).verdict == "right"
    report = rerun(path, tmp_path / "again")
    assert report.verdict == "WRONG"
    assert "on the same processor" in report.problems[0]


def test_options_that_came_since_are_taken_at_their_defaults(folder: Path, tmp_path: Path) -> None:
    """A recipe that gains an option keys its runs otherwise; what ran before it did is still the same run."""
    assert load_record(folder / "record.json").method.config["augment"] == "none"

    def before(document: dict[str, Any]) -> None:
        document["method"]["config"].pop("augment")
        document["method"]["code_sha256"] = "0" * 64

    report = rerun(forge(folder, before), tmp_path / "again")
    assert (report.verdict, report.problems) == ("same", [])
    assert any("gained augment" in line for line in report.unchecked)


def elsewhere(document: dict[str, Any]) -> None:
    """As if the run had been made on another machine."""
    document["environment"]["machine"] = document["cost"]["device"] = "Another CPU"


def test_elsewhere_figures_are_compared_within_the_tolerance(folder: Path, tmp_path: Path) -> None:
    path = permuted(folder)
    forge(folder, elsewhere)
    report = rerun(path, tmp_path / "again")
    assert report.verdict == "WRONG"
    assert report.tolerance == HEADLINE_TOLERANCE
    assert any(problem.startswith("scores.mAP.total: stored ") for problem in report.problems)


def test_elsewhere_other_bits_are_no_fault(folder: Path, tmp_path: Path) -> None:
    def nudged(document: dict[str, Any]) -> None:
        elsewhere(document)
        document["logits"]["sha256"] = "d" * 64

    path = forge(folder, nudged)
    report = rerun(path, tmp_path / "again")
    assert (report.verdict, report.problems) == ("close", [])
    assert report.stored == report.again


def test_a_forged_record_is_found_by_training(folder: Path, tmp_path: Path) -> None:
    (folder / "logits.safetensors").unlink()

    def best(document: dict[str, Any]) -> None:
        document["scores"]["mAP"]["total"] = 99.0
        document["logits"]["sha256"] = "e" * 64

    path = forge(folder, best)
    assert verified(path).verdict == "unscored"
    assert rerun(path, tmp_path / "again").verdict == "WRONG"


def test_wrong_facts_are_not_trained(folder: Path, tmp_path: Path) -> None:
    path = forge(folder, put("method", "origin", value="published(Table 1)"))
    assert rerun(path, tmp_path / "again").verdict == "WRONG"
    assert not (tmp_path / "again").exists()


def test_what_cannot_be_trained_here_says_why(folder: Path, tmp_path: Path) -> None:
    report = rerun(forge(folder, put("task", "name", value="shapes-gone")), tmp_path / "again")
    assert (report.verdict, report.ok) == ("not run", False)
    assert "shapes-gone" in report.reason


def test_bits_must_agree_only_where_everything_that_fixes_them_does(folder: Path) -> None:
    record = load_record(folder / "record.json")
    named = {"machine": "Fast CPU (family 25, model 17, stepping 1)"}
    record = record.model_copy(update={"environment": record.environment.model_copy(update=named)})
    assert bits_must_agree(record, record)
    for name, value in (("torch", "1.0"), ("machine", "Another CPU"), ("numpy", "1.0")):
        other = record.model_copy(update={"environment": record.environment.model_copy(update={name: value})})
        assert not bits_must_agree(record, other)
    assert not bits_must_agree(record, record.model_copy(update={"threads": 2}))
    vague = record.model_copy(update={"environment": record.environment.model_copy(update={"machine": "AMD EPYC"})})
    assert not bits_must_agree(vague, vague), "several processors bear that name"


def test_the_sample_is_fixed_and_within_its_budget(folder: Path, tmp_path: Path) -> None:
    paths = []
    for number, (name, seconds) in enumerate([("coop", 1.0), ("coop", 1.0), ("lmpt", 3.0), ("dr", 50.0), ("rs", 9.0)]):
        target = Path(shutil.copytree(folder, tmp_path / str(number)))

        def made(document: dict[str, Any], name: str = name, seconds: float = seconds, seed: int = number) -> None:
            document["method"]["name"] = name
            document["seed"] = seed
            document["cost"].update(encode_seconds=0.0, train_seconds=seconds, evaluate_seconds=0.0)

        paths.append(forge(target, made))
    chosen = sample(paths, 100.0)
    assert chosen == sample(list(reversed(paths)), 100.0)
    records = [load_record(path) for path in chosen]
    # One of each method, and none above a tenth of the budget.
    assert sorted(record.method.name for record in records) == ["coop", "lmpt", "rs"]
    assert [record.key for record in records] == sorted(record.key for record in records)
    assert sum(seconds_of(record) for record in records) <= 100.0
    assert sample(paths, 5.0) == []


@pytest.mark.parametrize(("metric", "allowed"), [("mAP", 0.1), ("CF1", 0.5), ("P@3", 4.0), ("F1@3_filtered", 4.0)])
def test_metrics_of_the_highest_classes_may_move_further(metric: str, allowed: float) -> None:
    assert _tolerance(metric, "mAP") == allowed
