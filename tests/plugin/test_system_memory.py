"""Peak memory where module resource is missing: taken away here, Windows' counter stood in for."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ltbench.plugin import system


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_peak_memory_is_that_of_the_process() -> None:
    pytest.importorskip("resource")
    before, source = system.peak_memory()
    assert source == "resource"
    assert before is not None
    block = bytearray(before + 50_000_000)
    block[:: os.sysconf("SC_PAGESIZE")] = b"x" * len(block[:: os.sysconf("SC_PAGESIZE")])
    after, _ = system.peak_memory()
    assert after is not None
    assert after >= len(block)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_without_module_resource_proc_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = system.peak_memory()
    without(monkeypatch, "resource")
    found, source = system.peak_memory()
    assert source == "/proc"
    assert found is not None
    assert expected is not None
    assert abs(found - expected) < 0.05 * expected


def test_memory_on_macos_is_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=123_456_789))
    monkeypatch.setitem(sys.modules, "resource", usage)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system.peak_memory() == (123_456_789, "resource")
    monkeypatch.setattr(sys, "platform", "linux")
    assert system.peak_memory() == (123_456_789 * 1024, "resource")


def test_memory_on_windows_is_the_counter_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is stood in for; the layout that it fills is Windows' own."""

    class Documented(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS as Microsoft documents it."""

        _fields_ = [
            ("cb", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        ]

    class Info:
        argtypes: Any = None
        answers = 1

        def __call__(self, process: int, counters: Any, size: int) -> int:
            assert (process, size) == (-1, ctypes.sizeof(Documented))
            filled = ctypes.cast(counters, ctypes.POINTER(Documented)).contents
            assert filled.cb == size
            filled.PeakWorkingSetSize, filled.WorkingSetSize = 987_654_321, 5
            return self.answers

    class Process:
        restype: Any = None

        def __call__(self) -> int:
            return -1

    info = Info()
    kernel = SimpleNamespace(GetCurrentProcess=Process(), K32GetProcessMemoryInfo=info)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(system, "_peak_in_proc", lambda: None)
    without(monkeypatch, "resource")
    assert system.peak_memory() == (987_654_321, "Windows")
    info.answers = 0
    assert system.peak_memory() == (None, "not measured")


def test_memory_that_nobody_measures_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without(monkeypatch, "resource", "ctypes")
    monkeypatch.setattr(system, "_peak_in_proc", lambda: None)
    assert system.peak_memory() == (None, "not measured")
    monkeypatch.undo()
    assert system._peak_in_proc(tmp_path / "status") is None
    (tmp_path / "status").write_text("Name:\tx\nVmHWM:\t   2048 kB\n")
    assert system._peak_in_proc(tmp_path / "status") == 2048 * 1024
    (tmp_path / "status").write_text("Name:\tx\n")
    assert system._peak_in_proc(tmp_path / "status") is None
