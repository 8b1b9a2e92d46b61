"""What differs between operating systems, terminals and file systems, each with what is done where one lacks it.

Nothing else in the package asks the system for these (``tests/plugin/test_sources_are_portable.py`` walks the sources):

* memory: module ``resource``, else ``/proc``, else Windows' own counter, else not measured;
* hard links: a copy where the file system has none;
* the mode of new files, and syncing of folders: nothing where the system knows neither;
* two folders changing places at once: nothing where the system or the file system cannot;
* graphics processors: ``CUDA_VISIBLE_DEVICES``, else ``/proc``, else not told;
* a time limit: an alarm, else an exception that Python raises in the thread;
* signals: asked to end, a program is interrupted as by Ctrl-C, where it can be told;
* what a terminal's encoding cannot print is replaced;
* names of files that every system takes.

Locks are those of the library filelock, which has a fallback of its own where ``fcntl`` is missing.
"""

from __future__ import annotations

import codecs
import importlib
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

REPLACED = "ltbench.replaced"
_LOOKS_LIKE = {"→": ">", "←": "<", "…": ".", "≈": "~", "−": "-", "–": "-", "—": "-", "─": "-", "━": "-", "│": "|"}
_LOOKS_LIKE |= {"‘": "'", "’": "'", "“": '"', "”": '"', "•": "*", "×": "x"}
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_NOT_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def _module(name: str) -> ModuleType | None:
    """A module of the standard library that not every platform has."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def peak_memory() -> tuple[int | None, str]:
    """The most memory that this process held so far.

    Returns:
        Bytes, or None where no way is known; and where that came from, for people.
    """
    resource = _module("resource")
    if resource is not None:
        # ru_maxrss is in KiB on Linux and in bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit, "resource"
    for name, ask in (("/proc", _peak_in_proc), ("Windows", _peak_on_windows)):
        found = ask()
        if found is not None:
            return found, name
    return None, "not measured"


def _peak_in_proc(status: Path = Path("/proc/self/status")) -> int | None:
    """``VmHWM`` of Linux, in bytes."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="utf-8", errors="replace"), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _peak_on_windows() -> int | None:
    """``PeakWorkingSetSize`` of ``GetProcessMemoryInfo``, in bytes."""
    ctypes: Any = _module("ctypes")
    if ctypes is None or not hasattr(ctypes, "windll"):
        return None
    # PROCESS_MEMORY_COUNTERS: two 32-bit numbers, then eight of the size of a pointer; the peak is the first of these.
    size_t, dword = ctypes.c_size_t, ctypes.c_uint32
    fields = [("cb", dword), ("PageFaultCount", dword), *((f"counter{number}", size_t) for number in range(8))]
    counters = type("ProcessMemoryCounters", (ctypes.Structure,), {"_fields_": fields})()
    counters.cb = ctypes.sizeof(counters)
    kernel = ctypes.windll.kernel32
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, dword]
    if not kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        return None
    return int(counters.counter0)


def link_or_copy(source: Path, target: Path) -> bool:
    """Give a file a second name; where the file system has no hard links, a copy.

    Returns:
        Whether it is a link.

    Raises:
        OSError: there is no room, no permission, no such file, or ``target`` exists.
    """
    link = getattr(os, "link", None)
    if link is not None:
        try:
            link(source, target)
        except FileExistsError:
            raise
        except OSError:
            # FAT, many network and container file systems refuse with one of several numbers; a copy shows what counts.
            pass
        else:
            return True
    with source.open("rb") as old, target.open("xb") as new:
        try:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        except OSError:
            target.unlink(missing_ok=True)
            raise
    return False


def new_file_mode() -> int:
    """Permissions of a file that is made now, as the user's mask has it."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def sync_folder(folder: Path) -> None:
    """Make a rename itself durable where the platform allows folders to be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        # Windows opens no folders.
        return
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems refuse to sync folders; the file itself is already on disk.
        return
    finally:
        os.close(descriptor)


def exchange(first: Path, second: Path) -> bool:
    """Let two folders of one file system change places, in one step that nobody sees half of (renameat2 of Linux).

    Returns:
        Whether they did; False where the system or the file system cannot, and then nothing has changed.
    """
    ctypes: Any = _module("ctypes")
    if ctypes is None or not sys.platform.startswith("linux"):
        return False
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux' headers.
    renameat2.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return bool(renameat2(here, os.fsencode(first), here, os.fsencode(second), swap) == 0)


def keep_freed_memory(limit: int) -> None:
    """Have glibc answer allocations of up to so many bytes from memory that it holds; other C libraries are left alone.

    By default glibc asks the system for each large block and gives it back at once, and the system clears the same
    pages every time.
    """
    ctypes: Any = _module("ctypes")
    if ctypes is None or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's <malloc.h>.
    for name in (mmap_threshold, trim_threshold):
        mallopt(name, limit)


def usable_cores() -> int:
    """Cores that this process was granted: those it may use, no more than a container's share or SLURM's grant."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed is not None else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdigit() and int(granted) > 0:
        cores = min(cores, int(granted))
    return max(1, min(cores, _container_share(cores)))


def graphics_processors(known: Path = Path("/proc/driver/nvidia/gpus")) -> list[str] | None:
    """What ``CUDA_VISIBLE_DEVICES`` calls the graphics processors that this process may use, asked without any library.

    Returns:
        Their numbers or names; None where nobody can tell (Windows).
    """
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        # As CUDA reads it, what follows a negative number is not there.
        names = [name.strip() for name in shown.split(",") if name.strip()]
        return names[: next((place for place, name in enumerate(names) if name.startswith("-")), len(names))]
    if known.is_dir():
        return [str(number) for number in range(len(list(known.iterdir())))]
    return None if os.name == "nt" or Path("/dev/kfd").exists() or Path("/dev/dxg").exists() else []


def _container_share(cores: int, limits: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Whole cores that a container's quota comes to (``max 100000`` is none); ``cores`` where there is no quota."""
    try:
        quota, period = limits.read_text(encoding="ascii").split()[:2]
        return max(1, round(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return cores


@contextmanager
def ended_politely() -> Iterator[None]:
    """While this is open, being told to end (SIGTERM; a closed console on Windows) is an interrupt, as Ctrl-C is.

    A sweep's worker processes are told as well. Elsewhere than in the main thread, where handlers cannot be set, it
    does nothing.

    Raises:
        KeyboardInterrupt: from inside, when the signal comes.
    """
    names = ("SIGTERM", "SIGBREAK")
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    if threading.current_thread() is not threading.main_thread():
        numbers = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.terminate()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: it was set by something other than Python, and cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def end_with_parent() -> None:
    """From here on this process, one that multiprocessing started, ends when the one that started it does, however that
    ended: nobody would read what it still finds, and it would hold its memory for ever."""
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        # Not sys.exit, which ends this thread alone. Files are written whole or not at all.
        os._exit(1)

    threading.Thread(target=watch, name="ends with its parent", daemon=True).start()


class TimeUp(BaseException):
    """A time limit passed. No Exception, so that code that catches those does not go on."""


@contextmanager
def time_limit(limit: float) -> Iterator[None]:
    """Stop what runs inside after some seconds, where the system and the thread let it be stopped.

    With an alarm (in the main thread, not on Windows) waiting is cut short as well; elsewhere Python code is stopped at
    its next step.

    Raises:
        TimeUp: from inside, when the time is up.
    """
    alarm = getattr(signal, "SIGALRM", None)
    if alarm is not None and threading.current_thread() is threading.main_thread():

        def stop(number: int, frame: FrameType | None) -> None:
            raise TimeUp

        before = signal.signal(alarm, stop)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(alarm, before)
        return
    import ctypes

    done, here = threading.Lock(), threading.get_ident()
    ended = False

    def interrupt() -> None:
        with done:
            if not ended:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(here), ctypes.py_object(TimeUp))

    timer = threading.Timer(limit, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with done:
            ended = True
        timer.cancel()


def _replace(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: one each, so that columns stay where they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_LOOKS_LIKE.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error(REPLACED, _replace)


def replace_unprintable() -> None:
    """From here on stdout and stderr replace what their encoding lacks, where they would have failed."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A stream that is closed or detached says so when it is written to, not here.
            with suppress(ValueError, OSError):
                reconfigure(errors=REPLACED)


def output_encoding() -> str:
    """Encoding of stdout; empty where it has none."""
    return getattr(sys.stdout, "encoding", None) or ""


def printable(text: str) -> bool:
    """Whether stdout can print a text as it is."""
    try:
        text.encode(output_encoding() or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def unportable(name: str) -> str:
    """Why a file or folder of this name cannot be on some system that people use; empty when it can.

    Source: Microsoft, "Naming Files, Paths, and Namespaces".
    """
    if name.partition(".")[0].lower() in _DEVICES:
        return "it is the name of a device on Windows"
    if name.endswith((".", " ")):
        return f"it ends in {name[-1]!r}, which Windows drops"
    if found := _NOT_IN_NAMES.search(name):
        return f"it has {found[0]!r}, which Windows refuses"
    return ""


def slug(text: str, longest: int = 60) -> str:
    """A text as part of a file name: letters, digits, dots and hyphens."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text)[:longest]
