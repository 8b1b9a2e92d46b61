"""Subjects of the baselines stand apart: one that cannot be imported leaves the others, which load their recipes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from ltbench.plugin.manager import registry

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = ("clip", "long_tailed", "partial", "single_positive", "unseen")
LOADS = """
from ltbench.plugin.manager import registry
for item in registry().methods:
    if item.plugin.startswith("baselines-"):
        item.spec.load()
        print(item.spec.name)
"""


def entry(subject: str) -> str:
    return f"baselines-{subject.replace('_', '-')}"


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A copy of the official packages that Python finds before the installed ones."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT / "plugins", tmp_path / "plugins", ignore=ignored))


def python(plugins: Path, *args: str) -> str:
    path = os.pathsep.join([str(plugins), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *args], env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def listed(plugins: Path) -> dict[str, dict[str, Any]]:
    found = json.loads(python(plugins, "-m", "ltbench", "plugins", "--json"))["plugins"]
    return {each["name"]: each for each in found}


def test_each_subject_is_a_plugin_with_code_presets_and_cards_in_its_folder() -> None:
    apart = {report.name: report for report in registry().reports if report.name.startswith("baselines-")}
    assert {name: report.module for name, report in apart.items()} == {
        entry(subject): f"ltbench_baselines.{subject}.plugin" for subject in SUBJECTS
    }
    for item in registry().methods:
        if item.plugin in apart:
            room = apart[item.plugin].module.removesuffix("plugin")
            spec = item.spec
            assert spec.target.startswith(room), spec.name
            for file in (spec.card, spec.presets):
                # They are looked up beside the code.
                assert file is not None, spec.name
                assert (resources.files(spec.package) / file).is_file(), file


@pytest.mark.parametrize("subject", SUBJECTS)
def test_one_broken_subject_leaves_the_others(subject: str, plugins: Path) -> None:
    (plugins / "ltbench_baselines" / subject / "plugin.py").write_text("import no_such_module_anywhere\n")
    found = listed(plugins)
    broken = {name: each for name, each in found.items() if each["status"] != "ok"}
    assert list(broken) == [entry(subject)]
    assert "no_such_module_anywhere" in broken[entry(subject)]["problem"]
    assert all(found[entry(other)]["provides"] for other in SUBJECTS if other != subject)


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_recipes_load_without_another_subjects_code(subject: str, plugins: Path) -> None:
    """Also what is imported late, where a contract on written imports cannot see a name in a string."""
    shutil.rmtree(plugins / "ltbench_baselines" / subject)
    loaded = python(plugins, "-c", LOADS).split()
    assert loaded == [
        item.spec.name
        for item in registry().methods
        if item.plugin.startswith("baselines-") and item.plugin != entry(subject)
    ]
