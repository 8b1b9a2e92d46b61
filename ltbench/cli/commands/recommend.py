"""``ltbench recommend``: which method to use for a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.options import (
    PATH,
    MethodList,
    SeedList,
    data_root_option,
    device_option,
    dtype_option,
    go_offline,
    image_size_option,
    json_option,
    method_files_option,
    offline_option,
    out_option,
    stack,
    task_option,
    threads_option,
    weights_option,
    workers_option,
)
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.report.recommendation import Recommendation

OPTIONS = [
    task_option,
    click.option("--backbone", default=None, metavar="NAME", help="Encoder of all methods. [default: the task's own]"),
    click.option(
        "--methods",
        type=MethodList(),
        default="suggested",
        show_default=True,
        help="Methods, or Python files of such; 'suggested', 'all' and patterns as '*-linear' take what fits.",
    ),
    method_files_option,
    click.option(
        "--budget",
        default=None,
        metavar="TIME",
        help="As 30m or 2h: trials are cut to it first, then methods, then seeds. [default: as long as it takes]",
    ),
    click.option("--trials", type=click.IntRange(1), metavar="K", default=8, show_default=True, help="Of each method."),
    click.option("--seeds", type=SeedList(), default="0,1,2", show_default=True, help="Seeds of the runs."),
    click.option(
        "--report", type=PATH, default=None, metavar="FILE", help="HTML report. [default: report.html in --out]"
    ),
    weights_option,
    image_size_option,
    dtype_option,
    device_option,
    threads_option,
    workers_option,
    data_root_option,
    out_option,
    offline_option,
    json_option,
]


@click.command()
@stack(OPTIONS)
def recommend(address: str, offline: bool, as_json: bool, **options: Any) -> None:
    """Find out which method to use for a task.

    Each method is tuned by the same number of trials on validation rows, then trained with several seeds; test labels
    are read after the last trial. What is done already is not done again, so a stopped command goes on where it was.
    """
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.recommending import recommend as find_out
    from ltbench.tasks.registry import resolve

    go_offline(offline)
    tasks = resolve(address)
    if len(tasks) > 1:
        raise UserError(f"{address} stands for {len(tasks)} settings", f"--task {tasks[0].address}")
    answer = find_out(tasks[0], reporter=reporter(), **options)
    if as_json:
        print_json({**answer.document(), "report": str(answer.report), "seconds": round(answer.seconds, 1)})
        return
    _print(answer)


def _print(answer: Recommendation) -> None:
    from ltbench.cli.output import Column, fold, print_table, seconds
    from ltbench.report.recommendation import caveats, predict_command

    rows = []
    for one in answer.choices:
        pair = one.behind
        ends = "" if pair is None or pair.low is None or pair.high is None else f" [{pair.low:.2f}, {pair.high:.2f}]"
        gap = "" if pair is None else f"{pair.value:.2f}{ends}"
        rows.append([one.label, one.mean, gap, one.said, "" if one.seconds is None else seconds(one.seconds)])
    print_table(
        [
            Column("method", whole=True),
            Column(answer.metric, right=True, whole=True),
            Column("behind, 95 %", right=True, whole=True),
            "verdict",
            Column("training", right=True),
        ],
        rows,
        f"{answer.address}, {answer.encoder}: {answer.metric} in %",
    )
    say()
    for line in answer.verdict:
        say(fold(line))
    say()
    for line in caveats(answer):
        say(fold(f"Note: {line}"))
    say(f"Took {seconds(answer.seconds)}. Report: {answer.report}")
    say(f"Predict: {predict_command(answer)}")
