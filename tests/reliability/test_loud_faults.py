"""Attacks that once ended in a traceback, a hang, a wrong blame or a mess: each is one line, or does no harm."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine import toys
from engine.harness import Interrupted, make_world, run
from records.builders import record, task

from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.precomputed import open_precomputed
from ltbench.cli import main
from ltbench.data.base import DataRoot
from ltbench.data.formats.coco_json import read_images
from ltbench.data.formats.parsed import parsed
from ltbench.data.formats.voc_xml import read_objects
from ltbench.data.getting import download as downloads
from ltbench.data.getting.download import GaveUp, NotThere, Patience, download
from ltbench.data.getting.unpack import unpack
from ltbench.data.own.table import read_table
from ltbench.engine import checkpoint, sweep
from ltbench.engine import run as running
from ltbench.engine.how import SweepOptions
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.engine.run import run_one
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.clean import for_cell, for_markdown_cell, for_terminal
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import explain_os_error
from ltbench.records.read import all_records, load_record
from ltbench.records.store import RunStore
from ltbench.records.verify import VerifyReport
from ltbench.report.board import build_board
from ltbench.report.collect import import_records
from ltbench.report.write import render
from ltbench.tasks.own.custom import custom_tasks
from ltbench.tasks.registry import load_task


@contextmanager
def answering(head: bytes, body: Iterable[bytes] = (), pause: float = 0.0) -> Iterator[str]:
    """A server that gives each client these bytes, one after the other, for as long as it stays."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=give, args=(client,), daemon=True).start()

    def give(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65536)
            client.sendall(head)
            for part in body:
                client.sendall(part)
                if over.wait(pause):
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file"
    finally:
        over.set()
        server.close()


ONCE = Patience(tries=1, silent=1)
QUICK = Patience(tries=1, silent=1, answer=0.4, chunk=0.4)


def endless(part: bytes) -> Iterator[bytes]:
    while True:
        yield part


def test_an_endless_answer_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "UNTOLD", 1 << 20)
    monkeypatch.setattr(downloads, "JUDGED_BY_HASH", 1 << 20)
    part = tmp_path / "part"
    with answering(b"HTTP/1.0 200 OK\r\n\r\n", endless(b"x" * 65536)) as url:
        with pytest.raises(NotThere, match="sends more than"):
            download(url, part, patience=ONCE)
        with pytest.raises(NotThere, match="sends more than"):
            download(url, part, size=100, pinned=True, patience=ONCE)
    assert list(tmp_path.iterdir()) == []
    # Nobody goes on reading either.
    until = time.monotonic() + 20
    while any(thread.name == downloads.READER for thread in threading.enumerate()):
        assert time.monotonic() < until, "the answer is still read"
        time.sleep(0.05)


def test_an_answer_that_grows_when_it_is_unpacked_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "JUDGED_BY_HASH", 1 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    head = b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with answering(head, [bomb]) as url, pytest.raises(NotThere, match="sends more than"):
        download(url, tmp_path / "part", size=100, patience=ONCE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("head", "body", "why"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n", endless(b""), "less than 128 KiB"),
        (b"", endless(b"HTTP/1.1 100 Continue\r\n\r\n"), "no answer within"),
        (b"HTTP/1.0 200 OK\r\nX: ", endless(b"y"), "no answer within"),
    ],
    ids=["body", "continue", "header"],
)
def test_a_server_that_drips_is_not_waited_for(tmp_path: Path, head: bytes, body: Iterator[bytes], why: str) -> None:
    began = time.monotonic()
    with answering(head, body, pause=0.05) as url, pytest.raises(GaveUp, match=why):
        download(url, tmp_path / "part", patience=QUICK)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 302 Found\r\nLocation: http://[\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: http://\xff.\xff/\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.0 999999 \r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_an_odd_answer_is_a_failed_attempt(tmp_path: Path, head: bytes) -> None:
    with answering(head) as url:
        try:
            download(url, tmp_path / "part", size=4, patience=ONCE)
        except (NotThere, GaveUp):
            return
    assert (tmp_path / "part").stat().st_size == 0, "nothing was sent"


def micro(out: Path, **changes: Any) -> RunRequest:
    made: dict[str, Any] = {"weights": "random", "out": out, "device": "cpu", "preset": "none", **changes}
    return RunRequest(load_task("shapes-micro"), "zero-shot", "tiny-clip", **made)


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(2, "gone"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 GB")],
)
def test_what_the_machine_fails_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(running, "_phase1", fails)
        with pytest.raises(UserError, match="the machine failed") as caught:
            run_one(micro(tmp_path))
    assert "same command again" in caught.value.hint
    assert not list(tmp_path.rglob("record.json"))


def test_any_error_is_one_runs_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SweepPlan.of(("shapes-micro",), ("zero-shot",), weights="random", backbone="tiny-clip", seeds=(0,))
    (cell,) = sweep.expand(plan)

    def fails(*_: object, **__: object) -> None:
        raise KeyError("whatever")

    monkeypatch.setattr(running, "run_one", fails)
    result = sweep.work(cell, plan, SweepOptions(out=tmp_path))
    assert (result.status, result.reason) == ("failed", "KeyError: 'whatever'")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e308 * 10])
def test_options_are_finite(tmp_path: Path, value: float) -> None:
    request = RunRequest(load_task("shapes-micro"), "linear-probe", "tiny-clip", overrides={"lr": value})
    with pytest.raises(UserError, match="lr"):
        resolve_method(request)


WORKER = """
import multiprocessing, os, sys, time
from ltbench.plugin.system import end_with_parent

def work(pipe):
    end_with_parent()
    pipe.send(os.getpid())
    time.sleep(60)

if __name__ == "__main__":
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=work, args=(theirs,)).start()
    print(ours.recv(), flush=True)
    time.sleep(60)
"""


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    (tmp_path / "parent.py").write_text(WORKER)
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    gone, alive = psutil.wait_procs([worker], timeout=20)
    assert gone
    assert not alive


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


def written(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_one_bad_record_stops_nothing(tmp_path: Path) -> None:
    good = record()
    written(tmp_path / "good" / "record.json", good.to_json())
    plain = json.loads(good.to_json())
    bad = {
        "deep": deep(100_000),
        "levels": {**plain, "method": {**plain["method"], "config": json.loads(deep(200))}},
        "half": good.to_json().replace('"cup"', '"\\ud800"'),
        "huge": good.to_json().replace("70.5", "9" * 5000),
        "infinite": good.to_json().replace("70.5", "1e999"),
        "headline": {**plain, "task": {**plain["task"], "headline": "none"}},
        "total": {**plain, "scores": {"mAP": {"head": 1.0}}, "intervals": {"mAP": {"head": None}}},
        "version": {**plain, "schema_version": [3]},
        "list": [],
    }
    for name, document in bad.items():
        written(tmp_path / name / "record.json", document)
    (tmp_path / "latin" / "record.json").parent.mkdir()
    (tmp_path / "latin" / "record.json").write_bytes(b'{"schema_version": "\xff"}')
    os.mkfifo(tmp_path / "pipe.json")
    found = all_records([tmp_path, tmp_path / "pipe.json"])
    assert [entry.path.parent.name for entry in found.records] == ["good"]
    assert len(found.problems) == len(bad) + 1
    for problem in found.problems:
        assert "\n" not in str(problem)
    with pytest.raises(UserError, match="no regular file"):
        load_record(tmp_path / "pipe.json")


def test_a_board_is_built_before_anything_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ltbench.report import collect

    written(tmp_path / "runs" / "record.json", record().to_json())

    def breaks(*_: object) -> None:
        raise KeyError("total")

    monkeypatch.setattr(collect, "build_board", breaks)
    found = import_records([tmp_path / "runs"], tmp_path / "boards", lambda path: VerifyReport(path))
    assert "the leaderboard cannot be built with it" in found.refused[0].message
    assert not (tmp_path / "boards").exists()


def test_one_bad_task_folder_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_TASKS", str(tmp_path))
    written(tmp_path / "deep" / "task.json", '{"name": ' + deep(100_000) + "}")
    written(tmp_path / "out" / "task.json", {**task().model_dump(mode="json"), "name": "../../out"})
    assert custom_tasks() == []


def test_seconds_before_a_kill_count(tmp_path: Path) -> None:
    world = make_world()
    with pytest.raises(Interrupted):
        run(toys.Plain(toys.Plain.Config()), world, tmp_path, interrupt_at=8)
    state = checkpoint.load(tmp_path / "checkpoints" / "stage-0.pt")
    assert state is not None
    assert state["train_seconds"] > 0
    checkpoint.save(tmp_path / "checkpoints" / "stage-0.pt", {**state, "train_seconds": 500.0, "encode_seconds": 70.0})
    outcome = run(toys.Plain(toys.Plain.Config()), world, tmp_path).outcome
    assert 500 < outcome.train_seconds < 560
    assert 70 <= outcome.encode_seconds < 130
    # All of it is done: nothing is trained, and the time stays what it was.
    assert run(toys.Plain(toys.Plain.Config()), world, tmp_path).outcome.train_seconds == pytest.approx(
        outcome.train_seconds, abs=1.0
    )


def test_an_audit_of_a_part_is_none(tmp_path: Path) -> None:
    lines: list[str] = []
    says: Any = SimpleNamespace(line=lines.append)
    with RunStore(tmp_path).begin("t", "m", "a" * 64) as attempt:
        attempt.checkpoints.mkdir()
        attempt.resumed = True
        running._begin_audit(micro(tmp_path, audit_selection=True), attempt, says)
        assert not attempt.checkpoints.exists()
        assert "was not audited" in lines[0]
        (attempt.audit / "epoch-0002.safetensors").write_bytes(b"")
        with pytest.raises(UserError, match="looked at 1 of 2 epochs"):
            running._oracle(micro(tmp_path), attempt, None, True, 2)
        attempt.audit.mkdir()
        running._begin_audit(micro(tmp_path), attempt, says)
        assert not attempt.audit.exists()


def test_leftovers_of_killed_processes_are_removed_under_the_lock(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with store.begin("t", "m", "a" * 64) as attempt:
        left = attempt.path / ".record.json.abcd1234.tmp"
    left.write_bytes(b"half")
    with store.begin("t", "m", "a" * 64):
        assert not left.exists()


def test_text_from_outside_is_cleaned_for_its_place(tmp_path: Path) -> None:
    assert for_terminal("a\x1b[2Jb\x9b1m\u202ec") == "a\\x1b[2Jb\\x9b1m\\u202ec"
    assert for_terminal("± 1 ≈ 2\n") == "± 1 ≈ 2\n"
    assert for_markdown_cell("<img src=x onerror=y>|[a](javascript:z)\nb") == (
        "&lt;img src=x onerror=y>\\|[a]\\(javascript:z) b"
    )
    assert for_cell('=HYPERLINK("a")') == '\'=HYPERLINK("a")'
    assert for_cell(-1.5) == -1.5
    from records.builders import method_facts

    name = "<img onerror=x>"
    runs = [record(method=method_facts(name=name, preset="=$\\frac$"), seed=seed) for seed in (0, 1)]
    board = build_board(runs, "toy-lt", 1)
    assert "<img" not in render(board, "md")
    html = render(board, "html")
    assert "<img" not in html
    assert "frac" in html
    assert ",'=$\\frac$," in render(board, "csv")


def test_errors_show_no_orders_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--task", "x\x1b[2J", "--method", "zero-shot"]) == 2
    assert "\x1b" not in capfd.readouterr().err


def test_damaged_caches_are_read_again(tmp_path: Path) -> None:
    source = written(tmp_path / "source", "text")
    root = DataRoot(cache=tmp_path / "cache")
    numbers = np.arange(200)
    parsed(root, "kind.1", [source], lambda: {"numbers": numbers})
    (path,) = (tmp_path / "cache" / "parsed" / "kind.1").glob("*.npz")
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        found = parsed(root, "kind.1", [source], lambda: {"numbers": numbers})
        assert np.array_equal(found["numbers"], numbers)


@pytest.mark.parametrize(
    "content",
    [b"- 1", b"\xff\xfe", b"tasks: " + b"[" * 9000, b"a: &a [*a]", b"tasks: 2001-13-13", b"? [a]\n: 1", b"methods: 3"],
)
def test_a_plan_is_read_or_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"plan plan\.yaml"):
        SweepPlan.read(tmp_path / "plan.yaml")


@pytest.mark.parametrize(
    "arrays",
    [
        {"files": np.array("a"), "features": np.ones((1, 2), np.float32)},
        {"files": np.array(["a"]), "features": np.float32(1)},
        {"files": np.array(["a"]), "features": np.ones((1, 0), np.float32)},
        {"files": np.array([b"\xff"]), "features": np.ones((1, 2), np.float32)},
    ],
)
def test_features_of_no_shape_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    np.savez(tmp_path / "features.npz", **arrays)
    options = BackboneOptions(argument=str(tmp_path / "features.npz"))
    with pytest.raises(UserError, match=r"features\.npz"):
        open_precomputed("precomputed", options)


def test_numbers_encodings_and_names_beyond_bounds(tmp_path: Path) -> None:
    path = written(tmp_path / "instances.json", {"images": [{"id": 2**63, "file_name": "a.jpg"}]})
    with pytest.raises(UserError, match=r"instances\.json"):
        read_images(path)
    (tmp_path / "a.xml").write_bytes(b'<?xml version="1.0" encoding="klingon"?><annotation/>')
    with pytest.raises(UserError, match=r"a\.xml"):
        read_objects(tmp_path / "a.xml")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("n" * 300))
    with pytest.raises(UserError, match="300 bytes"):
        unpack(tmp_path / "a.tar", "tar", tmp_path / "out")
    table = read_table(written(tmp_path / "labels.csv", 'file,labels\na.jpg,"x\x1b[2J"\n"b\x85.jpg",y\n'))
    assert len(table.problems) == 2
    assert "too long" in explain_os_error(OSError(36, "File name too long", "x"), "x" * 300).message
