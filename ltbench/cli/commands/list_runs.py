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
@json_option
def runs(folders: tuple[Path, ...], address: str | None, method: str | None, as_json: bool) -> None:
    """Runs: what was recorded."""
    from ltbench.records.read import all_records

    found = all_records(folder for folder in folders if folder.exists())
    rows = [
        {
            "task": entry.record.task.address,
            "task_version": entry.record.task.version,
            "method": entry.record.method.name,
            "variant": entry.record.method.variant,
            "backbone": entry.record.backbone.name,
            "seed": entry.record.seed,
            "attempt": entry.record.attempt,
            "status": entry.record.status,
            "metric": entry.record.task.headline,
            "score": entry.record.scores.get(entry.record.task.headline, {}).get("total"),
            "created": entry.record.created,
            "key": entry.record.key,
            "path": str(entry.path),
        }
        for entry in found.records
        if address in (None, entry.record.task.address, entry.record.task.name)
        and method in (None, entry.record.method.name)
    ]
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
