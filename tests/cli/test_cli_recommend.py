"""``ltbench recommend``: an answer that a person can act on; no test label is read before the last choice is made."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltbench
from ltbench.engine import recommend as engine
from ltbench.engine.tune import Trial
from ltbench.tasks.views import truth
from tests.cli.conftest import Cli

CLASSES = ("cat", "<b>dog</b>", "tree", "lamp")
METHOD = '''
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ltbench.method import Choice, GradientStage, Method, MethodConfig, Needs, ParamGroup


class Net(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.head = nn.Linear(dim, classes)

    def logits(self, batch):
        return self.head(batch.input)

    def loss(self, batch):
        return {"loss": binary_cross_entropy_with_logits(self.logits(batch), (batch.observed SIGN 0).float())}


class NAME(Method):
    """A linear head."""

    class Config(MethodConfig):
        lr: float = 0.05

    @classmethod
    def search_space(cls):
        return {"lr": Choice((0.05, 0.02))}

    def needs(self):
        return Needs(input="global")

    def stages(self, context):
        net = Net(context.backbone.card.dim, len(context.class_names))
        return [GradientStage("train", net, [ParamGroup(list(net.parameters()), self.config.lr)], epochs=4)]
'''
ASK = ("recommend", "--task", "mine", "--trials", "2", "--seeds", "0,1")


@pytest.fixture
def mine(cli: Cli, tmp_path: Path) -> Path:
    """A task of features that show their labels, and two methods of one's own."""
    rng = np.random.default_rng(0)
    labels = rng.random((160, len(CLASSES))) < 0.35
    features = labels @ rng.normal(size=(len(CLASSES), 12)) + rng.normal(scale=1.0, size=(160, 12))
    names = [f"{row:03d}" for row in range(160)]
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "labels"])
        for name, row in zip(names, labels, strict=True):
            writer.writerow([name, "|".join(np.array(CLASSES)[row])])
    np.savez(tmp_path / "features.npz", files=names, features=features.astype(np.float32))
    # The second learns the opposite of every label.
    for name, sign in (("good", ">"), ("spoiled", "<")):
        source = METHOD.replace("SIGN", sign).replace("NAME", name.capitalize())
        (tmp_path / f"{name}.py").write_text(source)
    made = cli("task", "new", "mine", "--no-images", "--labels", "labels.csv", "--features", "features.npz")
    assert made.code == 0, made.err
    return tmp_path


def test_the_best_is_named_a_spoiled_method_is_last_and_a_second_call_repeats_nothing(mine: Path, cli: Cli) -> None:
    said = cli(*ASK, "--methods", "good.py,spoiled.py", "--json")
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    assert [one["method"] for one in answer["methods"]] == ["local.good", "local.spoiled"]
    assert answer["methods"][1]["verdict"] == "worse"
    assert answer["use"] == "local.good"
    assert answer["methods"][0]["seeds"] == [0, 1]
    assert answer["verdict"][1].startswith("Sure: it is better than local.spoiled")
    # A curve over shares, and where the held-out rows come from.
    assert [point["share"] for point in answer["curve"]] == [0.25, 0.5, 1.0]
    assert any("no validation images" in note for note in answer["notes"])
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert "&lt;b&gt;dog&lt;/b&gt;" in page
    assert "<b>dog" not in page
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)\S", page)
    # Nothing is done twice, and people see the same.
    records = sorted(Path("ltbench-runs").rglob("record.json"))
    table = cli(*ASK, "--methods", "good.py,spoiled.py")
    assert sorted(Path("ltbench-runs").rglob("record.json")) == records
    assert json.loads((Path(answer["report"]).parent / "answer.json").read_text())["verdict"] == answer["verdict"]
    assert "Use local.good: mAP" in table.out
    assert max(map(len, table.out.splitlines()[:12])) <= 80
    assert table.out.splitlines()[-1].startswith("Predict: ltbench predict --run ltbench-runs/mine/local.good/")
    # So does Python, which the command calls.
    found_out = ltbench.recommend("mine", methods=["good.py", "spoiled.py"], trials=2, seeds=[0, 1], report="own.html")
    assert sorted(Path("ltbench-runs").rglob("record.json")) == records
    assert found_out.verdict == answer["verdict"]
    assert (found_out.best.label, found_out.run) == ("local.good", Path(answer["run"]))
    assert found_out.report == Path("own.html")
    assert found_out.report.is_file()
    # The command that it ends with works, without the task's data, and decides by thresholds.
    (mine / "labels.csv").unlink()
    words = answer["predict"].replace("FEATURES.npz", "features.npz").split()
    assert words[4:6] == ["--thresholds", "f1"]
    found = cli(*words[1:], "--method-file", "good.py", "--save", "all.csv")
    assert found.code == 0, found.err
    with (mine / "all.csv").open(newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == 160
    assert {name for row in predicted for name in row["present"].split("|")} >= set(CLASSES)


def test_test_labels_stay_closed_until_the_last_trial_and_a_stopped_job_goes_on(
    mine: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ltbench.engine import tune

    opened: list[str] = []
    trials: list[Trial] = []
    real_rows, real_run, real_try = truth.test_rows, engine.run_one, tune._try

    def rows(*args: Any) -> Any:
        assert "run" in opened, "test labels were read while methods were tuned"
        return real_rows(*args)

    def attempt(*args: Any, **named: Any) -> Trial:
        assert not opened
        trials.append(real_try(*args, **named))
        return trials[-1]

    def run(*args: Any, **named: Any) -> Any:
        opened.append("run")
        if len(opened) == 2:
            raise KeyboardInterrupt
        return real_run(*args, **named)

    monkeypatch.setattr(truth, "test_rows", rows)
    monkeypatch.setattr(tune, "_try", attempt)
    monkeypatch.setattr(engine, "run_one", run)
    methods = ("--methods", "good.py,spoiled.py")
    assert cli(*ASK, *methods).code == 130
    assert len(opened) == 2
    done, trials[:] = len(trials), []
    assert done >= 2
    opened[:] = ["run", "run"]
    said = cli(*ASK, *methods, "--json")
    assert said.code == 0, said.err
    assert trials == []
    assert json.loads(said.out)["use"] == "local.good"


def test_a_budget_that_is_too_small_says_what_it_left_out(mine: Path, cli: Cli) -> None:
    said = cli("recommend", "--task", "mine", "--methods", "good.py,spoiled.py", "--budget", "0.001s", "--json")
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    assert answer["use"] == "local.good"
    # The first trials alone take more than this on any machine, so all that can be cut is cut; methods are not, being
    # two. In a second a quick machine does all of it.
    told = " ".join([*answer["cut"], *answer["notes"]])
    assert "1 of 8 trials a method" in told
    assert "no runs on shares of the labels" in told
    assert re.search(r"\b1 of \d seeds", told)


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("--task", "mine", "--methods", "zero-*"), "ltbench list methods --task mine"),
        (("--task", "mine", "--methods", "x*"), "ltbench list methods"),
        (("--task", "mine", "--budget", "soon"), "--budget 30m"),
        (("--task", "shapes-plt"), "--task shapes-plt@mr0"),
    ],
)
def test_what_cannot_be_asked_is_one_line_with_the_next_command(
    mine: Path, cli: Cli, args: tuple[str, ...], hint: str
) -> None:
    said = cli("recommend", *args)
    assert said.code == 2
    assert len(said.err.strip().splitlines()) <= 2
    assert hint in said.err


def test_without_an_encoder_photographs_ask_for_one(cli: Cli, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    with (tmp_path / "labels.csv").open("w") as file:
        file.write("file,labels\n")
        for row in range(12):
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / f"{row}.png")
            file.write(f"{row}.png,{'cat' if row % 2 else 'dog'}\n")
    assert cli("task", "new", "pictures", "--images", ".", "--labels", "labels.csv").code == 0
    said = cli("recommend", "--task", "pictures")
    assert said.code == 2
    assert "has no default backbone" in said.err
    assert "--backbone" in said.err
