"""One plugin's mistake is that plugin's line; the others keep working."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ltbench.plugin import PluginError, UnknownName
from ltbench.plugin.manager import allow_list, load_entry_points
from tests.conftest import Distribute

HEAD = "from ltbench.plugin import MethodSpec, MetricSpec, hookimpl\n"


def method(name: str, hook: str = "ltbench_methods") -> str:
    return f"""{HEAD}
@hookimpl
def {hook}():
    return [MethodSpec(name={name!r}, target="acme.method:Acme", summary="a method")]
"""


def body(code: str) -> str:
    return f"{HEAD}@hookimpl\ndef ltbench_methods():\n    {code}\n"


def test_a_healthy_plugin_is_reported_with_what_it_provides(distribute: Distribute) -> None:
    registry = load_entry_points(distribute("acme", {"acme_ok": method("acme-probe")}, version="2.1"))
    (report,) = registry.reports
    assert (report.name, report.module, report.distribution, report.version) == ("acme_ok", "acme_ok", "acme", "2.1")
    assert (report.status, report.provides) == ("ok", ("method acme-probe",))
    assert registry.methods.names() == ["acme-probe"]
    assert "acme-probe" in registry.methods


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax (bad_plugin.py, line 1)"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (method("x", hook="ltbench_method"), "unknown hook 'ltbench_method'; did you mean 'ltbench_methods'?"),
        (method("x", hook="methods_of_acme"), "unknown hook 'methods_of_acme'; did you mean 'ltbench_methods'?"),
        (method("x").replace("@hookimpl", ""), "ltbench_methods is not marked with @hookimpl"),
        (body("pass"), "ltbench_methods returned NoneType, expected a list of MethodSpec"),
        (body("return 'acme'"), "ltbench_methods returned str, expected a list of MethodSpec"),
        (body("return {'name': 'acme'}"), "ltbench_methods returned dict, expected a list of MethodSpec"),
        (body("return ['acme']"), "ltbench_methods returned a list with str, expected a list of MethodSpec"),
        (
            body("return [MetricSpec(name='mAP', target='a.b:c', summary='s')]"),
            "ltbench_methods returned a list with MetricSpec, expected a list of MethodSpec",
        ),
        (
            "ltbench_contract = 2\n" + method("x"),
            "it is written for contract 2, this ltbench speaks 1 → pip install --upgrade ltbench",
        ),
        (
            "ltbench_contract = 0\n" + method("x"),
            "it is written for contract 0, this ltbench speaks 1 → pip install --upgrade bad",
        ),
        ("ltbench_contract = '1'\n" + method("x"), "ltbench_contract is '1', not a whole number"),
        (body("raise ValueError('no luck')"), "ValueError: no luck"),
        (
            body("return [MethodSpec(name='Not A Name', target='a.b:c', summary='s')]"),
            "method name 'Not A Name': use lower-case letters, digits, '.', '_' and '-'",
        ),
        (
            body("return [MethodSpec(name='m', target='a.b', summary='s')]"),
            "method 'm': target 'a.b' is not of the form 'module:object'",
        ),
        (
            body("return [MethodSpec(name='m', target='a.b:c', summary='s')] * 2"),
            "ltbench_methods registers method 'm' twice",
        ),
    ],
)
def test_a_broken_plugin_is_one_line_and_harms_no_other(distribute: Distribute, source: str, problem: str) -> None:
    points = [*distribute("bad", {"bad_plugin": source}), *distribute("good", {"good_plugin": method("good")})]
    registry = load_entry_points(points)
    bad, good = registry.reports
    assert (bad.status, bad.problem) == ("broken", problem)
    assert "Traceback" in bad.trace
    assert (good.status, registry.methods.names()) == ("ok", ["good"])


def test_a_hook_with_unknown_arguments_is_named(distribute: Distribute) -> None:
    source = method("x").replace("ltbench_methods()", "ltbench_methods(task)")
    (report,) = load_entry_points(distribute("bad", {"bad_arguments": source})).reports
    assert report.status == "broken"
    assert "ltbench_methods" in report.problem
    assert "task" in report.problem
    assert "\n" not in report.problem


def test_hooks_may_live_on_an_object_and_are_checked_there_too(distribute: Distribute) -> None:
    source = f"""{HEAD}
class Plugin:
    @hookimpl
    def {{hook}}(self):
        return [MethodSpec(name="boxed", target="acme.method:Acme", summary="a method")]
plugin = Plugin()
"""
    good = distribute("good", {"boxed": source.format(hook="ltbench_methods")}, points={"boxed": "boxed:plugin"})
    assert load_entry_points(good).methods.names() == ["boxed"]
    bad = distribute("bad", {"boxed_bad": source.format(hook="ltbench_metods")}, points={"bad": "boxed_bad:plugin"})
    (report,) = load_entry_points(bad).reports
    assert report.problem == "unknown hook 'ltbench_metods'; did you mean 'ltbench_methods'?"


def test_a_name_claimed_twice_names_both_distributions(distribute: Distribute) -> None:
    points = [
        *distribute("acme", {"acme_one": method("probe")}),
        *distribute("rival", {"rival_one": method("probe")}, version="0.3"),
        *distribute("other", {"other_one": method("other")}),
    ]
    registry = load_entry_points(points)
    assert registry.methods.names() == ["other"]
    with pytest.raises(PluginError) as caught:
        registry.methods.get("probe")
    assert caught.value.message == (
        "method 'probe' is claimed by acme 1.0 (plugin acme_one) and rival 0.3 (plugin rival_one)"
    )
    assert "LTBENCH_PLUGINS" in caught.value.hint
    assert registry.conflicts() == [caught.value.message]


def test_one_distribution_that_claims_a_name_twice_is_told_by_its_plugins(distribute: Distribute) -> None:
    registry = load_entry_points(distribute("acme", {"one": method("probe"), "two": method("probe")}))
    assert registry.conflicts() == ["method 'probe' is claimed by acme 1.0 (plugin one) and acme 1.0 (plugin two)"]


def test_a_third_claimant_is_named_as_well(distribute: Distribute) -> None:
    points = [point for name in ("a", "b", "c") for point in distribute(name, {f"{name}_plugin": method("probe")})]
    (line,) = load_entry_points(points).conflicts()
    assert [f"{name} 1.0" in line for name in ("a", "b", "c")] == [True, True, True]


def test_an_unknown_name_suggests_the_nearest(distribute: Distribute) -> None:
    registry = load_entry_points(distribute("acme", {"acme_near": method("linear-probe")}))
    with pytest.raises(UnknownName) as caught:
        registry.methods.get("liner-probe")
    assert caught.value.message == "unknown method 'liner-probe'; did you mean 'linear-probe'?"
    assert caught.value.hint == "ltbench list methods"


@pytest.mark.parametrize("allowed", ["two_plugin", "two-dist", "Two_Dist"])
def test_the_allow_list_takes_plugins_and_distributions(distribute: Distribute, allowed: str) -> None:
    points = [
        *distribute("one-dist", {"one_plugin": "raise RuntimeError('must not be imported')"}),
        *distribute("two-dist", {"two_plugin": method("two")}),
    ]
    registry = load_entry_points(points, frozenset({allowed}))
    assert registry.methods.names() == ["two"]
    off = next(report for report in registry.reports if report.name == "one_plugin")
    assert (off.status, off.problem) == ("off", "not in LTBENCH_PLUGINS")
    assert registry.unmatched == ()


def test_the_allow_list_never_switches_the_core_off(distribute: Distribute) -> None:
    core = distribute("ltbench", {"core_fake": method("core")}, points={"core-fake": "core_fake"})
    official = distribute("ltbench", {"official_fake": method("official")}, points={"official": "official_fake"})
    registry = load_entry_points([*core, *official], frozenset())
    assert registry.methods.names() == ["core"]
    assert load_entry_points([*core, *official], frozenset({"ltbench"})).methods.names() == ["core", "official"]


def test_a_pretender_named_like_the_core_is_not_let_in(distribute: Distribute) -> None:
    points = distribute("evil", {"core_evil": method("evil")}, points={"core-evil": "core_evil"})
    assert load_entry_points(points, frozenset()).methods.names() == []


def test_names_of_the_allow_list_that_fit_nothing_are_kept_for_the_reader(distribute: Distribute) -> None:
    points = distribute("acme", {"acme_kept": method("acme")})
    assert load_entry_points(points, frozenset({"acme", "acmee"})).unmatched == ("acmee",)


def test_the_allow_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LTBENCH_PLUGINS", raising=False)
    assert allow_list() is None
    monkeypatch.setenv("LTBENCH_PLUGINS", "")
    assert allow_list() == frozenset()
    monkeypatch.setenv("LTBENCH_PLUGINS", " acme, rival ,")
    assert allow_list() == frozenset({"acme", "rival"})


def test_loading_a_target_that_is_not_there_says_which(distribute: Distribute) -> None:
    registry = load_entry_points(distribute("acme", {"acme_lazy": method("lazy")}))
    with pytest.raises(PluginError, match=r"method 'lazy': acme\.method:Acme cannot be loaded") as caught:
        registry.methods.get("lazy").spec.load()
    assert caught.value.hint.startswith("ltbench --debug")


def test_the_plugin_layer_imports_nothing_heavy() -> None:
    code = """
import sys, ltbench.plugin, ltbench.plugin.manager
heavy = {"torch", "numpy", "pydantic", "pandas", "mmengine", "yaml", "rich", "click"}
others = [m for m in sys.modules if m.startswith("ltbench.") and not m.startswith("ltbench.plugin")]
print(sorted(heavy & set(sys.modules)), others)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"
