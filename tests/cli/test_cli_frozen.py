"""A visual recipe on a frozen tower, as typed: through a preset, and on the board."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli

PRESET = """
erm:
  - name: quick
    origin: default
    overrides: {tower: frozen, epochs: 1, augment: none, head_lr: 0.05}
"""


def test_a_preset_freezes_the_tower_and_the_board_says_so(cli: Cli, tmp_path: Path) -> None:
    preset, runs = tmp_path / "quick.yaml", tmp_path / "runs"
    preset.write_text(PRESET, encoding="utf-8")
    command = ("run", "--task", "shapes-micro", "--method", "erm", "--preset", str(preset), "--out", str(runs))
    done = cli(*command)
    assert done.code == 0, done.err
    (path,) = runs.rglob("record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["method"]["config"]["tower"] == "frozen"
    assert not {"lr", "freeze", "batch_norm"} & set(record["method"]["config"])
    # Six classes, each with a weight for every number of the feature and a bias: nothing of the tower.
    assert record["cost"]["trainable_parameters"] == 6 * 129
    board = cli("leaderboard", "--task", "shapes-micro", "--records", str(runs)).out
    assert "erm (frozen)" in board
    again = cli(*command, "--dry-run")
    assert again.code == 0
    assert "finished" in again.out + again.err
