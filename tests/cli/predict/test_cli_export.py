"""A run as one file that torch runs alone gives the run's own logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ltbench
from ltbench.data.base import DataRoot
from ltbench.engine import export as exporting
from ltbench.engine.predict import open_run
from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.views import open_test
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import attempt

RANDOM = ("--weights", "random")


#: Of each kind of recipe one: features, prompts that an image changes, places, images through the tower.
KINDS = {
    "linear-probe-lbfgs": {},
    "cocoop": {"epochs": 1, "score": "softmax"},
    "dualcoop": {"epochs": 1},
    "hspnet": {"epochs": 1},
}


@pytest.mark.parametrize("method", ["coop", "rs", *KINDS])
def test_the_program_gives_the_logits_of_the_run(cli: Cli, here: Path, method: str) -> None:
    if method in KINDS:
        (done,) = ltbench.run("shapes-micro", method, "tiny-clip", options=KINDS[method], out="ltbench-runs", limit=16)
        folder = done.folder
    else:
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


PEEKS = """
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ltbench.method import GradientStage, Method, MethodConfig, Needs, ParamGroup


class Net(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.head = nn.Linear(dim, classes)

    def logits(self, batch):
        found = self.head(batch.input)
        return found if float(found.max()) > 0 else 2 * found

    def loss(self, batch):
        return {"loss": binary_cross_entropy_with_logits(self.logits(batch), (batch.observed > 0).float())}


class Peeks(Method):
    def needs(self):
        return Needs(input="global")

    def stages(self, context):
        net = Net(context.backbone.card.dim, len(context.class_names))
        return [GradientStage("train", net, [ParamGroup(list(net.parameters()), 0.1)], epochs=1)]
"""


def test_what_torch_cannot_follow_is_one_line_that_names_the_place(cli: Cli, here: Path) -> None:
    (here / "peeks.py").write_text(PEEKS)
    ran = cli("run", "--task", "shapes-micro", "--method", "peeks.py", *RANDOM, "--limit", "16")
    assert ran.code == 0, ran.err
    said = cli("export", str(attempt(here, "local.peeks")), "--method-file", "peeks.py", *RANDOM)
    assert said.code == 2
    (line,) = said.err.strip().splitlines()[1:]
    assert "torch cannot export local.peeks: it does not follow what it does at peeks.py, line 15, in logits" in line
    assert line.endswith("→ ltbench predict, which needs no export")
    assert not Path("model.pt2").exists()


def test_a_run_on_features_is_written_for_features(cli: Cli, here: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{row:02d}" for row in range(40)]
    lines = [f"{name},{'cat' if row % 2 else 'dog'}" for row, name in enumerate(names)]
    (here / "labels.csv").write_text("\n".join(["file,labels", *lines]))
    np.savez(here / "rows.npz", files=names, features=rng.normal(size=(40, 5)).astype(np.float32))
    made = cli("task", "new", "rows", "--no-images", "--labels", "labels.csv", "--features", "rows.npz")
    assert made.code == 0, made.err
    (done,) = ltbench.run("rows", "linear-probe-lbfgs", out="ltbench-runs")
    asked = cli("export", str(done.folder))
    assert asked.code == 2
    assert asked.err.endswith("→ --features FILE.npz\n")
    said = cli("export", str(done.folder), "--features", "rows.npz", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["checked_on"] == "test images of the run"
    with torch.no_grad():
        assert torch.export.load("model.pt2").module()(torch.zeros((3, 5))).shape == (3, 2)


def test_another_ending_is_refused(cli: Cli, here: Path) -> None:
    said = cli("export", str(attempt(here, "coop")), "--to", "model.pth")
    assert said.code == 2
    assert "--to model.pt2" in said.err
