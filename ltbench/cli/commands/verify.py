"""``ltbench verify``: phase 2 again."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.options import PATH, data_root_option, json_option
from ltbench.plugin.errors import UserError


@click.command()
@click.argument("records", nargs=-1, required=True, type=PATH, metavar="RECORD…")
@click.option(
    "--logits", "logits_dirs", multiple=True, type=PATH, help="Folder with logits named by their hash; repeatable."
)
@data_root_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context, records: tuple[Path, ...], logits_dirs: tuple[Path, ...], data_root: Path | None, as_json: bool
) -> None:
    """Score recorded runs again and compare.

    A RECORD is a record, or a folder with records at any depth. Schema, hashes, fingerprints and every figure are
    computed again from the logits; whatever differs is named. A record whose logits are not at hand is unscored: the
    rest of it is checked. Exit code 1 when a record is wrong or unscored.
    """
    paths = [path for given in records for path in _expand(given)]
    from ltbench.cli.output import fold, print_json
    from ltbench.cli.reporting import reporter
    from ltbench.data.base import DataRoot
    from ltbench.records.verify import open_registered, open_registered_train
    from ltbench.records.verify import verify as check

    says = reporter()
    root = DataRoot(reporter=says) if data_root is None else DataRoot(root=data_root, reporter=says)
    truth, train = open_registered(root), open_registered_train(root)
    reports = [check(path, truth, logits_dirs, open_train=train) for path in paths]
    wrong = [report for report in reports if not report.ok]
    if as_json:
        stated = ("verdict", "ok", "checked", "problems", "absent")
        print_json([{"path": str(r.path), **{name: getattr(r, name) for name in stated}} for r in reports])
    else:
        for report in reports:
            click.echo(f"{report.verdict:8}  {report.path}")
            for problem in [*report.problems, *([report.absent] if report.absent else [])]:
                click.echo(f"          {problem}")
        what = "record" if len(reports) == 1 else "records"
        looked = ", ".join(reports[0].checked)
        click.echo(fold(f"{len(reports) - len(wrong)} of {len(reports)} {what} verified. Looked at: {looked}."))
    if wrong:
        ctx.exit(1)


def _expand(given: Path) -> list[Path]:
    """Records below a folder, or the file itself."""
    if not given.is_dir():
        return [given]
    from ltbench.records.read import RECORD_NAME, RECORDS_FOLDER

    found = [
        path for path in sorted(given.rglob("*.json")) if path.name == RECORD_NAME or path.parent.name == RECORDS_FOLDER
    ]
    if not found:
        raise UserError(f"there is no record in {given}", "ltbench list runs")
    return found
