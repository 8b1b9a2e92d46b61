"""``ltbench run``: one method on one task, one run and one record for each setting and seed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.boundary import USER_ERROR
from ltbench.cli.given import config_option, record_option
from ltbench.cli.options import (
    SeedList,
    accumulate_option,
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
    overwrite_option,
    pairs_option,
    parse_overrides,
    preset_option,
    selection_option,
    share_option,
    stack,
    task_option,
    threads_option,
    validation_option,
    variant_option,
    weights_option,
    workers_option,
)
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.preflight import Preflight
    from ltbench.engine.request import RunRequest
    from ltbench.engine.run import Finished

OPTIONS = [
    config_option,
    record_option,
    task_option,
    method_option,
    backbone_option,
    weights_option,
    image_size_option,
    dtype_option,
    click.option("--seed", "seeds", type=SeedList(), default="0", show_default=True, help="One seed or several."),
    preset_option,
    pairs_option,
    variant_option,
    device_option,
    threads_option,
    workers_option,
    accumulate_option,
    data_root_option,
    out_option,
    limit_option,
    share_option,
    selection_option,
    validation_option,
    overwrite_option,
    click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing."),
    measure_option,
    click.option("--audit-selection", is_flag=True, help="Also report the best epoch on test: shown, never ranked."),
    offline_option,
    json_option,
]


@click.command()
@stack(OPTIONS)
@click.pass_context
def run(
    ctx: click.Context,
    /,
    address: str,
    backbone: str | None,
    seeds: tuple[int, ...],
    pairs: tuple[str, ...],
    dry_run: bool,
    measure: bool,
    offline: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run one method on one task and record the scores.

    A task with settings runs all of them, or one: shapes-plt@mr40. What is recorded already is not run again.

    Several processes work on a run together where torchrun starts them: torchrun --nproc-per-node 2 -m ltbench run …
    """
    from ltbench.cli.reporting import reporter
    from ltbench.engine.launched import launched

    go_offline(offline)
    among = launched()
    if among.world > 1:
        # Read when torch is imported, which has hints for whoever writes a training loop and none for who runs one.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    requests = build_requests(address, backbone, seeds, parse_overrides(pairs), **options)
    if among.rank:
        # Another process says what there is to say.
        if not dry_run:
            _follow(ctx, requests)
        return
    says = reporter()
    from ltbench.cli.measuring import measured
    from ltbench.cli.preflight import preflight_lines
    from ltbench.data.base import default_offline
    from ltbench.engine.whole import clear, look_at

    whole = look_at(requests)
    if not dry_run:
        clear(whole, default_offline())
    checked = measured(whole.found) if measure else list(whole.found)
    if dry_run:
        show_plans(checked, as_json)
        return
    for number, each in enumerate(checked, 1):
        lines = preflight_lines(each)
        count = f"[{number}/{len(requests)}] " if len(requests) > 1 else ""
        for line in (f"{count}{lines[0]}", *lines[1:]):
            says.line(line)
    from ltbench.cli.output import print_json
    from ltbench.cli.results import print_results, results_json
    from ltbench.engine.ranks import joined
    from ltbench.engine.run import run_one

    finished: list[Finished] = []

    def show() -> None:
        if as_json:
            print_json(results_json(finished))
        else:
            print_results(finished)

    with joined(requests[0].device) as ranks:
        for number, request in enumerate(requests, 1):
            if number > 1:
                says.line(f"[{number}/{len(requests)}] {request.headline}")
            try:
                finished.append(run_one(request, says, ranks))
            except UserError:
                # What ran before is recorded; show it above the error.
                if finished:
                    show()
                raise
            if ranks.several and finished[-1].record.status == "failed":
                # The other processes stopped where they were; the same command again goes on with what is left.
                break
    show()
    if ctx.find_root().params.get("debug"):
        show_tracebacks(finished)
    if any(one.record.status != "completed" for one in finished):
        ctx.exit(1)


def _follow(ctx: click.Context, requests: list[RunRequest]) -> None:
    """What a process does that works on runs of which rank 0 speaks."""
    from ltbench.engine.failures import is_the_machines
    from ltbench.engine.ranks import PeerFailed, joined
    from ltbench.engine.run import run_one

    with joined(requests[0].device) as ranks:
        for request in requests:
            try:
                finished = run_one(request, ranks=ranks)
            except PeerFailed:
                ctx.exit(USER_ERROR)
            except RuntimeError as error:
                # The process that speaks is gone, and has said why.
                if is_the_machines(error):
                    ctx.exit(USER_ERROR)
                raise
            if finished.record.status == "failed":
                return


def show_tracebacks(finished: list[Finished]) -> None:
    """Print the tracebacks of failed runs on stderr (``--debug``)."""
    from ltbench.cli.results import ERROR_NAME
    from ltbench.plugin.clean import for_terminal

    for one in finished:
        trace = one.folder / ERROR_NAME
        if one.record.status == "failed" and trace.is_file():
            click.echo(for_terminal(trace.read_text(encoding="utf-8", errors="replace")), err=True, nl=False)


def build_requests(
    address: str,
    backbone: str | None,
    seeds: tuple[int, ...],
    overrides: dict[str, Any],
    method: str,
    **rest: Any,
) -> list[RunRequest]:
    """One request for each setting and seed; unknown names are refused before torch is imported."""
    from ltbench.cli.names import check_names
    from ltbench.engine.choose import choose_backbone
    from ltbench.engine.request import RunRequest
    from ltbench.tasks.registry import resolve

    tasks = resolve(address)
    check_names(method, backbone)
    how = {"preset": rest["preset"], "variant": rest["variant"], "overrides": overrides}
    chosen = [(task, choose_backbone(task, method, backbone, **how)) for task in tasks]
    return [
        RunRequest(
            task=task,
            method=method,
            backbone=one.name,
            why_backbone=one.why,
            seed=seed,
            overrides=overrides,
            **rest,
        )
        for task, one in chosen
        for seed in seeds
    ]


def show_plans(checked: list[Preflight], as_json: bool) -> None:
    """Print what would run, what it needs and what it would take."""
    from ltbench.cli.output import note, print_facts, print_json
    from ltbench.cli.preflight import preflight_json, preflight_lines

    if not as_json:
        for each in checked:
            for line in preflight_lines(each):
                note(line)
    from ltbench.engine.run import plan

    plans = [plan(each.request) for each in checked]
    if as_json:
        print_json([{**facts, **preflight_json(each)} for facts, each in zip(plans, checked, strict=True)])
        return
    for number, facts in enumerate(plans):
        if number:
            say()
        print_facts({name.replace("_", " "): _plain(value) for name, value in facts.items()})


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} = {item}" for name, item in sorted(value.items())) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
