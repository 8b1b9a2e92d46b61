"""``ltbench tune``: random search on validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.options import (
    backbone_option,
    data_root_option,
    device_option,
    go_offline,
    image_size_option,
    json_option,
    limit_option,
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
)
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.tune import TuneReport

OPTIONS = [
    task_option,
    click.option("--method", required=True, metavar="NAME", help="Method, e.g. lmpt."),
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
    click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Of the search."),
    preset_option,
    pairs_option,
    variant_option,
    device_option,
    threads_option,
    data_root_option,
    out_option,
    limit_option,
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
    offline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Search a method's options on validation data.

    Trial 0 changes nothing. The test part is never opened; every trial is recorded, and a stopped search goes on.
    """
    from ltbench.cli.commands.run import build_requests
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter

    go_offline(offline)
    space = parse_overrides(spaces)
    requests = build_requests(address, backbone, (seed,), parse_overrides(pairs), **options)
    if len(requests) > 1:
        names = ", ".join(request.task.address for request in requests)
        raise UserError(f"{address} stands for {len(requests)} settings: {names}", f"--task {requests[0].task.address}")
    from ltbench.engine.tune import parse_space
    from ltbench.engine.tune import tune as search

    report = search(requests[0], trials, seconds, reporter(), parse_space(space) if space else None)
    if as_json:
        print_json(_json(report))
    else:
        _print(report, requests[0].task.headline)
        request = requests[0]
        click.echo(f"Use it: ltbench run --task {address} --method {request.method} --preset {report.preset}")


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
    click.echo(f"*: the best. All trials: {report.record}")
