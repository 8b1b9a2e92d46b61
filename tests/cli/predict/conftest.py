"""A folder with a run of each of four methods, trained once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ltbench.cli import main
from ltbench.data.base import DataRoot
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_test
from tests.cli.predict.predict_toys import METHODS


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one run of each method, and the test images of the task as files."""
    folder = tmp_path_factory.mktemp("trained")
    for method, options in METHODS.items():
        run = ["run", "--task", "shapes-micro", "--method", method, *options, "--out", str(folder / "ltbench-runs")]
        assert main(run) == 0
    task = load_task("shapes-micro")
    view = open_test(task, open_data_set(task, DataRoot()))
    (folder / "test").mkdir()
    for row in range(len(view)):
        view.images.load(row).save(folder / "test" / f"{row:03d}.png")
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path) -> Path:
    """A copy of it in the folder where the command line stands."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path
