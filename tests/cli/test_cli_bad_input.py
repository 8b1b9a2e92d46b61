"""What bad input gets, as people see it: one line that says what is wrong, before anything large is brought."""

from __future__ import annotations

import socket
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from ltbench.backbones.known import released_clip
from ltbench.data.getting import download as downloads
from ltbench.engine import whole
from tests.cli.conftest import Cli

TIMM = "timm:test_resnet.r160_in1k"
MICRO = ("run", "--task", "shapes-micro", "--method", "linear-probe-lbfgs", "--backbone", TIMM)


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has nothing."""
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr(downloads, "_sleep", lambda seconds: None)
    for name in ("LTBENCH_MIRROR", "LTBENCH_OFFLINE", "LTBENCH_DATA", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@contextmanager
def serving(files: dict[str, bytes], cut: Callable[[], int | None] = lambda: None) -> Iterator[str]:
    """The address of a server of files, which sends only the first bytes of each where `cut` says how many."""

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            content = files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content[: cut()])
            self.close_connection = True

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def released(name: str, folder: Path) -> Path:
    path = folder / f"{name}.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model(name, num_classes=1000).state_dict(), path)
    return path


def test_a_weights_file_of_another_architecture(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = released("test_vit", empty)
    said = cli(*MICRO, "--weights", str(file))
    assert said.code == 2
    (line,) = (line for line in said.err.splitlines() if line.startswith("error: "))
    assert line.startswith(f"error: the weights do not fit {TIMM}: ")
    assert line.endswith("more differences) → --weights FILE of that architecture")
    # Told before a plan downloads gigabytes, too.
    monkeypatch.setattr(whole, "silent", lambda asked: {})
    monkeypatch.setattr(whole, "bring_missing", lambda *args: pytest.fail("downloaded"))
    plan = ("sweep", "--tasks", "voc-lt", "--methods", "linear-probe-lbfgs", "--seeds", "0", "--backbone", TIMM)
    said = cli(*plan, "--weights", str(file))
    assert said.code == 2
    assert f"error: the weights do not fit {TIMM}: " in said.err
    said = cli("run", "--task", "voc-lt", "--method", "lmpt", "--weights", "gone.pt")
    assert said.code == 2
    assert said.err == "error: weights file gone.pt does not exist → --weights FILE\n"


def test_an_interrupted_download_goes_on(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = released("test_resnet", empty).read_bytes()
    whole_file = False
    files = {"/timm/test_resnet.r160_in1k/resolve/main/model.safetensors": content}
    with serving(files, lambda: None if whole_file else len(content) // 2) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        said = cli(*MICRO)
        assert said.code == 2
        line = said.err.splitlines()[-1]
        assert line.startswith(f"error: the released weights of {TIMM} could not be downloaded (")
        assert f"{address}/timm/test_resnet.r160_in1k/resolve/main/model.safetensors" in line
        assert "; --weights random (for trying the path, never ranked), or --weights FILE" in line
        assert not list((empty / "cache").rglob("*.safetensors"))
        whole_file = True
        said = cli(*MICRO)
        assert said.code == 0, said.err
    (kept,) = (empty / "cache" / "sources").rglob("model.safetensors")
    assert kept.read_bytes() == content


def test_a_mirror_with_an_altered_file(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = released_clip("clip-rn50").places[0]
    run = (*MICRO[:-1], "clip-rn50")
    path = empty / "mirror" / place.layout
    path.parent.mkdir(parents=True)
    path.write_bytes(b"an old file")
    monkeypatch.setenv("LTBENCH_MIRROR", str(empty / "mirror"))
    said = cli(*run)
    assert said.code == 2
    line = said.err.splitlines()[-1]
    assert line.startswith(f"error: RN50.pt from the mirror ({path}) has sha256 ")
    assert f"not the pinned one {place.sha256}" in line
    assert line.endswith("→ replace it there, or unset LTBENCH_MIRROR")
    with serving({f"/{place.layout}": b"another one"}) as address:
        monkeypatch.setenv("LTBENCH_MIRROR", address)
        said = cli(*run)
    assert said.code == 2
    assert f"RN50.pt from {address}/{place.layout} has sha256 " in said.err
    assert f"not the pinned one {place.sha256}" in said.err
    assert not list((empty / "cache").rglob("*RN50.pt*"))


def test_a_hub_that_does_not_answer_is_given_up_after_seconds(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, serving({}) as address:
        hub = f"127.0.0.1:{mute.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", f"http://{hub}")
        started = time.monotonic()
        said = cli(*MICRO)
        assert time.monotonic() - started < 20
        assert said.code == 2
        assert f"no network answers: {hub}: " in said.err
        # A host that answers for other things does not stand for it.
        monkeypatch.setattr("ltbench.engine.lacks.address", lambda source: _other(source.url, address, hub))
        said = cli("run", "--task", "voc-lt", "--method", "lmpt", "--backbone", "clip-rn50")
        assert said.code == 2
        assert f"no host of weights of clip-rn50 answers: {hub}: " in said.err
    assert not (empty / "cache").exists()


def _other(url: str, answers: str, mute: str) -> str:
    """Weights at a host that is mute, all else at one that answers."""
    return f"http://{mute}/a" if "openai" in url or "huggingface" in url else f"{answers}/a"


def test_too_little_disk_for_downloads_and_features_of_a_plan(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(whole, "silent", lambda asked: {})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10**13, 0, 30 * 10**9))
    # 20 GB of photographs, and features of 40,504 test images, 50 vectors of 1024 numbers each; training images are
    # encoded anew in each epoch.
    plan = ("--tasks", "partial-coco@p10", "--methods", "dualcoop", "--seeds", "0", "--backbone", "clip-rn50")
    said = cli("sweep", *plan, "--dry-run")
    assert said.code == 0, said.err
    assert "  encoded features: at most 8.3 GB in the cache" in said.err
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10**13, 0, 25 * 10**9))
    said = cli("sweep", *plan)
    assert said.code == 2
    assert "error: the sweep needs " in said.err
    assert "where 25.0 GB are free; nothing was downloaded" in said.err
    monkeypatch.setenv("LTBENCH_CACHE_LIMIT", "1G")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10**13, 0, 10**13))
    said = cli("sweep", *plan)
    assert said.code == 2
    assert "error: encoded features of partial-coco by clip-rn50 take 8.3 GB in the cache" in said.err
    assert "→ LTBENCH_CACHE_LIMIT=8G" in said.err
    assert not (empty / "cache").exists()
