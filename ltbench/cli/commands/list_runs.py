"""``ltbench list runs``."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.options import PATH, json_option
from ltbench.cli.output import Column, note, print_json, print_table


@click.command()
@click.option(
    "--out",
    "folders",
    type=PATH,
    multiple=True,
    default=(Path("ltbench-runs"),),
    show_default=True,
    help="Folder with runs; may be given several times.",
)
@click.option("--task", "address", default=None, help="Only runs of this task (with or without @setting).")
@click.option("--method", default=None, help="Only runs of this method.")
@click.option("--newest", type=click.IntRange(min=1), default=None, metavar="N", help="Only the N newest of them.")
@json_option
def runs(folders: tuple[Path, ...], address: str | None, method: str | None, newest: int | None, as_json: bool) -> None:
    """Runs: what was recorded."""
    from ltbench.records.read import all_summaries

    found = all_summaries(folder for folder in folders if folder.exists())
    rows = [
        {**summary, "path": str(path)}
        for path, summary in found.summaries
        if address in (None, summary["task"], summary["task"].partition("@")[0]) and method in (None, summary["method"])
    ]
    if newest is not None:
        rows = sorted(rows, key=lambda row: (row["created"], row["key"], row["attempt"]))[-newest:]
    rows.sort(
        key=lambda row: tuple(str(row[name]) for name in ("task", "method", "backbone", "seed", "attempt", "key"))
    )
    if as_json:
        print_json(rows)
    elif rows:
        print_table(
            [
                "task",
                Column("method", whole=True),
                "backbone",
                Column("seed", right=True),
                "status",
                Column("score", right=True),
                "key",
            ],
            [
                [
                    str(row["task"]),
                    str(row["method"]),
                    str(row["backbone"]),
                    str(row["seed"]),
                    str(row["status"]),
                    "" if row["score"] is None else f"{row['score']:.2f}",
                    str(row["key"])[:8],
                ]
                for row in rows
            ],
        )
        note("one of them: ltbench show run KEY")
    else:
        shown = ", ".join(str(folder) for folder in folders)
        note(f"no runs in {shown} → ltbench run --task shapes-lt --method zero-shot")
    for problem in found.problems:
        note(f"note: {problem}")
