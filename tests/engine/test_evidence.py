"""What a record says of itself is compared with what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.forged import LEADERBOARDS, Change, forge, put, verified
from ltbench.engine.request import RunRequest
from ltbench.engine.restate import restate
from ltbench.engine.run import run_one
from ltbench.plugin.errors import UserError
from ltbench.plugin.specs import MethodSpec
from ltbench.records.read import load_record
from ltbench.tasks.registry import load_task


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
