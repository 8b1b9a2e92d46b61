"""``ltbench sweep``: many runs, in processes that share the cache."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.options import (
    PATH,
    MethodList,
    NameList,
    SeedList,
    backbone_option,
    data_root_option,
    device_option,
    dtype_option,
    go_offline,
    image_size_option,
    json_option,
    limit_option,
    method_files_option,
    offline_option,
    out_option,
    overwrite_option,
    selection_option,
    share_option,
    stack,
    threads_option,
    validation_option,
    weights_option,
    workers_option,
)
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.cells import CellResult
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.engine.where import Where

OPTIONS = [
    click.option("--plan", "plan_file", type=PATH, default=None, help="YAML with tasks, methods, seeds, backbone."),
    click.option("--tasks", type=NameList(), default=None, help="Tasks, with or without @setting."),
    click.option(
        "--methods",
        type=MethodList(),
        default=None,
        help="Methods, or Python files of such: my.py; 'suggested', 'all' and patterns as '*-linear' take what fits.",
    ),
    method_files_option,
    click.option("--seeds", type=SeedList(), default=None, help="Seeds. [default: 0,1,2]"),
    backbone_option,
    weights_option,
    image_size_option,
    dtype_option,
    click.option(
        "--jobs", type=click.IntRange(1), metavar="N", default=None, help="Runs at a time. [default: CPUs/threads]"
    ),
    device_option,
    threads_option,
    workers_option,
    data_root_option,
    out_option,
    limit_option,
    share_option,
    selection_option,
    validation_option,
    overwrite_option,
    click.option(
        "--executor",
        metavar="NAME",
        default="local",
        show_default=True,
        help="Where runs are made: local, slurm, dask.",
    ),
    click.option("--scheduler", metavar="ADDRESS", default=None, help="Of dask: tcp://HOST:8786."),
    click.option(
        "--resources",
        type=PATH,
        metavar="FILE",
        default=None,
        help="YAML: CPUs, memory, GPUs, time of a job, by method.",
    ),
    click.option("--detach", is_flag=True, help="Submit the jobs and come back; they go on by themselves."),
    click.option("--status", is_flag=True, help="Say how each run stands, and run nothing."),
    click.option("--cancel", is_flag=True, help="Give up the jobs of this sweep; what is recorded stays."),
    click.option("--audit-selection", is_flag=True, help="Also report the best epoch on test: shown, never ranked."),
    click.option("--dry-run", is_flag=True, help="List the runs, and run nothing."),
    offline_option,
    json_option,
]


@click.command()
@stack(OPTIONS)
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    plan_file: Path | None,
    tasks: tuple[str, ...] | None,
    methods: tuple[str, ...] | None,
    jobs: int | None,
    dry_run: bool,
    offline: bool,
    as_json: bool,
    device: str,
    data_root: Path | None,
    out: Path,
    overwrite: Any,
    audit_selection: bool,
    workers: int | None,
    executor: str,
    scheduler: str | None,
    resources: Path | None,
    detach: bool,
    status: bool,
    cancel: bool,
    **rest: Any,
) -> None:
    """Run many: tasks x methods x seeds.

    Runs that are recorded already are not run again, so a stopped sweep goes on where it stopped, and two sweeps of one
    plan share its runs.
    """
    from ltbench.cli.output import note, print_json
    from ltbench.cli.reporting import reporter

    go_offline(offline)
    asked = [
        name
        for name, given in (("--dry-run", dry_run), ("--detach", detach), ("--status", status), ("--cancel", cancel))
        if given
    ]
    if len(asked) > 1:
        raise UserError(f"{asked[0]} and {asked[1]} are two commands", f"leave {asked[1]} out")
    plan = _plan(ctx, plan_file, tasks, methods, rest)
    from ltbench.cli.planned import begin, show
    from ltbench.engine.cells import chosen_backbones, expand, run_once
    from ltbench.engine.how import SweepOptions

    options = SweepOptions(
        out=out,
        overwrite=overwrite,
        device=device,
        data_root=data_root,
        jobs=jobs or 0,
        audit_selection=audit_selection,
        workers=workers,
    )
    named = "the sweep" if plan_file is None else f"plan {plan_file.name}"
    where = _where(executor, scheduler, resources)
    if status or cancel:
        from ltbench.cli import jobs as following

        following.cancel(plan, options, where, as_json) if cancel else following.show(plan, options, where, as_json)
        return
    if dry_run:
        for line in [*run_once(plan), *chosen_backbones(plan)]:
            note(line)
        show(plan, options, named)
        labels = [cell.label for cell in expand(plan)]
        print_json(labels) if as_json else say("\n".join(labels))
        return
    says = reporter()
    begin(plan, options, says, named)
    if detach:
        from ltbench.cli import jobs as following

        following.submit(plan, options, where, says, as_json)
        return
    from ltbench.engine.sweep import sweep as run_sweep

    results = run_sweep(plan, options, says, where)
    if as_json:
        print_json([_json(result) for result in results])
    else:
        _print(results)
    if any(result.status != "completed" for result in results):
        ctx.exit(1)


def _plan(
    ctx: click.Context,
    plan_file: Path | None,
    tasks: tuple[str, ...] | None,
    methods: tuple[str, ...] | None,
    rest: dict[str, Any],
) -> SweepPlan:
    """The plan of the file or of the options; a plan file says everything that decides results."""
    from ltbench.cli.names import check_names
    from ltbench.engine.select import items_of
    from ltbench.engine.sweep_plan import SweepPlan

    if plan_file is not None:
        typed = [
            f"--{name.replace('_', '-')}"
            for name in dict.fromkeys(("tasks", "methods", *SweepPlan.model_fields))
            if name in ctx.params and ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]
        if typed:
            raise UserError(f"{', '.join(typed)} and --plan exclude each other", f"put it into {plan_file.name}")
        plan = SweepPlan.read(plan_file)
    elif not tasks or not methods:
        raise UserError("a sweep needs --tasks and --methods, or --plan FILE", "ltbench sweep --help")
    else:
        given = {name: value for name, value in rest.items() if value is not None}
        items = items_of(methods, tasks, given.get("backbone"))
        plan = SweepPlan(tasks=tuple(tasks), items=items, **given)
    for item in plan.items:
        check_names(item.method, item.backbone or plan.backbone)
    return plan


def _where(executor: str, scheduler: str | None, resources: Path | None) -> Where:
    """Where runs are made; an unknown executor is refused before anything else."""
    from ltbench.engine.executors.resources import ResourcesFile
    from ltbench.engine.where import LOCAL, Where
    from ltbench.plugin.manager import registry

    if executor != LOCAL:
        registry().executors.get(executor)
    elif scheduler is not None:
        raise UserError("executor local has no scheduler to give an address of", "--executor dask")
    return Where(executor, scheduler, ResourcesFile() if resources is None else ResourcesFile.read(resources))


def _json(result: CellResult) -> dict[str, Any]:
    return {
        "task": result.cell.task,
        "method": result.cell.item.method,
        "preset": result.cell.item.preset,
        "options": result.cell.item.options,
        "seed": result.cell.seed,
        "status": result.status,
        "score": result.score,
        "seconds": round(result.seconds, 1),
        "reused": result.reused,
        "reason": result.reason,
        "path": None if result.record is None else str(result.record),
    }


def _print(results: list[CellResult]) -> None:
    from ltbench.cli.output import Column, print_table, seconds
    from ltbench.cli.results import ERROR_NAME

    print_table(
        ["run", "status", Column("score", right=True), Column("time", right=True)],
        [
            [
                result.cell.label,
                result.status if not result.reason else f"{result.status}: {result.reason}",
                "" if result.score is None else f"{result.score:.2f}",
                "was there" if result.reused else seconds(result.seconds),
            ]
            for result in results
        ],
    )
    for result in results:
        trace = None if result.record is None else result.record.parent / ERROR_NAME
        if result.status == "failed" and trace is not None and trace.is_file():
            click.echo(f"Traceback of {result.cell.label}: {trace}")
    done = sum(result.status == "completed" for result in results)
    say(f"{done} of {len(results)} runs completed. Compare: ltbench leaderboard")
