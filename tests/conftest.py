"""What tests of several folders share: isolation from the user's machine, and makers of small installed plugins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Real data that is no part of the project; tests that need it skip without it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--campaign",
        action="store_true",
        help="run the campaign of tests/reliability at its full length, and what takes minutes elsewhere",
    )


@pytest.fixture(scope="session", autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Caches of a test session go to a folder of its own, and settings of the user's shell do not leak in."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTBENCH_CACHE", str(cache))
        for name in ("LTBENCH_DATA", "LTBENCH_PLUGINS", "LTBENCH_MIRROR", "LTBENCH_TASKS", "LTBENCH_OFFLINE"):
            patch.delenv(name, raising=False)
        patch.setenv("COLUMNS", "80")
        patch.setenv("NO_COLOR", "1")
        yield cache


@pytest.fixture(autouse=True)
def online() -> Iterator[None]:
    """``--offline`` holds for a process, and so would for every later test, and its children, of a worker's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LTBENCH_OFFLINE", "HF_HUB_OFFLINE"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield


@pytest.fixture
def shared() -> Path:
    """The folder with real data, or a skip that says what is missing."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the real data in ../shared/data, which is not part of the project")
    return SHARED


Distribute = Callable[..., list[EntryPoint]]


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribute]:
    """Lay an installed distribution into a temporary folder and return its ltbench entry points.

    ``distribute("acme", {"acme_plugin": "source"}, version="1.2")`` writes each module, declares each as an entry point
    named like the module, and puts the folder on ``sys.path``.
    """
    before = set(sys.modules)
    count = 0

    def make(
        name: str,
        modules: Mapping[str, str],
        version: str = "1.0",
        points: Mapping[str, str] | None = None,
    ) -> list[EntryPoint]:
        nonlocal count
        count += 1
        site = tmp_path / f"site{count}"
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        declared = points if points is not None else {module: module for module in modules}
        lines = "".join(f"{key} = {value}\n" for key, value in declared.items())
        (info / "entry_points.txt").write_text(f"[ltbench]\n{lines}")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))
        (found,) = distributions(path=[str(site)])
        return [point for point in found.entry_points if point.group == "ltbench"]

    yield make
    for module in set(sys.modules) - before:
        file = getattr(sys.modules[module], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[module]
