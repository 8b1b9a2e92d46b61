"""Weights of a user's own through the command: the record says that nobody knows their past, and where that counts."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from ltbench.backbones.tiny_clip.model import build_model
from ltbench.records.record import RunRecord
from ltbench.report.rows import why_not_ranked
from tests.cli.conftest import Cli


def test_a_run_on_a_file_of_weights_ranks_but_where_photographs_may_have_been_trained_on(
    cli: Cli, tmp_path: Path
) -> None:
    save_file(build_model().state_dict(), tmp_path / "mine.safetensors")
    said = cli("run", "--task", "shapes-micro", "--method", "zero-shot", "--weights", "mine.safetensors")
    assert said.code == 0, said.err
    (path,) = tmp_path.rglob("record.json")
    record = RunRecord.model_validate_json(path.read_text())
    unranked = "an encoder of which nobody says what it saw, and photos-* tasks train on what is tested on here"
    assert unranked not in why_not_ranked(record)
    for name in ("voc-lt", "plt-voc", "partial-voc2007"):
        there = record.model_copy(update={"task": record.task.model_copy(update={"name": name})})
        assert unranked in why_not_ranked(there)
