"""A click group that knows its commands' names and one-line helps, and imports a command only to run it."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import click

from ltbench.plugin.errors import UserError


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own.

    Args:
        lazy: command name → (``module:attribute``, one-line help). The help stands here as well as in the command, so
            that ``--help`` imports none of them; a test holds the two together.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = dict(lazy)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{self.lazy[cmd_name][0]} is no click command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List names and one-line helps without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or suggest the nearest.

        Raises:
            UserError: no command has that name.
        """
        if args[0] in self.lazy or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        close = difflib.get_close_matches(args[0], self.lazy, n=1, cutoff=0.5)
        suggestion = f"; did you mean {close[0]!r}?" if close else ""
        raise UserError(
            f"unknown command {args[0]!r}{suggestion}",
            f"{ctx.command_path} {close[0]} --help" if close else f"{ctx.command_path} --help",
        )
