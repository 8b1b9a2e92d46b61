"""What ``ltbench doctor`` looks at: each check is a line with what to do."""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ltbench.plugin.errors import UserError
from ltbench.plugin.system import link_or_copy, output_encoding, peak_memory, printable, usable_cores

ENOUGH_DISK = 2_000_000_000
LITTLE_DISK = 200_000_000
SAMPLE = "→ … ± λ ≈ ≥ é"
"""Characters that commands print."""
PYTHONS = ((3, 11), (3, 12), (3, 13))
"""Versions that the tests run on."""
LIBRARIES = {"torch": "torch", "mmengine": "mmengine", "open_clip": "open_clip_torch", "timm": "timm"}
OTHER_LIBRARIES = {
    "click": "click",
    "filelock": "filelock",
    "jinja2": "jinja2",
    "markdown_it": "markdown-it-py",
    "matplotlib": "matplotlib",
    "msgspec": "msgspec",
    "numpy": "numpy",
    "pandas": "pandas",
    "PIL": "pillow",
    "platformdirs": "platformdirs",
    "pluggy": "pluggy",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "requests": "requests",
    "rich": "rich",
    "safetensors": "safetensors",
    "sklearn": "scikit-learn",
    "scipy": "scipy",
    "tabulate": "tabulate",
}
"""Those that have a line in the doctor only where they are missing."""
COMMANDS = ("ltbench.cli.commands.run", "ltbench.engine.run", "ltbench.engine.sweep", "ltbench.records.verify")
"""What the main commands import beyond the libraries."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor.

    Attributes:
        name: what was looked at.
        state: ``ok``; ``warn``: works, but; ``fail``: will not work.
        found: what was found.
        todo: what to do about it.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    todo: str = ""


def all_checks() -> Iterator[Check]:
    """Every check, in order; one that raises is a failure of its own and stops no other."""
    for name, look in CHECKS.items():
        try:
            yield from look()
        except Exception as error:
            line = " ".join(f"{type(error).__name__}: {error}".split())
            yield Check(name, "fail", line, "ltbench --debug doctor, and report it")


def check_python() -> Iterator[Check]:
    """The version that the package is made for."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] in PYTHONS:
        yield Check("python", "ok", version)
        return
    tested = " and ".join([*(f"{major}.{minor}" for major, minor in PYTHONS[:-1]), "{}.{}".format(*PYTHONS[-1])])
    yield Check("python", "warn", f"{version}; tested with {tested}", "python3.13 -m venv .venv")


def check_libraries() -> Iterator[Check]:
    """Every library imports, and torch and torchvision are a pair."""
    for module, distribution in LIBRARIES.items():
        yield _importable(module, distribution)
    others = [_importable(module, distribution) for module, distribution in OTHER_LIBRARIES.items()]
    yield from (check for check in others if check.state != "ok")
    yield Check("libraries", "ok", f"{sum(check.state == 'ok' for check in others)} others of {len(others)} import")
    pair = f"torch {_version('torch')} with torchvision {_version('torchvision')}"
    try:
        import torch
        from torchvision import ops

        ops.nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([1.0]), 0.5)
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        yield Check("torchvision", "fail", f"{pair} do not fit together ({line})", "pip install -U torch torchvision")
    else:
        yield Check("torchvision", "ok", pair)


def _importable(module: str, distribution: str) -> Check:
    try:
        importlib.import_module(module)
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        return Check(module, "fail", f"cannot be imported ({line})", f"pip install {distribution}")
    return Check(module, "ok", _version(distribution))


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def check_program() -> Iterator[Check]:
    """What the main commands import is here: libraries, and what an operating system may lack."""
    for module in COMMANDS:
        try:
            importlib.import_module(module)
        except Exception as error:
            line = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            yield Check(
                "ltbench", "fail", f"{module} cannot be imported ({line})", "pip install --force-reinstall ltbench"
            )


def check_system() -> Iterator[Check]:
    """What the operating system and the terminal offer, and what is done where they lack it."""
    from filelock import FileLock, SoftFileLock

    memory, source = peak_memory()
    if memory is None:
        yield Check("memory", "warn", "peak memory cannot be measured here; records state none", "nothing: runs work")
    else:
        yield Check("memory", "ok", f"peak memory is measured ({source})")
    if issubclass(FileLock, SoftFileLock):
        found = "this system has no file locks: a lock file that a killed run leaves keeps others out"
        yield Check("locks", "warn", found, "delete the file .lock that a message names")
    else:
        yield Check("locks", "ok", "files can be locked")
    encoding = output_encoding()
    if printable(SAMPLE):
        yield Check("output", "ok", encoding)
    else:
        found = f"{encoding} lacks characters that are printed; others stand for them"
        yield Check("output", "warn", found, "set PYTHONIOENCODING=utf-8 where the terminal shows it")


def check_device() -> Iterator[Check]:
    """A GPU is welcome and not needed."""
    import torch

    if torch.cuda.is_available():
        yield Check("device", "ok", f"CUDA {torch.version.cuda}: {torch.cuda.get_device_name(0)}")
    elif torch.version.cuda is not None:
        yield Check("device", "ok", f"CPU, {_cpus()}; torch is built for CUDA {torch.version.cuda}, no GPU was found")
    else:
        yield Check("device", "ok", f"CPU, {_cpus()}")


def _cpus() -> str:
    return f"{usable_cores()} cores"


def check_cache() -> Iterator[Check]:
    """The cache can be written, and there is room."""
    from ltbench.cli.output import size
    from ltbench.data.base import default_cache

    cache = default_cache()
    todo = "set LTBENCH_CACHE to a folder that you may write"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            file = Path(folder) / "file"
            file.write_bytes(b"ltbench")
            linked = link_or_copy(file, file.with_suffix(".second"))
    except OSError as error:
        yield Check("cache", "fail", f"{cache} cannot be written ({error.strerror})", todo)
        return
    yield Check("cache", "ok", f"{cache}{'' if linked else '; no hard links there: checkpoints are copied'}")
    for name, place in (("cache disk", cache), ("disk here", Path.cwd())):
        free = shutil.disk_usage(place).free
        state: Literal["ok", "warn", "fail"] = "ok" if free > ENOUGH_DISK else "warn" if free > LITTLE_DISK else "fail"
        yield Check(name, state, f"{size(free)} free", "" if state == "ok" else "free some space")


def check_plugins() -> Iterator[Check]:
    """Plugins load, and no two claim one name."""
    from ltbench.plugin.manager import ALLOW_LIST, registry

    found = registry()
    for report in found.reports:
        if report.status == "broken":
            state: Literal["warn", "fail"] = "fail" if report.distribution == "ltbench" else "warn"
            todo = "ltbench plugins --traceback"
            yield Check(f"plugin {report.name}", state, f"{report.distribution}: {report.problem}", todo)
    for line in found.conflicts():
        yield Check("plugins", "warn", line, f"uninstall one of them, or set {ALLOW_LIST}")
    for name in found.unmatched:
        yield Check("plugins", "warn", f"{ALLOW_LIST} names {name!r}, which is not installed", f"pip install {name}")
    healthy = [report for report in found.reports if report.status == "ok"]
    yield Check("plugins", "ok", f"{len(healthy)} of {len(found.reports)} loaded")


def check_weights() -> Iterator[Check]:
    """The bundled weights are the published ones."""
    from ltbench.backbones.tiny_clip import WEIGHTS_SHA256, load_pretrained

    try:
        load_pretrained()
    except UserError as error:
        yield Check("tiny-clip", "fail", error.message, error.hint)
    except OSError as error:
        found = f"the bundled weights cannot be read ({error.strerror})"
        yield Check("tiny-clip", "fail", found, "pip install --force-reinstall ltbench")
    else:
        yield Check("tiny-clip", "ok", f"bundled weights, sha256 {WEIGHTS_SHA256[:12]}")


def check_shapes() -> Iterator[Check]:
    """The rendered data set."""
    from ltbench.data.base import DataRoot
    from ltbench.data.shapes.dataset import shapes_status

    for status in shapes_status(DataRoot()):
        yield Check("shapes", "ok", status.detail)


def check_data() -> Iterator[Check]:
    """The official data sets: what is not here is no fault, since most users need few of them."""
    from ltbench.data.base import DataRoot
    from ltbench.data.getting.here import state_of
    from ltbench.plugin.manager import registry

    here: list[str] = []
    missing: list[str] = []
    for item in registry().datasets:
        name = item.spec.name
        if name in ("shapes", "folder") or item.spec.status is None:
            continue
        try:
            found = state_of(name, DataRoot())
        except UserError as error:
            yield Check("data", "warn", f"{name}: {error.message}", error.hint)
            continue
        broken = [each for each in found if each.state not in ("here", "missing")]
        if broken:
            yield Check("data", "warn", f"{name} is here in part: {broken[0].detail}", f"ltbench data prepare {name}")
        else:
            (here if found and found[0].state == "here" else missing).append(name)
    if here:
        yield Check("data", "ok", f"here: {', '.join(here)}")
    if missing:
        what = "ltbench data prepare TASK, or --data-root DIR with what you have"
        yield Check("data", "ok", f"not here: {', '.join(missing)}", what)


CHECKS: dict[str, Callable[[], Iterator[Check]]] = {
    "python": check_python,
    "libraries": check_libraries,
    "ltbench": check_program,
    "system": check_system,
    "device": check_device,
    "cache": check_cache,
    "plugins": check_plugins,
    "tiny-clip": check_weights,
    "shapes": check_shapes,
    "data": check_data,
}
