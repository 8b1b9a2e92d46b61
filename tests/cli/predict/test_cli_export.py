"""A run as one file that torch runs alone gives the run's own logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ltbench.data.base import DataRoot
from ltbench.engine import export as exporting
from ltbench.engine.predict import open_run
from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_test
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import attempt

RANDOM = ("--weights", "random")


@pytest.mark.parametrize("method", ["coop", "rs"])
def test_the_program_gives_the_logits_of_the_run(cli: Cli, here: Path, method: str) -> None:
    folder = attempt(here, method)
    said = cli("export", str(folder), "--to", "model.pt2", "--json")
    assert said.code == 0, said.err
    facts = json.loads(said.out)
    assert facts["checked_on"] == "test images of the run"
    extra = {exporting.FACTS: ""}
    program = torch.export.load("model.pt2", extra_files=extra).module()
    inside = json.loads(extra[exporting.FACTS])
    assert inside["classes"] == facts["classes"]
    assert inside["preprocessing"]
    task = load_task("shapes-micro")
    view = open_test(task, open_data_set(task, DataRoot()))
    with open_run(folder / "record.json") as predictor:
        backbone = predictor.setup.backbone
        # Other numbers of images than the two that it was traced with.
        inputs = torch.stack([backbone.preprocess(view.images.load(row)) for row in range(5)])
    assert list(inputs.shape[1:]) == inside["input"][1:]
    with torch.no_grad():
        found = program(inputs).numpy()
    assert found == pytest.approx(read_logits(folder / "logits.safetensors").logits[:5], abs=2e-3)
    assert len(program(inputs[:1])) == 1


def test_a_program_that_gives_other_logits_is_not_written(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporting.Whole.forward
    monkeypatch.setattr(exporting.Whole, "forward", lambda self, inputs: real(self, inputs) + 0.5)
    said = cli("export", str(attempt(here, "linear-probe")), *RANDOM)
    assert said.code == 2
    assert "0.5 off those of the run" in said.err
    assert not Path("model.pt2").exists()


def test_what_it_was_checked_on_is_said_where_the_test_images_are_not_here(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_test_view", lambda predictor, root: None)
    said = cli("export", str(attempt(here, "linear-probe")), *RANDOM)
    assert said.code == 0, said.err
    assert "Checked on made-up pictures" in said.out
    assert np.isfinite(float(said.out.split("logit is ")[1].split()[0].rstrip(".")))


def test_another_ending_is_refused(cli: Cli, here: Path) -> None:
    said = cli("export", str(attempt(here, "coop")), "--to", "model.pth")
    assert said.code == 2
    assert "--to model.pt2" in said.err
