"""Features ahead of time: shares by several processes are what one process would have encoded, to the bit."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock

from ltbench.backbones import encode_share
from ltbench.backbones.encode import Encoder
from ltbench.backbones.shards import ShardFolder, Share
from ltbench.cli.root import cli
from ltbench.data.base import DataRoot
from ltbench.data.progress import SILENT
from ltbench.engine.encode_task import EncodeRequest, encode_task
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.plugin.errors import UserError
from ltbench.tasks.registry import load_task


def encode(*words: str) -> Any:
    command = ["data", "encode", "shapes-micro", "--backbone", "tiny-clip", "--weights", "random", "--json", *words]
    result = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def rows(cache: Path) -> dict[str, bytes]:
    """Every encoded row by its key; a key that two shards hold is a fault."""
    found: dict[str, bytes] = {}
    for path in (cache / "features").glob("*/shard-*.json"):
        keys = json.loads(path.read_text())["keys"]
        assert found.keys().isdisjoint(keys)
        found |= {key: row.tobytes() for key, row in zip(keys, np.load(path.with_suffix(".npy")), strict=True)}
    return found


def test_shares_are_what_one_process_and_a_run_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = RunRequest(load_task("shapes-micro"), "zero-shot", "tiny-clip", weights="random", out=tmp_path / "runs")

    def cached(name: str) -> Path:
        monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / name))
        return tmp_path / name

    by_run = cached("run")
    run_one(request)
    whole = cached("whole")
    told = encode()
    assert told["rows"] == told["new"] > 0
    assert rows(by_run).items() <= rows(whole).items()
    # A few rows are several batches only where batches are small.
    monkeypatch.setattr(encode_share, "BATCH", 4)
    one = cached("one")
    encode()
    two = cached("two")
    # The last share first, as jobs of an array may run.
    second, first = encode("--shard", "2/2"), encode("--shard", "1/2")
    assert min(first["new"], second["new"]) > 0
    assert first["new"] + second["new"] == told["new"]
    assert rows(two) == rows(one)
    assert encode("--shard", "1/2")["new"] == 0
    before = rows(two)
    run_one(replace(request, out=tmp_path / "again"))
    assert rows(two) == before


def test_a_writer_waits_for_shares_and_shares_for_none_of_theirs(tmp_path: Path) -> None:
    said: list[str] = []

    class Says:
        task = staticmethod(SILENT.task)

        def line(self, text: str) -> None:
            said.append(text)
            # Whoever encodes the share ends now.
            other.release()

    folder = ShardFolder(tmp_path / "features", {"weights": "a"}, Says())
    with folder.claimed(Share(1, 2), ["x", "y"]), folder.claimed(Share(2, 2), ["x", "y"]):
        assert said == []
        (first, second) = sorted((tmp_path / "features").glob("*.claim"))
    other = FileLock(first, is_singleton=False)
    other.acquire()
    with folder.lock():
        assert len(said) == 1
    assert "waiting for processes that encode shares" in said[0]
    # Rows that are cut in another way are another set of shares.
    other.acquire()
    with folder.claimed(Share(1, 3), ["x", "y"]):
        assert len(said) == 2
    assert second.exists()


def test_a_share_goes_to_its_end_while_another_is_at_a_later_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in an array whose jobs begin one after the other; a run that wants to write waits, and holds nobody up."""
    monkeypatch.setattr(encode_share, "BATCH", 4)
    root, reached, go = DataRoot(cache=tmp_path), threading.Event(), threading.Event()
    request = EncodeRequest(load_task("shapes-micro"), "tiny-clip", weights="random")
    encode_as_before = Encoder.encode

    def stopped(self: Encoder, *given: Any) -> None:
        if threading.current_thread().name == "1/2" and given[-1] == "encoding training images":
            reached.set()
            assert go.wait(120)
        encode_as_before(self, *given)

    monkeypatch.setattr(Encoder, "encode", stopped)
    new: dict[str, int] = {}

    def share(text: str) -> threading.Thread:
        def work() -> None:
            new[text] = encode_task(replace(request, share=Share.parse(text)), root).new

        thread = threading.Thread(target=work, name=text, daemon=True)
        thread.start()
        return thread

    def write() -> None:
        with folder.lock():
            new["by others when it may write"] = sum(new.values())

    first = share("1/2")
    assert reached.wait(120)
    (path,) = (tmp_path / "features").iterdir()
    folder = ShardFolder(path, {}, SILENT)
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    share("2/2").join(120)
    assert new.keys() == {"2/2"}
    go.set()
    first.join(120)
    writer.join(120)
    assert new["by others when it may write"] == new["1/2"] + new["2/2"] == len(rows(tmp_path))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", ""])
def test_a_share_is_one_of_several(text: str) -> None:
    with pytest.raises(UserError, match="no share like 1/8"):
        Share.parse(text)
