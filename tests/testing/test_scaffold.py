"""What ``ltbench plugin new`` writes passes its own tests as it is written."""

from __future__ import annotations

import importlib
import inspect
import py_compile
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ltbench.cli import main
from ltbench.plugin.manager import Registry, extra_specs
from ltbench.plugin.specs import Spec
from ltbench.testing import checks, kit

WITHOUT_WALK = {title: check for title, check in checks.CHECKS.items() if title != "no judged label reachable"}
#: For kinds that differ from one that all checks are made of in what they look at.
FEW = {title: checks.CHECKS[title] for title in ("presets valid", "finite loss", "logits, not probabilities")}
KINDS = {
    "acme-all": ("--task", "--dataset", "--backbone"),
    "acme-pixels": ("--inputs", "image"),
    "acme-regions": ("--inputs", "region", "--task"),
    "acme-pixel-fit": ("--inputs", "image", "--fit"),
    "acme-region-fit": ("--inputs", "region", "--fit"),
    "acme-fit": ("--fit",),
}


def module_of(folder: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Writes a kind; its package can be imported."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def make(name: str) -> Path:
        assert main(["plugin", "new", name, *KINDS[name]]) == 0
        monkeypatch.syspath_prepend(str(tmp_path / name))
        return tmp_path / name

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("acme_"):
            del sys.modules[name]


def registered(folder: Path) -> list[Spec]:
    """What the entry point of a distribution registers."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (target,) = project["entry-points"]["ltbench"].values()
    plugin = importlib.import_module(target)
    hooks = [hook for name, hook in vars(plugin).items() if name.startswith("ltbench_") and callable(hook)]
    return [spec for hook in hooks for spec in hook()]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_passes_its_own_tests(
    name: str,
    made: Callable[[str], Path],
    tmp_path: Path,
    ltbench_check: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kit, "CHECKS", WITHOUT_WALK if name in ("acme-all", "acme-fit") else FEW)
    folder = made(name)
    package = name.replace("-", "_")
    assert len((folder / package / "method.py").read_text(encoding="utf-8").splitlines()) <= 40
    for path in folder.rglob("*.py"):
        py_compile.compile(str(path), doraise=True)
    steps = yaml.safe_load((folder / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]["test"]["steps"]
    assert f"ltbench plugin check {name}" in [step.get("run") for step in steps]
    tests = module_of(folder / "tests", f"test_{package}")
    given: dict[str, Any] = {"tmp_path": tmp_path / "runs", "ltbench_check": ltbench_check}
    with extra_specs(registered(folder), name, "0.1.0") as found:
        assert isinstance(found, Registry)
        assert name in found.methods
        for test in [value for title, value in vars(tests).items() if title.startswith("test_")]:
            test(**{argument: given[argument] for argument in inspect.signature(test).parameters})


def test_what_is_there_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acme-full").mkdir()
    (tmp_path / "acme-full" / "mine.txt").write_text("mine")
    for name, says in {
        "acme-full": "acme-full is there already and not empty → ltbench plugin new acme-full --out ANOTHER",
        "coop": "there is a method 'coop' already → ltbench plugin new my-coop",
        "Acme": "'Acme' is no name for a plugin",
        "json": "'json' is a name of Python's or ltbench's own",
    }.items():
        assert main(["plugin", "new", name]) == 2
        assert says in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["acme-full", "mine.txt"]
