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


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the processor as the system names it, else its architecture."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
