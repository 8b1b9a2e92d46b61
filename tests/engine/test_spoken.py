"""Class names that a text tower cannot use are said by a run, each kind in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltbench.backbones.registry import open_backbone
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.engine.spoken import doubtful_names
from ltbench.method import Needs
from ltbench.tasks.registry import load_task


def test_unknown_long_and_equal_names_are_one_line_each() -> None:
    backbone = open_backbone("tiny-clip", weights="random")
    long = " ".join(["tree"] * 40)
    lines = doubtful_names(backbone, Needs(text=True), ["tree", "Tree", "zebra", long, f"{long} tree"])
    assert len(lines) == 2
    assert lines[0].startswith("warning: 3 of 5 class names are cut off or unknown to the text tower ('zebra': ")
    assert "are the same to the text tower" in lines[1]
    assert "'tree' = 'Tree'" in lines[1]
    assert doubtful_names(backbone, Needs(text=True), ["tree", "car"]) == []
    # Nobody reads them.
    assert doubtful_names(backbone, Needs(), ["zebra"]) == []


def test_a_run_says_so_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltbench.data.progress import SilentReporter

    said: list[str] = []

    class Reporter(SilentReporter):
        def line(self, text: str) -> None:
            said.append(text)

    tower = type(open_backbone("tiny-clip", weights="random").text)
    monkeypatch.setattr(tower, "unknown_parts", lambda self, names: {names[0]: "unknown to the tokenizer"})
    request = RunRequest(
        task=load_task("shapes-micro"), method="zero-shot", backbone="tiny-clip", weights="random", out=tmp_path
    )
    assert run_one(request, Reporter()).record.status == "completed"
    assert any(line.startswith("warning: 1 of 6 class names are cut off or unknown") for line in said)
