"""Several processes that work on one run: the record, what they encode, how it ends when it does not end well."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.together import together
from ltbench.backbones.shards import ShardFolder
from ltbench.cli import main
from ltbench.data.progress import SILENT
from ltbench.engine import _mmengine  # noqa: F401  (imported here so that no process has to)
from ltbench.engine.again import again
from ltbench.engine.rerun import rerun
from ltbench.plugin import MethodSpec
from ltbench.plugin.manager import extra_specs
from ltbench.records.logits import read_logits
from ltbench.records.read import load_record
from ltbench.records.record import RunRecord

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork processes"
)

NAMES = ("Plain", "Remembering", "Diverging", "TwoStages")


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with extra_specs([MethodSpec(name=n.lower(), target=f"engine.toys:{n}", summary="toy") for n in NAMES]):
        yield


def words(method: str, out: Path, *more: str) -> list[str]:
    fixed = ["run", "--task", "shapes-micro", "--method", method, "--backbone", "tiny-clip", "--preset", "none"]
    return [*fixed, "--device", "cpu", "--out", str(out), *more]


def record_in(out: Path) -> tuple[Path, RunRecord]:
    (path,) = out.glob("*/*/*/attempt-*/record.json")
    return path, load_record(path)


class Everything:
    """All keys are wanted."""

    def __contains__(self, key: object) -> bool:
        return True


def features(cache: Path) -> tuple[dict[str, bytes], int]:
    """Every encoded row by its key, and how many shards hold them."""
    (folder,) = (cache / "features").glob("*")
    identity = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    width = np.load(next(folder.glob("*.npy")), mmap_mode="r").shape[1]
    index = ShardFolder(folder, identity, SILENT).read(width, Everything())
    return {key: index.shards[shard][row].tobytes() for key, (shard, row) in index.where.items()}, len(index.shards)


def test_two_processes_make_one_record_of_what_one_would_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache-alone"))
    assert main(words("remembering", tmp_path / "alone")) == 0
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache-two"))
    first, second = together(words("remembering", tmp_path / "two"), tmp_path / "said")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert second.out == second.err == ""
    assert first.out.count("Records:") == 1
    (alone_at, alone), (two_at, two) = record_in(tmp_path / "alone"), record_in(tmp_path / "two")
    assert (alone.world_size, two.world_size) == (None, 2)
    assert alone.key != two.key
    assert "world_size" not in json.loads(alone_at.read_text(encoding="utf-8"))
    # Features have the bits that one process gives them, and both encoded some.
    (one, shards), (other, more) = features(tmp_path / "cache-alone"), features(tmp_path / "cache-two")
    assert one == other
    assert more > shards
    logits = [read_logits(path.parent / "logits.safetensors").logits for path in (alone_at, two_at)]
    assert np.abs(logits[0] - logits[1]).max() <= 1e-5 * np.abs(logits[0]).max()
    decided = [json.loads((path.parent / "decisions.json").read_text(encoding="utf-8")) for path in (alone_at, two_at)]
    triples = [sorted(zip(d["rows"], d["classes"], d["epochs"], strict=True)) for d in decided]
    assert triples[0] == triples[1] != []
    logs = [(path.parent / "log.jsonl").read_text(encoding="utf-8").splitlines() for path in (alone_at, two_at)]
    for mine, theirs in zip(*([json.loads(line) for line in lines] for lines in logs), strict=True):
        if "total" in mine:
            assert theirs["total"] == pytest.approx(mine["total"], rel=1e-5)
    # Again: nothing is run, and nothing but two processes makes it again.
    first, _ = together(words("remembering", tmp_path / "two", "--json"), tmp_path / "said")
    assert json.loads(first.out)[0]["reused"] is True
    assert again(two).startswith("torchrun --nproc-per-node 2 -m ltbench run ")
    report = rerun(two_at, tmp_path / "again")
    assert (report.verdict, report.reason) == ("not run", "2 processes made it together, and this is one")


def test_stages_of_whole_batches_are_trained_by_one_and_known_to_all(tmp_path: Path) -> None:
    assert main(words("twostages", tmp_path / "alone")) == 0
    first, second = together(words("twostages", tmp_path / "two"), tmp_path / "said")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    paths = [record_in(tmp_path / name)[0].parent / "logits.safetensors" for name in ("alone", "two")]
    np.testing.assert_array_equal(*(read_logits(path).logits for path in paths))


def test_all_processes_end_where_one_diverges_or_is_refused(tmp_path: Path) -> None:
    first, second = together(words("diverging", tmp_path / "two", "--seed", "0,1"), tmp_path / "said")
    assert (first.code, second.code) == (1, 0), first.err + second.err
    records = [load_record(path) for path in (tmp_path / "two").glob("*/*/*/attempt-*/record.json")]
    assert [(record.status, record.step, record.world_size) for record in records] == [("diverged", 5, 2)] * 2
    first, second = together([*words("plain", tmp_path / "none"), "--share", "2"], tmp_path / "said")
    assert (first.code, second.code) == (2, 2)


def test_other_commands_are_for_one_process(tmp_path: Path) -> None:
    first, second = together(["list", "tasks"], tmp_path / "said")
    assert (first.code, second.code) == (2, 2)
    assert "2 processes were started, and ltbench list is for one" in first.err
    assert "torchrun --nproc-per-node 2 -m ltbench run" in first.err
    assert second.err == ""


def test_accumulation_is_in_the_key_and_the_record_where_it_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("linear-probe", tmp_path / "whole", "-o", "epochs=2")) == 0
    assert main(words("linear-probe", tmp_path / "cut", "-o", "epochs=2", "--accumulate", "4")) == 0
    (_, whole), (_, cut) = record_in(tmp_path / "whole"), record_in(tmp_path / "cut")
    assert (whole.accumulation, cut.accumulation) == (None, 4)
    assert whole.key != cut.key
    assert "--accumulate 4" in again(cut)
    assert main(words("plain", tmp_path / "none", "--accumulate", "2")) == 2
    assert "takes whole batches only, which cannot be cut into 2 passes" in capsys.readouterr().err
    assert not list((tmp_path / "none").glob("*/*/*/attempt-*/record.json"))


@pytest.mark.slow
def test_torchrun_starts_them(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--campaign"):
        pytest.skip("imports torch three times: pytest --campaign")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "ltbench"]
    done = subprocess.run(
        [*command, *words("linear-probe", tmp_path, "-o", "epochs=2")],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert record_in(tmp_path)[1].world_size == 2
    assert "Warning" not in done.stderr
