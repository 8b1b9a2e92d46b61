"""``ltbench submit``: a run by its key, shown first, then put in its place, then refused."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Cli


def test_a_run_is_shown_put_in_its_place_and_refused_the_second_time(cli: Cli, tmp_path: Path) -> None:
    assert (
        cli("run", "--task", "shapes-micro", "--weights", "random", "--device", "cpu", "--method", "zero-shot").code
        == 0
    )
    (record,) = tmp_path.rglob("record.json")
    key = json.loads(record.read_text())["key"][:12]
    shown = cli("submit", key, "--dry-run")
    assert shown.code == 0, shown.err
    assert "shapes-micro, zero-shot, seed 0: verified." in shown.out
    assert "It is shown and never ranked: random weights." in shown.out
    assert shown.out.splitlines()[-1] == f"Nothing was written. To do it: ltbench submit {key}"
    assert not (tmp_path / "leaderboards").exists()
    done = cli("submit", key, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["pull_request"] is None
    assert {Path(path).parent.name for path in told["files"]} == {"records", "logits"}
    assert all((tmp_path / "leaderboards" / place).is_file() for place in told["files"])
    assert "leaderboards/shapes-micro/v1/README.md" in told["written"]
    assert cli("leaderboard", "--check").code == 0
    again = cli("submit", key)
    assert again.code == 2
    assert "is refused: the same run is on the leaderboard" in again.err
    assert cli("submit", key, "--to-hub", "nonsense").err.startswith("error: 'nonsense' is no repository of the hub")
