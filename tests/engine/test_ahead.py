"""Pictures loaded ahead of training: the same bits for any number of threads, errors with names, nothing left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ltbench.backbones.clip_backbone import ClipBackbone
from ltbench.cli import main
from ltbench.engine import phase1
from ltbench.engine.ahead import AHEAD, MOST, Load, Waited, loaded, workers_of

RUN = ("run", "--task", "shapes-micro", "--weights", "random")
SMALL = ("--backbone", "timm:test_resnet", "--image-size", "64")
SHORT = ("-o", "epochs=2", "-o", "batch_size=5")


def _logits(capfd: pytest.CaptureFixture[str], *args: str) -> str:
    capfd.readouterr()
    code = main([*RUN, *args, "--json"])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert ("waited for pictures in " in err) == ("seed" in args[-1])
    (run,) = json.loads(out)
    assert run["reused"] is False
    return f"{run['record']['key']} {run['record']['logits']['sha256']}"


@pytest.mark.parametrize(
    "options",
    [
        ("--method", "dr", *SMALL, "-o", "augment=live"),
        ("--method", "dualcoop", "--backbone", "tiny-clip", "--preset", "none", "-o", "augment=live"),
    ],
    ids=["a trained tower", "a frozen tower that sees fresh views"],
)
def test_no_result_depends_on_the_number_of_threads(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    found = {
        _logits(capfd, *options, *SHORT, "--workers", str(workers), "--out", str(tmp_path / str(workers)))
        for workers in (0, 1, 3)
    }
    assert len(found) == 1
    monkeypatch.setattr(phase1, "LONG", 0.0)
    monkeypatch.setattr(phase1, "WAITS", 0.0)
    other = _logits(capfd, *options, *SHORT, "--seed", "1", "--workers", "3", "--out", str(tmp_path / "seed"))
    assert other not in found
    (log,) = (tmp_path / "seed").rglob("log.jsonl")
    epochs = [json.loads(line) for line in log.read_text().splitlines()[:-1]]
    assert len(epochs) == 2
    assert all(0 < epoch["waited"] < epoch["seconds"] for epoch in epochs)


def test_what_a_frozen_tower_takes_for_fresh_views_is_no_waiting(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run would advise more workers where nothing but the tower is slow."""
    encode = ClipBackbone.encode_regions

    def slow(self: ClipBackbone, images: Tensor) -> tuple[Tensor, Tensor]:
        time.sleep(0.2)
        return encode(self, images)

    monkeypatch.setattr(ClipBackbone, "encode_regions", slow)
    options = ("--method", "dualcoop", "--backbone", "tiny-clip", "--preset", "none", "-o", "augment=live", *SHORT)
    _logits(capfd, *options, "--workers", "0", "--out", str(tmp_path / "slow"))
    (log,) = (tmp_path / "slow").rglob("log.jsonl")
    epochs = [json.loads(line) for line in log.read_text().splitlines()[:-1]]
    # Sixteen training images in batches of five.
    assert all(epoch["seconds"] - epoch["waited"] >= 4 * 0.2 for epoch in epochs)
    assert all(epoch["waited"] > 0 for epoch in epochs)


def test_what_is_waited_for_is_counted_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("ltbench.engine.ahead.time.perf_counter", lambda: now[0])

    def slow() -> Iterator[int]:
        yield 0
        now[0] += 2
        yield 1

    waited = Waited()
    things = waited.each(slow())
    assert next(things) == 0
    now[0] += 50
    assert list(things) == [1]
    assert waited.seconds == 2
    waited.start()
    assert waited.seconds == 0


def test_a_picture_that_cannot_be_loaded_is_named_in_one_line(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    lines = ["file,labels"]
    for number in range(24):
        Image.new("RGB", (40, 40), (10 * number, 0, 0)).save(tmp_path / "photos" / f"p{number:02}.png")
        lines.append(f"p{number:02}.png,{('cat', 'dog')[number % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert main(["task", "new", "mine", "--images", "photos", "--labels", "labels.csv"]) == 0
    # As a disk that fails between hashing and training would leave it.
    good = Image.open

    def harmed(file: object, *rest: object, **more: object) -> Image.Image:
        if str(file).endswith("p07.png"):
            raise OSError("image file is truncated")
        return good(file, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "open", harmed)
    capfd.readouterr()
    run = ["run", "--task", "mine", *RUN[3:], *SMALL, "--method", "erm", "-o", "epochs=1", "-o", "batch_size=4"]
    assert main([*run, "--workers", "3"]) != 0
    err = capfd.readouterr().err
    (line,) = [each for each in err.splitlines() if each.startswith("error: ")]
    assert "p07.png" in line
    assert "Traceback" not in err
    assert not _threads()


def _threads() -> list[str]:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        left = [each.name for each in threading.enumerate() if each.name.startswith("ltbench-pictures")]
        if not left:
            break
        time.sleep(0.05)
    return left


def _picture(number: int) -> Load:
    return lambda: torch.tensor([number])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_and_whole(workers: int) -> None:
    sizes = [3, 1, 200, 7]
    starts = [sum(sizes[:k]) for k in range(4)]
    batches = [(k, [_picture(starts[k] + i) for i in range(sizes[k])]) for k in range(4)]
    found = [(k, [int(each) for each in pictures]) for k, pictures in loaded(iter(batches), workers)]
    assert found == [(k, list(range(starts[k], starts[k] + sizes[k]))) for k in range(4)]
    assert not _threads()


def test_no_more_than_so_many_pictures_are_under_way() -> None:
    begun: list[int] = []

    def batches() -> Iterator[tuple[int, list[Load]]]:
        for k in range(100):
            yield k, [lambda k=k: (begun.append(k), torch.zeros(1))[1] for _ in range(8)]  # type: ignore[misc]

    stream = loaded(batches(), 2)
    next(stream)
    time.sleep(0.3)
    assert 8 < len(begun) <= 8 + AHEAD
    # An interrupt while the module learns: what was not begun never is.
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert not _threads()
    assert len(begun) <= 8 + AHEAD


def test_the_first_bad_picture_of_a_batch_is_the_one_that_is_told() -> None:
    def bad(why: str, seconds: float) -> Load:
        def load() -> Tensor:
            time.sleep(seconds)
            raise ValueError(why)

        return load

    with pytest.raises(ValueError, match="first"):
        list(loaded([(0, [_picture(0), bad("first", 0.1), bad("second", 0.0)])], 3))
    assert not _threads()


def test_the_number_of_threads_is_as_asked_else_the_cores_that_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltbench.engine.ahead.usable_cores", lambda: 6)
    assert workers_of(3, 1, 64) == 3
    assert workers_of(None, 1, 224) == 5
    assert workers_of(None, 8, 224) == 0
    assert workers_of(None, 1, 64) == workers_of(None, 1, None) == 0
    monkeypatch.setattr("ltbench.engine.ahead.usable_cores", lambda: 64)
    assert workers_of(None, 1, 448) == MOST
