"""Somebody else's distribution: built as a wheel, installed by pip into a folder, and run through the command line."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods():
    return [
        MethodSpec(
            name="acme-probe",
            target="acme.method:AcmeProbe",
            summary="logits are a ridge regression of the labels",
            families={"ltml", "partial"},
            deterministic=True,
            card="card.md",
            presets="presets.yaml",
        )
    ]
"""

METHOD = '''
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.method import Batch, Context, FitData, FitStage, Method, MethodConfig, Needs, Stage


class Ridge(nn.Module):
    def __init__(self, dim: int, classes: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("weight", torch.zeros(dim + 1, classes))

    def inputs(self, features: Tensor) -> Tensor:
        return torch.cat([normalize(features, dim=1), torch.ones(len(features), 1)], dim=1)

    def fit(self, data: FitData) -> None:
        features, observed = data.gather()
        x, y = self.inputs(features).double(), observed.double()
        gram = x.T @ x + self.strength * torch.eye(x.shape[1], dtype=torch.float64)
        self.weight.copy_(torch.linalg.solve(gram, x.T @ y))

    def logits(self, batch: Batch) -> Tensor:
        return self.inputs(batch.input) @ self.weight


class AcmeProbe(Method):
    """Learns weights [D + 1, C] in closed form."""

    class Config(MethodConfig):
        strength: float = Field(0.1, gt=0, description="ridge penalty; ours")

    config: Config

    def needs(self) -> Needs:
        return Needs(input="global", calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        module = Ridge(context.backbone.card.dim, len(context.class_names), self.config.strength)
        return [FitStage("solve", module, module.fit)]
'''

PRESETS = """
acme-probe:
  - {name: long-tail, tasks: [shapes-lt], origin: default, overrides: {strength: 0.01}}
"""

FILES = {
    "acme/__init__.py": "",
    "acme/plugin.py": PLUGIN,
    "acme/method.py": METHOD,
    "acme/card.md": "# acme-probe\n\nRidge regression.\n",
    "acme/presets.yaml": PRESETS,
    "acme_bench-2.3.1.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: acme-bench\nVersion: 2.3.1\nRequires-Dist: ltbench\n"
    ),
    "acme_bench-2.3.1.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: acme 1\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "acme_bench-2.3.1.dist-info/entry_points.txt": "[ltbench]\nacme = acme.plugin\n",
}


def build_wheel(folder: Path) -> Path:
    """What a build back end makes: a zip with a RECORD of its files."""
    path = folder / "acme_bench-2.3.1-py3-none-any.whl"
    lines = []
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(text.encode())}")
        record = "acme_bench-2.3.1.dist-info/RECORD"
        wheel.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the distribution, without a network."""
    folder = tmp_path_factory.mktemp("third-party")
    target = folder / "site"
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check",
        "--target", str(target), str(build_wheel(folder)),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def ltbench(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "LTBENCH_OFFLINE": "1"}
    command = [sys.executable, "-m", "ltbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=site.parent)


def answer(site: Path, *arguments: str) -> Any:
    done = ltbench(site, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_distribution_shows_among_the_plugins(site: Path) -> None:
    (found,) = [entry for entry in answer(site, "plugins", "--json")["plugins"] if entry["name"] == "acme"]
    assert found["distribution"] == "acme-bench"
    assert found["version"] == "2.3.1"
    assert found["status"] == "ok"
    assert found["provides"] == ["method acme-probe"]


@pytest.mark.slow
def test_its_method_runs_on_shapes_lt_and_verifies(site: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "runs")
    (found,) = answer(site, "run", "--task", "shapes-lt", "--method", "acme-probe", "--out", out, "--json")
    record = found["record"]
    assert record["status"] == "completed"
    method = record["method"]
    assert (method["name"], method["distribution"], method["version"]) == ("acme-probe", "acme-bench", "2.3.1")
    assert (method["preset"], method["origin"]) == ("long-tail", "default")
    assert method["config"] == {"strength": 0.01}
    assert method["deterministic"]
    assert record["task"]["name"] == "shapes-lt"
    assert record["backbone"]["name"] == "tiny-clip"
    assert record["logits"]["rows"] == 1600
    assert set(record["scores"]["mAP"]) == {"total", "head", "medium", "tail"}
    assert 40 < record["scores"]["mAP"]["total"] < 100
    assert record["scores"]["CF1"]["total"] is None, "scores that are no probabilities have no threshold metrics"
    files = list((tmp_path / "runs").rglob("record.json"))
    assert len(files) == 1
    assert json.loads(files[0].read_text()) == record
    verified = ltbench(site, "verify", str(files[0]))
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_without_it_the_method_is_unknown(tmp_path: Path) -> None:
    done = ltbench(tmp_path, "run", "--task", "shapes-micro", "--method", "acme-probe", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "unknown method 'acme-probe'" in done.stderr


@pytest.mark.slow
def test_its_method_passes_the_kit_from_the_command_line(site: Path) -> None:
    results = answer(site, "plugin", "check", "acme-probe", "--json")
    assert {result["check"]: result["status"] for result in results if result["status"] != "passed"} == {
        "gradients only where declared": "skipped",
        "labels read in their coding": "skipped",
        "unknown policy honoured": "skipped",
        "two processes learn as one": "skipped",
    }
