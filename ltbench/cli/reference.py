"""The commands as a page: ``python -m ltbench.cli.reference > docs/reference/cli.md``. Imports no torch."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator

import click

from ltbench.cli.root import cli
from ltbench.cli.variables import VARIABLES

WIDTH = 80

HEAD = """\
# Commands

This page is written by `python -m ltbench.cli.reference`; do not edit it. Every
command answers `--help` with the same text.

Results go to stdout, progress and remarks to stderr, so `--json` can be piped.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a run did not complete, or a check found something wrong |
| 2 | what was typed cannot be run; one line says why and what to type next |
| 130 | interrupted; what is finished is kept |

| environment variable | meaning |
|---|---|
"""


TAIL = """
A variable `LTBENCH_…` that is not in this table gets a warning on stderr.

Shells complete commands and options once their start-up file has the line for
the shell:

```text
bash, ~/.bashrc:                 eval "$(_LTBENCH_COMPLETE=bash_source ltbench)"
zsh, ~/.zshrc:                   eval "$(_LTBENCH_COMPLETE=zsh_source ltbench)"
fish, ~/.config/fish/config.fish:    _LTBENCH_COMPLETE=fish_source ltbench | source
```
"""


def page() -> str:
    """The page; the same commands give the same text."""
    variables = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in VARIABLES.items())
    parts = [HEAD + variables + TAIL]
    for context, command in _walk(click.Context(cli, info_name="ltbench")):
        parts.append(_section(context, command))
    return "\n".join(parts)


def _walk(context: click.Context) -> Iterator[tuple[click.Context, click.Command]]:
    """A command and all below it, in the order of ``--help``."""
    command = context.command
    yield context, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _walk(click.Context(found, info_name=name, parent=context))


def _section(context: click.Context, command: click.Command) -> str:
    level = 2 if context.parent is None or context.parent.parent is None else 3
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text = [f"{'#' * level} {context.command_path}", _prose(command.help or "")]
    if not isinstance(command, click.Group) or context.parent is None:
        folded = textwrap.fill(usage, WIDTH, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
        text.append(f"```text\n{folded}\n```")
    options = [_option(parameter, context) for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        text.append("\n".join(options))
    if isinstance(command, click.Group) and context.parent is not None:
        text.append(f"Commands: {', '.join(f'`{name}`' for name in command.list_commands(context))}.")
    return "\n\n".join(part for part in text if part) + "\n"


def _prose(text: str) -> str:
    """Paragraphs of a docstring, folded."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(textwrap.fill(" ".join(part.split()), WIDTH, break_on_hyphens=False) for part in paragraphs)


def _option(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    assert record is not None, option.name
    name, text = record
    return textwrap.fill(
        f"* `{name}`: {' '.join(text.split())}",
        WIDTH,
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


if __name__ == "__main__":
    click.echo(page(), nl=False)
