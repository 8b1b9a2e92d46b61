"""Processes and terminals: cores, being told to end, and what an encoding lacks."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from ltbench.plugin import system


def test_cores_without_affinity_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.usable_cores() >= 1
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(system, "_container_share", lambda cores: cores)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert system.usable_cores() == 12
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert system.usable_cores() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.usable_cores() == 1


@pytest.mark.parametrize(
    ("text", "cores"),
    [("200000 100000", 2), ("50000 100000", 1), ("max 100000", 9), ("", 9), ("1 0", 9), (None, 9)],
)
def test_a_containers_quota_is_known(tmp_path: Path, text: str | None, cores: int) -> None:
    if text is not None:
        (tmp_path / "cpu.max").write_text(text)
    assert system._container_share(9, tmp_path / "cpu.max") == cores


def test_being_told_to_end_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), system.ended_politely():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_handlers_are_left_alone_outside_of_the_main_thread() -> None:
    seen: list[object] = []

    def inside() -> None:
        with system.ended_politely():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_a_platform_without_sigterm_has_no_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.delattr(signal, "SIGTERM")
    monkeypatch.setattr(signal, "signal", lambda *given: pytest.fail("set a handler"))
    with system.ended_politely():
        pass
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", "λ → é… ± 猫 “x”"),
        ("cp1252", "? > é… ± ? “x”"),
        ("latin-1", '? > é. ± ? "x"'),
        ("ascii", '? > ?. ? ? "x"'),
    ],
)
def test_what_an_encoding_lacks_is_replaced_one_for_one(
    encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "λ → é… ± 猫 “x”"
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert system.printable(text) == (text == printed)
    system.replace_unprintable()
    for stream in (sys.stdout, sys.stderr):
        stream.write(text)
        stream.flush()
        written = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert written == printed
        assert len(written) == len(text)


def test_names_of_files_with_bytes_that_are_no_text_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    system.replace_unprintable()
    sys.stdout.write(os.fsdecode(b"caf\xe9.jpg"))
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b"caf?.jpg"  # type: ignore[attr-defined]


def test_streams_that_cannot_be_told_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", None)
    system.replace_unprintable()
    assert system.output_encoding() == ""
    assert system.printable("猫")
    closed = io.TextIOWrapper(io.BytesIO())
    closed.detach()
    monkeypatch.setattr(sys, "stdout", closed)
    system.replace_unprintable()
