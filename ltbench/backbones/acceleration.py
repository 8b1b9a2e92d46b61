"""Whether the processor has units for bfloat16. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def unaccelerated(dtype: str, device: str, cpuinfo: Path = CPUINFO) -> str:
    """One line where bfloat16 gains nothing on the processor, or nobody can tell; else empty.

    Intel's AMX multiplies matrices of bfloat16 many times as fast as those of float32. The instructions of
    ``avx512_bf16`` do not suffice: with them alone encoding took longer than in float32
    (docs/explanation/performance.md).

    Args:
        dtype: of the towers.
        device: ``cpu``, ``cuda`` or ``mps`` (whose chip the line does not concern) or ``auto``.
        cpuinfo: where the system lists what its processor can do.
    """
    if dtype != "bfloat16" or device.startswith(("cuda", "mps")):
        return ""
    known = _flags(cpuinfo)
    if known is None:
        return "bfloat16: this system does not say whether its processor has AMX; without, it is no faster than float32"
    if "amx_bf16" in known:
        return ""
    return "bfloat16: this processor has no AMX, so that encoding is no faster than in float32"


@lru_cache
def _flags(cpuinfo: Path) -> frozenset[str] | None:
    """What the processor can do, in the system's words; None where it does not list that."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return None
