"""An honest run, and copies of it that tests may alter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.tasks.registry import load_task


@pytest.fixture(scope="session")
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
