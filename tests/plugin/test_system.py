"""What a platform may lack is simulated here: modules taken away, links refused, Windows' counter stood in for."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ltbench.engine import checkpoint
from ltbench.plugin import system
from ltbench.plugin.files import write_atomic


def refuse(number: int) -> Any:
    def link(source: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    return link


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


def test_a_second_name_is_a_link(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"content")
    assert system.link_or_copy(one, two)
    assert two.samefile(one)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV, errno.EMLINK, errno.EINVAL])
def test_where_links_are_refused_it_is_a_copy(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(number))
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"content")
    assert not system.link_or_copy(one, two)
    assert two.read_bytes() == b"content"
    assert not two.samefile(one)
    with pytest.raises(FileExistsError):
        system.link_or_copy(one, two)
    with pytest.raises(FileNotFoundError):
        system.link_or_copy(tmp_path / "none", tmp_path / "three")


def test_a_platform_without_os_link_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "link")
    (tmp_path / "one").write_bytes(b"content")
    assert not system.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == b"content"


def test_a_copy_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    monkeypatch.setattr(os, "fsync", lambda number: refuse(errno.ENOSPC)(tmp_path, tmp_path))
    (tmp_path / "one").write_bytes(b"content")
    with pytest.raises(OSError, match="No space"):
        system.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize("links", [True, False])
def test_checkpoints_keep_the_previous_one_with_and_without_links(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    path = tmp_path / "stage-0.pt"
    for epoch in range(3):
        checkpoint.save(path, {"epoch": epoch})
    assert checkpoint.load(path) == {"epoch": 2}
    path.write_bytes(b"damaged")
    assert checkpoint.load(path) == {"epoch": 1}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stage-0.pt", "stage-0.pt.previous"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_new_files_have_the_mode_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", "text")
        assert system.new_file_mode() == 0o640
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_folders_that_cannot_be_synced_are_no_error(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows opens no folders; some file systems sync none."""
    asked: list[Any] = []

    def refused(*given: Any) -> int:
        asked.append(given)
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, call, refused)
    system.sync_folder(tmp_path)
    assert asked


def test_cores_without_affinity_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert system.usable_cores() == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.usable_cores() == 1


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


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("my-photos", ""),
        ("shapes-plt@mr40", ""),
        ("console", ""),
        ("com10", ""),
        ("aux", "device"),
        ("con.v2", "device"),
        ("LPT1", "device"),
        ("photos.", "ends in '.'"),
        ("timm:resnet18", "':'"),
        ("a/b", "'/'"),
        ("a\x07", "'\\x07'"),
    ],
)
def test_names_that_some_system_refuses(name: str, problem: str) -> None:
    found = system.unportable(name)
    assert problem in found
    assert bool(found) == bool(problem)


def test_slugs_are_names_everywhere() -> None:
    assert system.slug("open_clip:ViT-B-32/laion2b_s34b_b79k") == "open-clip-ViT-B-32-laion2b-s34b-b79k"
    assert len(system.slug("x" * 100)) == 60
    assert not system.unportable(system.slug("a:b\\c") + "-global-0")
