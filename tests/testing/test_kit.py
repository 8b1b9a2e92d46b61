"""The kit passes good methods, and each check fails on a method that breaks its rule and no other."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from ltbench.backbones.registry import open_backbone
from ltbench.plugin import MethodSpec, UnknownName
from ltbench.plugin.manager import extra_specs
from ltbench.tasks.views import open_train
from ltbench.testing import bench, checks, kit
from ltbench.testing.kit import CheckResult, SkipReason, check_method

ALL = tuple(checks.CHECKS)
WITHOUT_WALK = {title: check for title, check in checks.CHECKS.items() if title != "no judged label reachable"}


@pytest.fixture
def check() -> Callable[..., dict[str, CheckResult]]:
    """Register a toy under a name and run the kit on it."""

    def run(target: str, **spec: object) -> dict[str, CheckResult]:
        toy = MethodSpec(name="toy", target=target, summary="a toy", **spec)  # type: ignore[arg-type]
        with extra_specs([toy]):
            return {result.name: result for result in check_method("toy", weights="random")}

    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the walk through all objects, which takes longer than all other checks."""
    monkeypatch.setattr(kit, "CHECKS", WITHOUT_WALK)


def failed(results: dict[str, CheckResult]) -> dict[str, str]:
    return {name: result.detail for name, result in results.items() if result.status == "failed"}


def test_a_good_method_passes_every_check(check: Callable[..., dict[str, CheckResult]]) -> None:
    results = check("engine.toys:OpenNames")
    assert tuple(results) == ALL
    assert {result.status for result in results.values()} == {"passed"}, failed(results)
    assert all(result.detail for result in results.values())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "name", ["TwoStages", "ClassAware", "Prepared", "Noisy", "Grouped", "Captioned", "FineTune", "Watchful"]
)
def test_every_part_of_the_contract_passes(name: str, check: Callable[..., dict[str, CheckResult]]) -> None:
    results = check(f"engine.toys:{name}")
    # Captions are no labels: what they say under 'ignore' is the method's business, so no unknown label is involved.
    assert not set(failed(results)) - ({"unknown policy honoured"} if name == "Captioned" else set())


@pytest.mark.usefixtures("quick")
def test_checks_that_do_not_apply_say_why(check: Callable[..., dict[str, CheckResult]]) -> None:
    nearest = check("engine.toys:Nearest", deterministic=True)
    assert not failed(nearest)
    assert nearest["gradients only where declared"].reason is SkipReason.NO_GRADIENT
    assert nearest["unknown policy honoured"].reason is SkipReason.NO_GRADIENT
    assert nearest["deterministic under a seed"].detail == "equal for every seed"
    rewriting = check("engine.toys:LabelRewriting")
    assert not failed(rewriting)
    assert rewriting["unknown policy honoured"].reason is SkipReason.OWN_POLICY


BROKEN = {
    "StraySearchSpace": ("presets valid", "search_space names no field of Config: rate"),
    "InfiniteLogits": ("finite loss", "logit of test row 0, class 0 is"),
    "HiddenParameters": ("gradients only where declared", "a tensor (6, 6) outside the module gets a gradient"),
    "ForgottenParameter": (
        "gradients only where declared",
        "scale is in no parameter group, so that it is never trained",
    ),
    "UselessParameter": ("gradients only where declared", "spare gets no gradient and moves no logit"),
    "ProbabilitiesAsLogits": ("logits, not probabilities", "all 96 logits lie between 0 and 1"),
    "LabelsAsTargets": ("labels read in their coding", "is given targets from -1 to 1: labels are +1, -1 and 0"),
    "LabelsAsTargetsByHand": ("labels read in their coding", "the loss falls without end ("),
    "UselessGroup": ("gradients only where declared", "no parameter of group 'spare' gets a gradient"),
    "OwnDice": ("deterministic under a seed", "two runs with the same seed differ: logits"),
    "ForgetsOnResume": ("resume equals no interruption", "interrupted at step 4 of 9 and resumed, it differs: logits"),
    "ReadsZerosAsAbsent": ("unknown policy honoured", "ignore: in stage 'train' the logit of an unknown label has a"),
    "ReadsZerosInline": ("unknown policy honoured", "ignore: in stage 'train' a row without any known label has a"),
    "ObjectsInState": ("state safe to save", "stage 'train': state '_extra_state' is a dict; use a buffer"),
    "SixClasses": ("another class count works", "logits have shape (16, 6), expected (16, 4)"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_rule_fails_its_check_and_no_other(name: str, check: Callable[..., dict[str, CheckResult]]) -> None:
    title, detail = BROKEN[name]
    found = failed(check(f"testing.broken:{name}"))
    # What draws numbers of its own cannot be resumed either, and infinite logits are so for any number of classes.
    implied = {"OwnDice": {"resume equals no interruption"}, "InfiniteLogits": {"another class count works"}}
    assert set(found) - implied.get(name, set()) == {title}, found
    assert detail in found[title]


@pytest.mark.usefixtures("quick")
def test_a_frozen_encoder_that_changes_is_seen(check: Callable[..., dict[str, CheckResult]]) -> None:
    assert (
        "the frozen encoder changed" in failed(check("testing.broken:ChangesEncoder"))["gradients only where declared"]
    )


def test_labels_that_the_caller_holds_are_not_the_methods_doing(
    check: Callable[..., dict[str, CheckResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import load_task, open_data_set

    task = load_task("shapes-micro")
    held = open_data_set(task, DataRoot()).part(task.test_part).read_labels()
    monkeypatch.setattr(kit, "CHECKS", {"no judged label reachable": checks.CHECKS["no judged label reachable"]})
    assert failed(check("engine.toys:Plain")) == {}
    assert held.shape == (16, 20)


def test_clean_validation_labels_are_found_wherever_they_come_from(
    check: Callable[..., dict[str, CheckResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "CHECKS", {"no judged label reachable": checks.CHECKS["no judged label reachable"]})
    assert failed(check("engine.toys:Watchful")) == {}
    monkeypatch.setattr(bench, "open_train", partial(open_train, validation="clean"))
    found = failed(check("engine.toys:Watchful"))
    assert found["no judged label reachable"].startswith("the complete validation labels are reachable in phase 1")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("UndeclaredGroups", "context.label_groups is only given where needs() ask for groups"),
        ("UndeclaredValidation", "validation rows are only given where needs() ask for them: 'NoneType'"),
        ("UndeclaredCaptions", "captions are only given where needs() ask for them: 'NoneType'"),
    ],
)
def test_what_is_not_asked_for_cannot_be_used(
    name: str, says: str, check: Callable[..., dict[str, CheckResult]]
) -> None:
    results = check(f"testing.broken:{name}")
    found = failed(results)
    assert set(found) == {"extras found"}
    assert says in found["extras found"]
    assert results["extras found"].place.startswith("tests/testing/broken.py, line ")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("engine.toys:Plain", "images and observed labels only"),
        ("engine.toys:Captioned", "rows name captions"),
        ("engine.toys:Watchful", "rows name validation"),
        ("testing.broken:DeclaredGroups", "rows name label groups"),
    ],
)
def test_what_a_row_will_name_is_told(name: str, says: str, check: Callable[..., dict[str, CheckResult]]) -> None:
    assert check(name)["extras found"].detail == says


def test_labels_that_a_method_read_by_itself_are_found(check: Callable[..., dict[str, CheckResult]]) -> None:
    found = failed(check("testing.broken:ReadsLabels"))
    assert set(found) == {"no judged label reachable"}
    assert found["no judged label reachable"].startswith("the test labels (all columns) are reachable in phase 1")


@pytest.mark.usefixtures("quick")
def test_a_spec_that_claims_to_need_no_seed_is_held_to_it(check: Callable[..., dict[str, CheckResult]]) -> None:
    found = failed(check("testing.broken:SeededNearest", deterministic=True))
    assert set(found) == {"deterministic under a seed"}
    assert "the spec says deterministic=True, and seeds 0 and 1 differ" in found["deterministic under a seed"]


@pytest.mark.usefixtures("quick")
def test_divergence_and_a_missing_loss_term_fail_with_their_own_words(
    check: Callable[..., dict[str, CheckResult]],
) -> None:
    diverging = failed(check("engine.toys:Diverging"))
    assert diverging["finite loss"] == "training diverged: loss_big is inf in stage 'train' at step 5"
    assert "no term whose name starts with 'loss'" in failed(check("testing.broken:NoLossTerm"))["finite loss"]


@pytest.mark.usefixtures("quick")
def test_a_method_that_raises_or_hangs_is_told_once_with_its_line(check: Callable[..., dict[str, CheckResult]]) -> None:
    results = check("testing.broken:Raises")
    assert failed(results) == {"finite loss": "AttributeError: 'Tensor' object has no attribute 'nothing'"}
    assert re.fullmatch(r"tests/testing/broken\.py, line \d+, in loss", results["finite loss"].place)
    assert "in loss\n" in results["finite loss"].trace
    later = list(results.values())[list(results).index("finite loss") + 1 :]
    assert {(result.reason, result.detail) for result in later} == {
        (SkipReason.NOT_REACHED, "not looked at: mend 'finite loss' first")
    }
    with extra_specs([MethodSpec(name="toy", target="testing.broken:Hangs", summary="x")]):
        hung = check_method("toy", weights="random", seconds=10)
    (found,) = [result for result in hung if result.status == "failed"]
    assert found.detail == "took longer than 10 seconds"
    assert found.place.startswith("tests/testing/broken.py, line ")


def test_a_fit_stage_starts_like_any_other(
    check: Callable[..., dict[str, CheckResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = ("resume equals no interruption", "state safe to save")
    monkeypatch.setattr(kit, "CHECKS", {title: checks.CHECKS[title] for title in titles})
    assert failed(check("testing.broken:StoredNeighbours")) == {}
    forgotten = failed(check("testing.broken:ForgottenStore"))
    assert set(forgotten) == {"resume equals no interruption"}
    assert "size mismatch" in forgotten["resume equals no interruption"]


def test_a_file_is_checked_as_a_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltbench.cli import main
    from ltbench.plugin.manager import registry

    monkeypatch.setattr(kit, "CHECKS", {"finite loss": checks.CHECKS["finite loss"]})
    entries = registry().methods.entries
    monkeypatch.setattr(registry().methods, "entries", dict(entries))
    (tmp_path / "mine.py").write_text("from engine.toys import Plain\n\n\nclass Mine(Plain):\n    pass\n")
    assert main(["plugin", "check", "--file", str(tmp_path / "mine.py"), "--weights", "random"]) == 0
    assert main(["plugin", "check", "--weights", "random"]) == 2


def test_zeros_under_assume_negative_are_seen(
    check: Callable[..., dict[str, CheckResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a broken engine can let them through, so the engine is broken here."""
    monkeypatch.setattr(kit, "CHECKS", {"unknown policy honoured": checks.CHECKS["unknown policy honoured"]})
    monkeypatch.setattr("ltbench.engine.phase1.apply_unknown_policy", lambda labels, policy: torch.from_numpy(labels))
    found = failed(check("engine.toys:Plain"))
    assert "assume-negative: an unknown label (0) arrives" in found["unknown policy honoured"]


def test_presets_are_checked_against_the_configuration(
    check: Callable[..., dict[str, CheckResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "CHECKS", {"presets valid": checks.CHECKS["presets valid"]})
    toy = MethodSpec(name="presets-bad", target="testing.broken:SixClasses", summary="x", presets="broken.yaml")
    with extra_specs([toy]):
        (result,) = check_method("presets-bad", weights="random")
    assert result.status == "failed"
    assert "unknown option of presets-bad, preset tuned 'learning_rate'" in result.detail
    missing = failed(check("engine.toys:Plain", card="nowhere.md"))
    assert missing == {"presets valid": "card nowhere.md is not in package engine"}
    base = failed(check("engine.toys:Plain", config={"epoch": 3}))
    assert "unknown option of toy 'epoch'; did you mean 'epochs'" in base["presets valid"]


def test_a_method_that_the_encoder_cannot_serve_is_skipped_with_the_reason(
    check: Callable[..., dict[str, CheckResult]],
) -> None:
    with extra_specs([]):
        results = check_method("zero-shot", "timm:resnet18", weights="random")
    assert [result.status for result in results] == ["passed", *["skipped"] * (len(ALL) - 1)]
    assert {result.reason for result in results[1:]} == {SkipReason.NEEDS_NOT_MET}
    assert "needs text, which backbone timm:resnet18 does not offer" in results[1].detail


@pytest.mark.parametrize("names", [("linear-prob", "tiny-clip"), ("linear-probe", "tiny-clop")])
def test_unknown_names_suggest_the_nearest(names: tuple[str, str]) -> None:
    with pytest.raises(UnknownName, match=r"did you mean '(linear-probe|tiny-clip)'"):
        check_method(*names)


def test_extra_specs_leave_the_registry_as_it_was() -> None:
    from ltbench.plugin.manager import registry

    toy = MethodSpec(name="linear-probe", target="engine.toys:Plain", summary="takes a taken name")
    before = registry().methods.names()
    with extra_specs([toy], "acme", "2.1") as found:
        assert found.methods.conflicts["linear-probe"][1] == "acme 2.1 (plugin acme)"
    assert registry().methods.names() == before
    assert registry().methods.conflicts == {}


def test_the_shared_encoder_of_the_kit_is_left_alone() -> None:
    first, second = (open_backbone("tiny-clip", weights="random") for _ in range(2))
    assert first.card.weights_sha256 == second.card.weights_sha256


def test_the_pytest_plugin_imports_nothing_heavy() -> None:
    script = (
        "import sys, ltbench.testing.pytest_plugin; "
        "sys.exit(' '.join(m for m in ('torch', 'numpy', 'pandas', 'mmengine', 'pydantic') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fixture_passes_good_methods_and_fails_bad_ones(
    ltbench_check: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "CHECKS", {"another class count works": checks.CHECKS["another class count works"]})
    good = MethodSpec(name="good", target="engine.toys:Plain", summary="x")
    bad = MethodSpec(name="bad", target="testing.broken:SixClasses", summary="x")
    with extra_specs([good, bad]):
        ltbench_check("good", weights="random")
        with pytest.raises(pytest.fail.Exception, match="method bad breaks the contract\nanother class count works: "):
            ltbench_check("bad", weights="random")
