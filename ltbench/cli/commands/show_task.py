"""``ltbench show task``: a task's card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import json_option
from ltbench.cli.output import Column, fold, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from ltbench.data.base import DataSet
    from ltbench.tasks.task import Task


@click.command()
@click.argument("name")
@json_option
def task(name: str, as_json: bool) -> None:
    """What a task asks, and its traps.

    The card has rows, counts per class, published files with their hashes, and fingerprints. Counts come from published
    files and from the data where these are at hand (LTBENCH_MIRROR, LTBENCH_DATA, or after ltbench data prepare).
    """
    from ltbench.tasks.cards.card import make_card
    from ltbench.tasks.defaults import suggested_run
    from ltbench.tasks.registry import resolve

    found = resolve(name)
    card = make_card(found, _at_hand, _data_at_hand)
    first = found[0]
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    from ltbench.report.task_figures import figures_in_words

    printed = figures_in_words(first.name, first.headline)
    print_facts({**card.facts, **({"printed": printed} if printed else {})})
    for table in card.tables:
        if table.title in ("Published files", "Fingerprints"):
            # Hashes do not fit beside other columns.
            say(f"\n{table.title}")
            for row in table.rows:
                say(fold("  " + "  ".join(cell for cell in row if cell), "      "))
        else:
            say()
            print_table([Column(title, right=right) for title, right in zip(table.columns, table.right, strict=True)],
                        table.rows, title=table.title)  # fmt: skip
    say()
    for line in card.notes:
        say(fold(f"* {line}", "  "))
    for line in card.traps:
        say(fold(f"! {line}", "  "))
    say(f"Run: {suggested_run(first, name)}")


def _at_hand(file: object) -> Path:
    """A published file in the cache or in the mirror; the network is left alone."""
    from ltbench.data.base import DataRoot
    from ltbench.data.getting.fetch import fetch
    from ltbench.tasks.task import PublishedFile

    assert isinstance(file, PublishedFile)
    return fetch(file.source, DataRoot(offline=True))


def _data_at_hand(task: Task) -> DataSet:
    """The data set as it lies on this machine; the network is left alone."""
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import open_data_set

    return open_data_set(task, DataRoot(offline=True))
