"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ltbench.plugin.errors import Damaged, UserError

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


if TYPE_CHECKING:
    _Seeds = click.ParamType[tuple[int, ...]]
    _Names = click.ParamType[tuple[str, ...]]
    _Name = click.ParamType[str]
else:
    # Not generic at run time in every click that this package allows.
    _Seeds = _Names = _Name = click.ParamType


class SeedList(_Seeds):
    """``0,1,2`` → (0, 1, 2)."""

    name = "0,1,2"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Read comma-separated whole numbers; refuse repeats."""
        if isinstance(value, tuple):
            return value
        try:
            seeds = tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of whole numbers like 0,1,2", param, ctx)
        if any(seed < 0 or seed >= 2**31 for seed in seeds):
            self.fail("seeds are between 0 and 2147483647", param, ctx)
        if len(set(seeds)) != len(seeds):
            self.fail(f"{value!r} names a seed twice", param, ctx)
        return seeds


class NameList(_Names):
    """``a,b`` → ("a", "b")."""

    name = "a,b,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas; refuse empty parts."""
        if isinstance(value, tuple):
            return value
        parts = tuple(part.strip() for part in str(value).split(","))
        if not all(parts):
            self.fail(f"{value!r} has an empty name", param, ctx)
        return parts


class DeviceName(_Name):
    """``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no device; whether it is there is seen when it is used."""
        if re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", str(value)) is None:
            self.fail(f"{value!r} is none of auto, cpu, cuda, cuda:N, mps", param, ctx)
        return str(value)


class MethodName(_Name):
    """A method's name; of a file (``my.py``, ``my.py:Adapter``) that of the method in it, which is loaded."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Load a file; leave names as they are."""
        return method_name(str(value))


class MethodList(NameList):
    """``a,my.py`` → ("a", "local.adapter")."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split at commas and load files; refuse two files whose classes have one name."""
        parts = super().convert(value, param, ctx)
        names = tuple(method_name(part) for part in parts)
        for number, name in enumerate(names):
            if name in names[:number] and parts[number] not in parts[:number]:
                both = f"{parts[names.index(name)]} and {parts[number]}"
                raise UserError(f"{both} are one method, {name}", "rename the class in one of them, or name it once")
        return names


def method_name(text: str) -> str:
    """Name of a method that is typed as its name or as its file.

    Raises:
        UserError: as :func:`ltbench.method.local.use_file`.
    """
    if text.endswith(".py") or ".py:" in text:
        from ltbench.method.local import use_file

        return use_file(text)
    return text


def _load_files(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    from ltbench.method.local import use_file

    for value in values:
        use_file(value)


def parse_overrides(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` pairs to a mapping; values are YAML (``3``, ``1e-3``, ``true``, ``[1, 2]``, ``text``).

    Raises:
        UserError: a pair without ``=``, a value that is no YAML, or a key given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"option {pair!r} is not of the form key=value", "-o epochs=10")
        if key in found:
            raise UserError(f"option {key!r} is given twice", f"give -o {key}=… once")
        found[key] = _value(key, text)
    return found


def _value(key: str, text: str) -> Any:
    from ltbench.plugin.reading import parse_yaml

    try:
        value = parse_yaml(text, name=key)
    except Damaged as error:
        raise UserError(f"the value of {key!r} cannot be read: {text!r}", f"quote it: -o {key}='\"…\"'") from error
    if isinstance(value, str):
        # YAML 1.1 takes 1e-3 (no dot) for text; people mean the number.
        try:
            return float(value)
        except ValueError:
            return value
    return value


def stack(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    """Apply decorators in the order in which ``--help`` is to show them."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


task_option = click.option(
    "--task", "address", required=True, metavar="NAME", help="Task, e.g. shapes-lt, shapes-plt@mr40, or a task folder."
)
method_option = click.option(
    "--method",
    "--method-file",
    "method",
    type=MethodName(),
    required=True,
    metavar="NAME",
    help="Method, e.g. lmpt, or the Python file of one: my.py, my.py:CLASS.",
)
method_files_option = click.option(
    "--method-file",
    multiple=True,
    expose_value=False,
    callback=_load_files,
    metavar="FILE",
    help="Python file of a method of your own that runs used: my.py, my.py:CLASS; repeatable.",
)
backbone_option = click.option(
    "--backbone",
    default=None,
    metavar="NAME",
    help="Encoder. [default: that of the preset made for the task and method, else the task's own]",
)
weights_option = click.option(
    "--weights", default=None, metavar="FILE", help="A checkpoint, or 'random', in place of the released weights."
)
image_size_option = click.option(
    "--image-size",
    type=click.IntRange(32),
    metavar="N",
    default=None,
    help="Side of the square images in pixels. [default: the preset's, else the backbone's own]",
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Arithmetic of the backbone's towers; rows of bfloat16 rank apart.",
)
preset_option = click.option(
    "--preset",
    default=None,
    metavar="NAME",
    help="Options by name, a preset file of ltbench tune, or 'none'. [default: the one made for the task]",
)
pairs_option = click.option(
    "-o", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an option of the method; repeatable."
)
variant_option = click.option(
    "--variant",
    type=click.Choice(["paper", "code"]),
    default=None,
    help="The printed formulas, or what the authors' code computes. [default: what a preset for the task is made for]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
out_option = click.option(
    "--out", type=PATH, default=Path("ltbench-runs"), show_default=True, help="Folder of the runs."
)
data_root_option = click.option(
    "--data-root", type=PATH, default=None, help="Folder with data sets you already have (or LTBENCH_DATA)."
)
device_option = click.option(
    "--device",
    type=DeviceName(),
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Where to compute: auto, cpu, cuda, one GPU of several as cuda:1, or mps.",
)
accumulate_option = click.option(
    "--accumulate",
    "accumulation",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="Cut each training batch into N passes, where it does not fit into memory. Part of a run's identity.",
)
overwrite_option = click.option(
    "--overwrite",
    type=click.Choice(["never", "failed", "always"]),
    default="never",
    show_default=True,
    help="Repeat a run that is already recorded?",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    show_default=True,
    help="CPU threads. Part of a run's identity, because results are equal to the bit for the same number only.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    default=None,
    help="Threads that load pictures ahead of training; changes no result. [default: the cores that are left]",
)
limit_option = click.option(
    "--limit", type=click.IntRange(1), default=None, metavar="N", help="Use the first N rows only; never ranked."
)
share_option = click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    metavar="P",
    help="Train on this share of the training rows, the same rows for each method and seed; never ranked.",
)
selection_option = click.option(
    "--selection",
    type=click.Choice(["last", "validation"]),
    default="last",
    show_default=True,
    help="The epoch that counts: the last, or the best on validation rows, which the row says.",
)
validation_option = click.option(
    "--validation",
    type=click.Choice(["observed", "clean"]),
    default="observed",
    show_default=True,
    help="Labels of validation rows, for methods that ask for such and to choose an epoch; the row says clean.",
)
measure_option = click.option(
    "--measure", is_flag=True, help="Time a few rows on this machine first, and say how long all will take."
)
offline_option = click.option("--offline", is_flag=True, help="Never reach for the network.")


def go_offline(offline: bool) -> None:
    """Tell every library that could download weights to use what is on disk only."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
        os.environ["LTBENCH_OFFLINE"] = "1"
