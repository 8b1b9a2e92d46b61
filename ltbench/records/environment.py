"""What a record says about the machine: versions and generic names, found without importing the libraries."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from ltbench.records.facts import Environment

_DISTRIBUTIONS = {
    "torch": "torch",
    "torchvision": "torchvision",
    "open_clip": "open_clip_torch",
    "mmengine": "mmengine",
    "numpy": "numpy",
    "ltbench": "ltbench",
}


def collect_environment() -> Environment:
    """State the environment of this process; a distribution that is not installed is ``None``."""
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        machine=cpu_model(),
        **{name: _version(distribution) for name, distribution in _DISTRIBUTIONS.items()},
    )


_PARTS = {"cpu family": "family", "model": "model", "stepping": "stepping"}
"""What tells processors of one name apart, as ``/proc/cpuinfo`` calls it and as records do."""


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the processor as the system names it, with family, model and stepping where they are told.

    ``AMD EPYC (family 25, model 17, stepping 1)``; the architecture where the system names nothing.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    told: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if value.strip():
            told.setdefault(name.strip(), value.strip())
    if "model name" not in told:
        return platform.processor() or platform.machine()
    parts = [f"{ours} {told[theirs]}" for theirs, ours in _PARTS.items() if theirs in told]
    return told["model name"] + (f" ({', '.join(parts)})" if len(parts) == len(_PARTS) else "")


def is_one_processor(machine: str) -> bool:
    """Whether a name stands for one kind of processor: with its family, since marketing names cover several."""
    return "(family " in machine


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
