"""A method that is a file: it runs by its name, its record says so, and another text of it is another run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltbench.method.local import LOCAL, use_class
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from tests.cli.conftest import Cli, Said

RUN = ("run", "--task", "shapes-micro", "--weights", "random")
METHOD = '''
import torch
from torch import nn

from near_loss import bce
from ltbench.method import Choice, GradientStage, Method, MethodConfig, Needs, ParamGroup


class Net(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.head = nn.Linear(dim, classes)

    def logits(self, batch):
        return self.head(batch.input)

    def loss(self, batch):
        return {"loss": bce(self.logits(batch), batch.observed)}


class MyAdapter(Method):
    """A linear head."""

    class Config(MethodConfig):
        lr: float = 0.1

    @classmethod
    def search_space(cls):
        return {"lr": Choice((0.1, 0.2))}

    def needs(self):
        return Needs(input="global")

    def stages(self, context):
        net = Net(context.backbone.card.dim, len(context.class_names))
        return [GradientStage("train", net, [ParamGroup(list(net.parameters()), self.config.lr)], epochs=1)]
'''
NEAR = """
from torch.nn.functional import binary_cross_entropy_with_logits


def bce(logits, observed):
    return binary_cross_entropy_with_logits(logits, (observed > 0).float())
"""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Methods, modules and the path of this process, as they were."""
    entries, path, modules = dict(registry().methods.entries), list(sys.path), set(sys.modules)
    yield
    registry().methods.entries = entries
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("ltbench_local_") or name == "near_loss":
            del sys.modules[name]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "my.py").write_text(METHOD)
    (tmp_path / "near_loss.py").write_text(NEAR)
    return tmp_path


def record_of(said: Said) -> dict[str, object]:
    assert said.code == 0, said.err
    (run,) = json.loads(said.out)
    return {**run["record"], "reused": run["reused"], "path": run["path"]}


def test_a_file_runs_and_each_change_of_it_or_of_its_neighbour_is_another_run(cli: Cli, mine: Path) -> None:
    first = record_of(cli(*RUN, "--method-file", "my.py", "--json"))
    method = first["method"]
    assert isinstance(method, dict)
    assert (method["name"], method["distribution"]) == ("local.my-adapter", LOCAL)
    assert method["code_sha256"].startswith(method["version"])
    assert record_of(cli(*RUN, "--method", "my.py:MyAdapter", "--json"))["reused"]
    hashes = {method["code_sha256"]}
    for name, old, new in (("my.py", "A linear", "The linear"), ("near_loss.py", "(observed > 0)", "(observed >= 0)")):
        (mine / name).write_text((mine / name).read_text().replace(old, new))
        assert "it is recorded already" not in cli(*RUN, "--method", "my.py", "--dry-run").err
        again = record_of(cli(*RUN, "--method", "my.py", "--json"))
        assert not again["reused"]
        hashes.add(again["method"]["code_sha256"])  # type: ignore[index]
    assert len(hashes) == 3
    board = cli("leaderboard", "--task", "shapes-micro").out
    assert board.count("local.my-adapter [local code") == 3


def test_predict_tune_and_verify_take_the_file_too(cli: Cli, mine: Path) -> None:
    from PIL import Image

    path = str(record_of(cli(*RUN, "--method", "my.py", "--json"))["path"])
    Image.new("RGB", (40, 40), "red").save(mine / "red.png")
    answer = cli("predict", "red.png", "--run", path, "--method-file", "my.py")
    assert answer.code == 0, answer.err
    assert "red.png" in answer.out
    verified = cli("verify", path, "--method-file", "my.py", "--jobs", "1")
    assert verified.out.startswith("right"), verified.out
    assert "not installed" not in verified.out
    again = cli("verify", path, "--rerun", "--method-file", "my.py:MyAdapter")
    assert again.out.startswith("same"), again.out
    tuned = cli("tune", *RUN[1:], "--method", "my.py", "--trials", "1")
    assert tuned.code == 0, tuned.err
    assert "--method-file my.py:MyAdapter --preset" in tuned.out
    (mine / "my.py").write_text(METHOD + "# edited\n")
    cli("tune", *RUN[1:], "--method", "my.py", "--trials", "1")
    assert len(list((mine / "ltbench-runs/tuning/shapes-micro/local.my-adapter").glob("*/trials.json"))) == 2
    # Another session does not know the file, and says what to name.
    registry().methods.entries.pop("local.my-adapter")
    for call in (("predict", "red.png", "--run", path), (*RUN, "--method", "local.my-adapter")):
        said = cli(*call)
        assert said.code == 2
        assert said.err.splitlines()[-1].endswith("is local code, of a file that was not named → --method-file FILE.py")


def test_a_failed_run_says_where_and_how_to_run_it_again(cli: Cli, mine: Path) -> None:
    (mine / "my.py").write_text(METHOD.replace("return {", "batch.nothing\n        return {"))
    said = cli("--debug", *RUN, "--method-file", "my.py")
    assert said.code == 1
    line = next(n for n, text in enumerate((mine / "my.py").read_text().splitlines(), 1) if "batch.nothing" in text)
    lines = [text.strip() for text in said.out.splitlines()]
    assert lines[0] == "Seed 0 failed: AttributeError: 'Batch' object has no attribute 'nothing'"
    assert lines[1] == f"At my.py, line {line}, in loss."
    assert Path(lines[2].removeprefix("Traceback: ")).name == "error.txt"
    assert lines[3].startswith("Run it again: ltbench run --task shapes-micro --method-file my.py:MyAdapter")
    assert f'my.py", line {line}, in loss' in said.err
    (mine / "my.py").write_text(METHOD)
    assert cli(*RUN, "--method-file", "my.py").code == 0


def test_a_sweep_hands_the_file_to_its_processes(cli: Cli, mine: Path) -> None:
    shared = ("--tasks", "shapes-micro", "--seeds", "0", "--weights", "random", "--jobs", "1")
    said = cli("sweep", *shared, "--methods", "my.py", "--json")
    assert said.code == 0, said.err
    (cell,) = json.loads(said.out)
    assert (cell["method"], cell["status"]) == ("local.my-adapter", "completed")
    (mine / "other.py").write_text(METHOD)
    both = cli("sweep", *shared, "--methods", "my.py,other.py")
    assert both.code == 2
    assert both.err.startswith("error: my.py and other.py are one method, local.my-adapter →")


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        (None, "my.py", "there is no file my.py →"),
        ("def f(:\n", "my.py", "my.py, line 1: invalid syntax →"),
        ("\0", "my.py", "null bytes"),
        ("x = 1\n", "my.py", "my.py has no class derived from Method →"),
        ("\nraise ValueError('no')\n", "my.py", "my.py, line 2: ValueError: no →"),
        ("import not_a_module_at_all\n", "my.py", "my.py, line 1: ModuleNotFoundError: No module named"),
        (f"{METHOD}\nclass Two(MyAdapter): ...\nclass Three(MyAdapter): ...\n", "my.py", "my.py has 2 methods: Two,"),
        (METHOD, "my.py:Nothing", "my.py has no Method class 'Nothing'; its own: MyAdapter →"),
    ],
)
def test_a_file_that_cannot_be_run_is_one_line(
    cli: Cli, mine: Path, text: str | None, named: str, message: str
) -> None:
    (mine / "my.py").unlink() if text is None else (mine / "my.py").write_text(text)
    said = cli(*RUN, "--method", named)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1
    assert message in said.err


def test_a_class_runs_and_is_refused_when_its_file_has_changed_since(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    import ltbench

    monkeypatch.chdir(mine)
    monkeypatch.syspath_prepend(str(mine))
    (mine / "class_of_mine.py").write_text(METHOD + "\nRATE = 1\n")
    module = importlib.import_module("class_of_mine")
    (done,) = ltbench.run("shapes-micro", module.MyAdapter, weights="random", out=mine / "runs")
    assert (done.record.method.name, done.record.status) == ("local.my-adapter", "completed")
    for old, new in (("> 0", "> 1"), ("RATE = 1", "RATE = 2")):
        path = mine / ("near_loss.py" if ">" in old else "class_of_mine.py")
        text = path.read_text()
        path.write_text(text.replace(old, new))
        with pytest.raises(UserError, match=f"{path.name} was changed after MyAdapter was imported"):
            ltbench.run("shapes-micro", module.MyAdapter, weights="random", out=mine / "runs")
        path.write_text(text)
    (again,) = ltbench.run("shapes-micro", module.MyAdapter, weights="random", out=mine / "runs")
    assert again.reused
    del sys.modules["class_of_mine"]


def test_what_is_no_method_or_depends_on_a_function_is_refused() -> None:
    from ltbench.method import Method

    def made(k: int) -> type[Method]:
        class Inside(Method): ...

        return Inside

    with pytest.raises(UserError, match="is no Method class"):
        use_class(int)
    with pytest.raises(UserError, match="made inside a function"):
        use_class(made(1))


def test_a_class_typed_into_a_session_counts_with_all_that_it_uses() -> None:
    import linecache
    from types import ModuleType

    from ltbench.plugin.typed import typed_sha256

    def cell(space: ModuleType, text: str, number: int) -> None:
        name = f"<cell {number}>"
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        exec(compile(text, name, "exec"), space.__dict__)

    session = ModuleType("typed_session")
    sys.modules["typed_session"] = session
    try:
        cell(session, "RATE = 1\ndef scale(x):\n    return x * RATE\n", 1)
        cell(session, "class Ours:\n    def f(self):\n        return scale(1)\n", 2)
        first = typed_sha256(session.Ours)
        assert typed_sha256(session.Ours) == first
        cell(session, "def scale(x):\n    return x + RATE\n", 3)
        second = typed_sha256(session.Ours)
        cell(session, "RATE = 2", 4)
        assert len({first, second, typed_sha256(session.Ours)}) == 3
        session.RATE = object()
        with pytest.raises(UserError, match="uses 'RATE'"):
            typed_sha256(session.Ours)
    finally:
        del sys.modules["typed_session"]
