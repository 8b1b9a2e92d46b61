"""What people get without the repository: metadata, source archive, container."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAD = "Programming Language :: Python :: "
LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")


def versions() -> set[str]:
    return {line.removeprefix(HEAD) for line in PYPROJECT["project"]["classifiers"] if line.startswith(HEAD)}


def test_a_clone_holds_nothing_that_is_made_in_it() -> None:
    # A file called .venv would end the first command of the README in a clone.
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("no git, or no clone")
    words = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    tracked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert tracked.stdout == ""


def test_every_python_from_the_least_that_is_needed_on_may_install() -> None:
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"
    assert versions() == {"3.11", "3.12", "3.13"}
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == "3.11"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Python 3.11, 3.12 or 3.13" in readme


def test_tox_has_an_environment_for_each_python_and_skips_those_that_are_not_here() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert tox["tox"]["skip_missing_interpreters"] == "true"
    environments = re.split(r",\s*(?![^{]*\})", tox["tox"]["env_list"])
    assert environments[0] == "all"
    photos, cluster, site, short = environments[1:]
    assert ".[test,slurm,dask,optuna,tensorboard]" in tox[f"testenv:{cluster}"]["commands_pre"]
    assert tox[f"testenv:{photos}"]["extras"].split() == ["test", "photos", "excel", "parquet"]
    names = {re.split(r"[<>=]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    beside = {"editables", "hatchling", "hatch-fancy-pypi-readme", "pytest", "playwright"}
    assert set(tox[f"testenv:{site}"]["deps"].split()) - names == beside
    numbers = re.search(r"\{([\d,]+)\}", short)
    assert numbers is not None
    assert {version.replace(".", "") for version in versions()} - {"311"} <= set(numbers[1].split(","))
    assert tox["testenv:all"]["base_python"].split() == [f"python{version}" for version in sorted(versions())]
    (section,) = (name for name in tox.sections() if name.endswith("-short"))
    for step in ("import ltbench", "doctor", "run --task shapes-lt --method lmpt", "plugin check", "test_resume.py"):
        assert step in tox[section]["commands"]


def test_the_readme_stands_alone_on_a_package_index() -> None:
    (rule,) = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = LINK.findall(readme)
    assert len(links) > 10
    alone = re.sub(rule["pattern"], rule["replacement"], readme)
    assert LINK.findall(alone) == []
    archive = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    for link in links:
        path = link.partition("#")[0]
        assert f"`{path}" in alone
        assert path.split("/")[0] in archive, f"{path} is not in the source archive"
    for name in archive:
        assert (ROOT / name).exists(), name


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line.strip()]


def test_the_container_runs_the_main_job_of_the_readme() -> None:
    found = dict(instructions())
    words = [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]
    assert shlex.join(words) == "ltbench run --task shapes-lt --method lmpt"
    assert f".venv/bin/{shlex.join(words)}" in (ROOT / "README.md").read_text(encoding="utf-8").replace(" \\\n> ", " ")
    version = re.match(r"python:(\d\.\d+)-slim", found["FROM"])
    assert version is not None
    assert version[1] in versions()


def test_the_container_has_all_that_building_needs() -> None:
    copied = {word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]}
    project = PYPROJECT["project"]
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    needed = {"pyproject.toml", "README.md", *project["license-files"], *(name.split("/")[0] for name in packages)}
    assert copied == needed
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    names = [name for name, _ in instructions()]
    # What is run is not run as root, and what is written stays where that user may write.
    assert names.index("USER") > max(place for place, name in enumerate(names) if name == "RUN")


def test_continuous_integration_calls_tox_and_names_missing_interpreters() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^\s*\.venv-ci/bin/tox$", text, re.M)
    assert "not here, its environment is skipped" in text
    # Debian keeps Slurm's daemons where not everybody's PATH leads.
    assert not re.search(r"/(root|home|usr(?!/sbin)|opt)/", text.partition("\n")[2])


def test_what_modules_read_beside_them_travels_in_the_wheel() -> None:
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    # Nothing is left out of the packages.
    assert set(wheel) == {"packages"}
    site = "ltbench/report/site/assets"
    library = (f"{site}/tabulator.min.js", f"{site}/tabulator_simple.min.css", f"{site}/tabulator.LICENSE.txt")
    beside = ("ltbench/engine/times.json", "ltbench/report/published.csv", "ltbench/report/papers/lmpt.yaml")
    for name in (*beside, *library, f"{site}/site.js", "ltbench/report/site/templates/task.html.j2"):
        assert (ROOT / name).is_file()
        assert name.split("/")[0] in wheel["packages"]
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert not [line for line in ignored if line.endswith((".json", ".csv", ".yaml", ".js", ".css", ".txt", ".j2"))]
