"""``ltbench tune``: random search on validation rows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.given import config_option
from ltbench.cli.options import (
    backbone_option,
    data_root_option,
    device_option,
    dtype_option,
    go_offline,
    image_size_option,
    json_option,
    limit_option,
    measure_option,
    method_option,
    offline_option,
    out_option,
    pairs_option,
    parse_overrides,
    preset_option,
    stack,
    task_option,
    threads_option,
    variant_option,
    weights_option,
    workers_option,
)
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.request import RunRequest
    from ltbench.engine.tune import TuneReport

OPTIONS = [
    config_option,
    task_option,
    method_option,
    click.option("--trials", type=click.IntRange(1), metavar="K", required=True, help="Configurations to try."),
    click.option(
        "--seconds",
        type=click.FloatRange(0, min_open=True),
        metavar="S",
        default=600.0,
        show_default=True,
        help="Time cap of one trial.",
    ),
    click.option("--space", "spaces", multiple=True, metavar="KEY=[A,B,…]", help="Values to try; repeatable."),
    backbone_option,
    weights_option,
    image_size_option,
    dtype_option,
    click.option(
        "--seed",
        type=click.IntRange(0),
        metavar="N",
        default=0,
        show_default=True,
        help="Of the search and of its trials.",
    ),
    preset_option,
    pairs_option,
    variant_option,
    device_option,
    threads_option,
    workers_option,
    click.option(
        "--jobs",
        type=click.IntRange(1),
        metavar="N",
        default=1,
        show_default=True,
        help="Trials at a time, in processes of their own; the trials are the same.",
    ),
    click.option(
        "--sampler",
        type=click.Choice(["random", "optuna"]),
        default="random",
        show_default=True,
        help="What is tried: drawn at random, or by optuna from earlier trials (extra optuna).",
    ),
    data_root_option,
    out_option,
    limit_option,
    click.option("--dry-run", is_flag=True, help="Say what the search needs and takes, and try nothing."),
    measure_option,
    offline_option,
    json_option,
]


@click.command()
@stack(OPTIONS)
def tune(
    address: str,
    trials: int,
    seconds: float,
    spaces: tuple[str, ...],
    backbone: str | None,
    seed: int,
    pairs: tuple[str, ...],
    dry_run: bool,
    measure: bool,
    offline: bool,
    as_json: bool,
    jobs: int,
    sampler: Any,
    **options: Any,
) -> None:
    """Search a method's options on validation data.

    Trial 0 changes nothing. The test part is never opened; every trial is recorded, and a stopped search goes on.
    """
    from ltbench.cli.commands.run import build_requests
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter

    go_offline(offline)
    from ltbench.method.search import parse_space

    space = parse_space(parse_overrides(spaces))
    requests = build_requests(address, backbone, (seed,), parse_overrides(pairs), **options)
    if len(requests) > 1:
        names = ", ".join(request.task.address for request in requests)
        raise UserError(f"{address} stands for {len(requests)} settings: {names}", f"--task {requests[0].task.address}")
    if not _begin(requests[0], trials, seconds, dry_run, measure, as_json):
        return
    from ltbench.engine.tune import tune as search
    from ltbench.method.local import typed_words

    report = search(requests[0], trials, seconds, reporter(), space or None, jobs=jobs, sampler=sampler)
    if as_json:
        print_json(_json(report))
    else:
        _print(report, requests[0].task.headline)
        request = requests[0]
        how = "" if request.dtype == "float32" else f" --dtype {request.dtype}"
        named = shlex.join(typed_words(request.method))
        say(f"Use it: ltbench run --task {address} {named} --preset {report.preset}{how}")


def _begin(request: RunRequest, trials: int, cap: float, dry_run: bool, measure: bool, as_json: bool) -> bool:
    """Say what a search needs and takes, and refuse what cannot start; whether to go on."""
    from dataclasses import replace

    from ltbench.cli.measuring import measured
    from ltbench.cli.output import note, print_json, seconds
    from ltbench.cli.preflight import preflight_json, preflight_lines
    from ltbench.cli.reporting import reporter
    from ltbench.data.base import default_offline
    from ltbench.engine.whole import clear, look_at

    says = reporter()
    # A trial is no run: what runs were recorded says nothing of it but how long such a run takes.
    whole = look_at([replace(request, overwrite="always")], validates=True)
    if not dry_run:
        clear(whole, default_offline(), f"tuning {request.method} on {request.task.address}")
    (found,) = measured(whole.found) if measure else whole.found
    for line in preflight_lines(found):
        note(line) if dry_run else says.line(line)
    most = trials * cap
    known = None if found.seconds is None else min(most, trials * found.seconds)
    said = "" if known is None else f", about {seconds(known)} if each takes what such a run takes"
    line = f"  {trials} trials: training takes no more than {seconds(most)}{said}"
    note(line) if dry_run else says.line(line)
    if dry_run and as_json:
        print_json({**preflight_json(found), "trials": trials, "seconds_at_most": most, "seconds": known})
    return not dry_run


def _json(report: TuneReport) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "trials": [asdict(trial) for trial in report.trials],
        "best": report.best.number,
        "record": str(report.record),
        "preset": str(report.preset),
    }


def _print(report: TuneReport, headline: str) -> None:
    from ltbench.cli.output import Column, print_table, seconds

    print_table(
        [Column("trial", right=True), "options", Column(headline, right=True), Column("time", right=True)],
        [
            [
                f"{'* ' if trial is report.best else ''}{trial.number}",
                " ".join(f"{name}={value}" for name, value in trial.overrides.items()) or "unchanged",
                trial.status if trial.score is None else f"{trial.score:.2f}",
                seconds(trial.seconds),
            ]
            for trial in report.trials
        ],
        f"{headline} on validation rows, in %",
    )
    say(f"*: the best. All trials: {report.record}")
