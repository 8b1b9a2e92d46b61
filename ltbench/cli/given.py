"""Options of a command from elsewhere than its line: a file, or a record. What is typed wins."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ltbench.cli.options import PATH
from ltbench.plugin.errors import UserError

#: What a record may be run with; other options of a command are not about a run.
_OPTIONS = "options"


def _read_config(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None or ctx.resilient_parsing:
        return
    from ltbench.plugin.reading import read_yaml_file

    name, hint = f"config {path.name}", f"{ctx.command_path} --help"
    try:
        document = read_yaml_file(path, name=name, hint=hint)
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror or error})", hint) from error
    if not isinstance(document, Mapping):
        raise UserError(f"{name} is no mapping", hint)
    _give(ctx, {str(key): value for key, value in document.items()}, name)


def _read_record(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
    if name is None or ctx.resilient_parsing:
        return
    from ltbench.cli.names import find_record
    from ltbench.records.read import load_record

    record = load_record(find_record(name, Path("ltbench-runs")))
    backbone = record.backbone
    wanted = {
        "task": record.task.address,
        "method": record.method.name,
        "backbone": backbone.name,
        "weights": "random" if backbone.weights == "random" else None,
        "image-size": backbone.image_size,
        "dtype": backbone.dtype,
        "seed": record.seed,
        # The configuration as stated, whatever presets say today.
        "preset": "none",
        _OPTIONS: record.method.config,
        "variant": record.method.variant,
        "device": record.device,
        "threads": record.threads,
        "limit": record.limit,
        "share": record.share,
        "selection": record.selection.rule,
        "validation": "clean" if "clean validation" in record.extras else "observed",
    }
    _give(ctx, {key: value for key, value in wanted.items() if value is not None}, f"record {record.key[:12]}")


def _give(ctx: click.Context, document: Mapping[str, Any], name: str) -> None:
    """Let options that are not typed have these values.

    Raises:
        UserError: the command has no such option, or its options are no mapping.
    """
    known: dict[str, click.Parameter] = {}
    for parameter in ctx.command.params:
        known |= {word.lstrip("-"): parameter for word in parameter.opts if word.startswith("--")}
    given: dict[str, Any] = {}
    for key, value in document.items():
        if key == _OPTIONS and "pairs" in {parameter.name for parameter in ctx.command.params}:
            if not isinstance(value, Mapping):
                raise UserError(f"{name}: options is no mapping", "options: {epochs: 10}")
            given["pairs"] = [f"{option}={json.dumps(each)}" for option, each in value.items()]
            continue
        found = known.get(str(key).replace("_", "-"))
        if found is None or found.name is None or key in ("config", "record"):
            near = difflib.get_close_matches(str(key), [*known, _OPTIONS], n=1, cutoff=0.6)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{name}: {ctx.command_path} has no option {key!r}{meant}", f"{ctx.command_path} --help")
        given[found.name] = ",".join(map(str, value)) if isinstance(value, list) and not found.multiple else value
    # A file and a record may both be named: the file then changes the record.
    before = dict(ctx.default_map or {})
    ctx.default_map = {**before, **given} if name.startswith("config") else {**given, **before}


config_option = click.option(
    "--config",
    type=PATH,
    metavar="FILE",
    default=None,
    is_eager=True,
    expose_value=False,
    callback=_read_config,
    help="YAML with values of these options, and the method's under `options`; what is typed wins.",
)
record_option = click.option(
    "--record",
    metavar="RUN",
    default=None,
    is_eager=True,
    expose_value=False,
    callback=_read_record,
    help="Run a record again as it states: a path, or first digits of its key. What is typed wins.",
)
