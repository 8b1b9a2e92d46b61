"""What a record says of itself is compared with what is installed, and a run that is trained again with its record."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltbench.data.base import DataRoot
from ltbench.engine.checking import Places, check
from ltbench.engine.request import RunRequest
from ltbench.engine.rerun import HEADLINE_TOLERANCE, bits_must_agree, rerun, sample, seconds_of
from ltbench.engine.restate import restate
from ltbench.engine.run import run_one
from ltbench.plugin.errors import UserError
from ltbench.plugin.specs import MethodSpec
from ltbench.records.canonical import canonical_json
from ltbench.records.judge import judge
from ltbench.records.logits import read_logits, write_logits
from ltbench.records.read import load_record
from ltbench.records.record import RunContent, document_sha256, key_of
from ltbench.records.verify import VerifyReport
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_truth

Change = Callable[[dict[str, Any]], None]
LEADERBOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One honest run of two epochs, without a preset."""
    request = RunRequest(
        task=load_task("shapes-micro"),
        method="linear-probe",
        backbone="tiny-clip",
        preset="none",
        overrides={"epochs": 2},
        device="cpu",
        out=tmp_path_factory.mktemp("runs"),
    )
    return run_one(request).folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of the run, free to be altered."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def forge(folder: Path, change: Change, key: bool = True) -> Path:
    """Alter a record as somebody would who knows its hashes: the key and the record's own hash fit again."""
    path = folder / "record.json"
    document = json.loads(path.read_text())
    change(document)
    if key:
        document["key"] = key_of(RunContent.model_validate({k: v for k, v in document.items() if k != "record_sha256"}))
    document["record_sha256"] = document_sha256(document)
    path.write_text(canonical_json(document))
    return path


def verified(path: Path) -> VerifyReport:
    return check(path, Places())


def put(*where: str, value: Any) -> Change:
    """Change one leaf of a record."""

    def change(document: dict[str, Any]) -> None:
        holder = document
        for name in where[:-1]:
            holder = holder[name]
        holder[where[-1]] = value

    return change


def test_an_honest_run_is_right_with_all_its_facts(folder: Path) -> None:
    report = verified(folder / "record.json")
    assert (report.verdict, report.problems, report.unchecked) == ("right", [], [])
    assert "facts of recipe and encoder" in report.checked


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("method", "name", value="nobodys"), "method.name: ltbench"),
        (put("method", "distribution", value="acme"), "method.distribution: stored acme, linear-probe is of ltbench"),
        (put("method", "variant", value="code"), "method.variant: linear-probe has paper, stored code"),
        (put("method", "config", "momentums", value=1), "method.config.momentums: linear-probe takes no such value"),
        (put("method", "config", "epochs", value="many"), "method.config.epochs: linear-probe takes no such value"),
        (lambda d: d["method"]["config"].pop("lr"), "method.config.lr: stored None, filled in"),
        (put("method", "origin", value="published(Table 1)"), "a configuration without a preset is default"),
        (
            put("method", "origin", value="tuned(6, on shapes-lt)"),
            "tuning.trials: stored None, the origin 'tuned(6, on shapes-lt)' says 6",
        ),
        (put("method", "deterministic", value=True), "method.deterministic: stored True, of the recipe False"),
        (put("method", "calibrated", value=False), "method.calibrated: stored False, of the recipe True"),
        (put("method", "unknown_policy", value="own"), "method.unknown_policy: stored 'own'"),
        (put("extras", value=["captions"]), "extras: stored ['captions'], the recipe uses []"),
        (put("backbone", "weights_sha256", value="a" * 64), "backbone.weights_sha256: stored 'aaaa"),
        (put("backbone", "pretraining", value="nothing at all"), "backbone.pretraining: stored 'nothing at all'"),
        (put("backbone", "transform", value="none"), "backbone.transform: stored 'none'"),
        (put("backbone", "dtype", value="bfloat16"), "backbone."),
        (put("selection", "rule", value="best on test"), "selection.rule: stored 'best on test', the task has 'last'"),
        (put("created", value="2026-99-99T00:00:00Z"), "created: 2026-99-99T00:00:00Z is no date"),
        (put("seed", value=-1), "seed: -1 is not between"),
        (put("device", value="abacus"), "device: 'abacus'"),
        (put("cost", "device", value="a faster one"), "cost.device: 'a faster one'"),
        (put("cost", "trainable_parameters", value=10**12), "cost: more parameters are trained than there are"),
    ],
)
def test_a_fact_that_decides_a_rank_cannot_be_typed(folder: Path, change: Change, says: str) -> None:
    report = verified(forge(folder, change))
    assert report.verdict == "WRONG"
    assert any(says in problem for problem in report.problems), report.problems
    # The forger's hashes fit: nothing else gives the change away.
    assert not any(problem.startswith(("key", "record_sha256")) for problem in report.problems)


def test_a_preset_gives_exactly_its_options_and_its_origin() -> None:
    task = load_task("shapes-lt")
    places = sorted((LEADERBOARDS / "shapes-lt" / "v1" / "records").glob("all-linear-probe-s0-*.json"))
    record = next(found for found in map(load_record, places) if found.method.preset)

    def problems(**changes: Any) -> list[str]:
        method = record.method.model_copy(update=changes)
        return restate(record.model_copy(update={"method": method}), task).problems

    name, origin = record.method.preset, record.method.origin
    assert problems() == []
    other = {**record.method.config, "epochs": 999}
    assert problems(config=other) == [
        f"method.config.epochs: stored 999, of preset {name!r} {record.method.config['epochs']}"
    ]
    typed = problems(origin="published(Table 1)")
    assert f"method.origin: stored published(Table 1), preset {name!r} says tuned(" in "\n".join(typed)
    typed = problems(origin="tuned(99)")
    assert f"method.origin: stored tuned(99), preset {name!r} says tuned(" in "\n".join(typed)
    with_options = problems(preset=f"{name}+overrides", config=other)
    assert with_options == [
        f"method.origin: stored {origin}, a configuration of a preset with options of one's own is default"
    ]
    zsl = record.model_copy(update={"task": record.task.model_copy(update={"name": "shapes-zsl", "setting": None})})
    assert restate(zsl, load_task("shapes-zsl")).problems[0] == (
        f"method.preset: {name!r} is not for shapes-zsl, this backbone and paper"
    )


def test_what_an_author_alone_knows_is_marked(folder: Path) -> None:
    def own_file(document: dict[str, Any]) -> None:
        document["method"].update(preset="mine", origin="tuned(6, on shapes-micro)")
        document["tuning"] = {"trials": 6, "seconds": None}

    report = verified(forge(folder, own_file))
    assert report.verdict == "right"
    assert report.unchecked == [
        "not checked: preset 'mine' is a file of its author's: its origin tuned(6, on shapes-micro) is the author's"
        " word"
    ]

    def printed(document: dict[str, Any]) -> None:
        document["method"].update(preset="mine", origin="published(Table 1)")
        document["tuning"] = None

    problems = verified(forge(folder, printed)).problems
    assert problems == ["method.origin: stored published(Table 1), and linear-probe comes without a preset 'mine'"]


def test_another_version_of_a_method_is_not_called_wrong(folder: Path) -> None:
    report = verified(forge(folder, put("method", "version", value="0.0.9")))
    assert report.problems == []
    assert report.unchecked[0].startswith("not checked: method: the record is of ltbench 0.0.9, ")
    report = verified(forge(folder, put("method", "name", value="once-there")))
    assert report.problems == []
    assert "once-there of ltbench 0.0.9 is not installed here" in report.unchecked[0]


def test_a_recipe_that_does_not_load_is_said_and_others_are_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MethodSpec) -> None:
        raise UserError(f"method {self.name!r} cannot be loaded", "ltbench plugins")

    monkeypatch.setattr(MethodSpec, "load", broken)
    report = verified(folder / "record.json")
    assert report.problems == []
    assert report.unchecked[0] == "not checked: method: method 'linear-probe' cannot be loaded"


def test_a_preset_file_that_says_published_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("linear-probe:\n- {name: mine, origin: 'published(Table 1)', overrides: {epochs: 2}}\n")
    request = RunRequest(
        task=load_task("shapes-micro"), method="linear-probe", backbone="tiny-clip", preset=str(path), out=tmp_path
    )
    with pytest.raises(UserError) as caught:
        run_one(request)
    assert "preset file mine.yaml: published(Table 1): a file can state tuned or default only" in caught.value.message
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "shapes-micro").exists()


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
    assert bits_must_agree(record, record)
    for name, value in (("torch", "1.0"), ("machine", "Another CPU"), ("numpy", "1.0")):
        other = record.model_copy(update={"environment": record.environment.model_copy(update={name: value})})
        assert not bits_must_agree(record, other)
    assert not bits_must_agree(record, record.model_copy(update={"threads": 2}))


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
