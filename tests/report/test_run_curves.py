"""Curves of runs are what their logs have, each point once, also while a run is under way."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ltbench.cli.root import cli
from ltbench.plugin import ReporterSpec
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import extra_specs
from ltbench.report.run_curves import Drawing, draw

OPENED: dict[Path, Kept] = {}


class Kept:
    """Curves that are looked at."""

    def __init__(self, folder: Path) -> None:
        self.points: list[tuple[str, float, int]] = []
        self.closed = False
        OPENED[folder] = self

    def add(self, name: str, value: float, epoch: int) -> None:
        self.points.append((name, value, epoch))

    def close(self) -> None:
        self.closed = True


def line(epoch: int, loss: float) -> str:
    return json.dumps({"stage": "train", "epoch": epoch, "lr": 0.1, "seconds": 1, "total": loss}) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    OPENED.clear()
    path = tmp_path / "runs" / "shapes-lt" / "lmpt" / "0123456789abcdef" / "attempt-1" / "log.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(line(0, 2.0) + line(1, 1.5), encoding="utf-8")
    return path


def test_each_point_is_given_on_once_as_the_log_grows(log: Path, tmp_path: Path) -> None:
    drawing = Drawing(tmp_path / "runs", tmp_path / "curves", Kept)
    assert drawing.draw() == 6
    assert drawing.draw() == 0
    with log.open("a", encoding="utf-8") as file:
        file.write(
            '{"half": }\n' + json.dumps({"stage": "train", "done": True, "seconds": 3.0}) + "\n" + line(2, 1.0)[:9]
        )
    assert drawing.draw() == 0
    with log.open("a", encoding="utf-8") as file:
        file.write(line(2, 1.0)[9:])
    assert drawing.draw() == 3
    drawing.close()
    (kept,) = OPENED.values()
    assert kept.closed
    assert [point for point in kept.points if point[0] == "train/total"] == [
        ("train/total", 2.0, 1),
        ("train/total", 1.5, 2),
        ("train/total", 1.0, 3),
    ]
    assert list(OPENED) == [tmp_path / "curves" / "shapes-lt" / "lmpt" / "0123456789abcdef" / "attempt-1"]


def test_the_command_gives_curves_to_what_a_plugin_registers(log: Path, tmp_path: Path) -> None:
    sys.modules["kept_curves"] = sys.modules[__name__]
    spec = ReporterSpec(name="kept", target="kept_curves:Kept", summary="curves that are looked at")
    out, into = str(tmp_path / "runs"), str(tmp_path / "curves")
    with extra_specs([spec]):
        result = CliRunner().invoke(cli, ["show", "curves", "--out", out, "--into", into, "--to", "kept"])
    del sys.modules["kept_curves"]
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Curves of 1 runs are in")
    assert len(next(iter(OPENED.values())).points) == 6
    with pytest.raises(UnknownName, match="tensorboard"):
        draw(tmp_path / "runs", tmp_path / "curves", "tensorbord")
    with pytest.raises(UserError, match="does not exist"):
        draw(tmp_path / "none", tmp_path / "curves", "tensorboard")


def test_tensorboard_reads_them(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        # Drawn again, points are not there twice.
        draw(tmp_path / "runs", tmp_path / "curves", "tensorboard")
    (folder,) = {path.parent for path in (tmp_path / "curves").rglob("events.*")}
    found = EventAccumulator(str(folder))
    found.Reload()
    assert [(point.step, point.value) for point in found.Scalars("train/total")] == [(1, 2.0), (2, 1.5)]
