"""The ``ltbench`` group: names of all commands, and the options that come before them."""

from __future__ import annotations

import click

from ltbench.cli.boundary import USER_ERROR
from ltbench.cli.lazy import LazyGroup
from ltbench.plugin.errors import UserError

_AT = "ltbench.cli.commands"

COMMANDS = {
    "recommend": (f"{_AT}.recommend:recommend", "Find out which method to use for a task."),
    "run": (f"{_AT}.run:run", "Run one method on one task and record the scores."),
    "sweep": (f"{_AT}.sweep:sweep", "Run many: tasks x methods x seeds."),
    "tune": (f"{_AT}.tune:tune", "Search a method's options on validation data."),
    "list": (f"{_AT}.listing:group", "List tasks, methods, backbones, datasets or runs."),
    "show": (f"{_AT}.show:group", "Show one task, method, backbone or run."),
    "leaderboard": (f"{_AT}.leaderboard:leaderboard", "Rank recorded runs of a task."),
    "compare": (
        f"{_AT}.compare:compare",
        "Compare two rows: A minus B overall, by group and by class, and on which test rows.",
    ),
    "reproduce": (
        f"{_AT}.reproduce:reproduce",
        "A paper's table again: published, measured, difference.",
    ),
    "predict": (f"{_AT}.predict:predict", "Apply a trained method to new pictures."),
    "export": (f"{_AT}.export:export", "Write a trained method as one file that torch runs alone."),
    "verify": (f"{_AT}.verify:verify", "Score recorded runs again and compare."),
    "submit": (f"{_AT}.submit:submit", "Put a run on a leaderboard, and show what it changes."),
    "task": (f"{_AT}.task:group", "Make a task from your own photographs."),
    "data": (f"{_AT}.data:group", "Prepare, check and bundle data."),
    "backbone": (f"{_AT}.backbone:group", "Pre-train the bundled backbone."),
    "plugins": (f"{_AT}.plugins:plugins", "List plugins and their health."),
    "plugin": (f"{_AT}.plugin:group", "Write a plugin, and check it against the contract."),
    "doctor": (f"{_AT}.doctor:doctor", "Check this installation."),
}


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"ltbench {version('ltbench')}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="First steps: ltbench run --task shapes-lt --method lmpt",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show version."
)
def cli(debug: bool) -> None:
    """Compare methods for multi-label images with imperfect labels.

    Long-tailed, partially labelled, singly labelled or unseen classes: one command runs one method on one task and
    leaves one record that anybody can score again.
    """
    from ltbench.engine.launched import launched

    ctx = click.get_current_context()
    among = launched()
    if among.world > 1 and ctx.invoked_subcommand != "run":
        if among.rank:
            ctx.exit(USER_ERROR)
        raise UserError(
            f"{among.world} processes were started, and ltbench {ctx.invoked_subcommand} is for one",
            f"torchrun --nproc-per-node {among.world} -m ltbench run …, or the command without torchrun",
        )
