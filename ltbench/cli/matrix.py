"""``ltbench leaderboard --matrix``: the pages over all tasks, what to use for which problem and recipes by tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltbench.engine.fit import needs_on

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ltbench.plugin.specs import MethodSpec
    from ltbench.report.guide import Guide
    from ltbench.report.matrix import HasPreset, Matrix
    from ltbench.report.rows import Row
    from ltbench.tasks.task import Task


def stale_overviews(boards: Path) -> list[Path]:
    """The guide and the matrix, as far as they are not what records and recipes give.

    Raises:
        UserError: a record, stored comparisons or a file of presets cannot be read.
    """
    from ltbench.report.guide_page import stale_guide
    from ltbench.report.matrix_page import stale_matrix

    guide, parts = committed_overviews(boards)
    return [*stale_guide(boards, guide), *stale_matrix(boards, *parts)]


def write_overviews(boards: Path) -> list[Path]:
    """Write both, and return the files written.

    Raises:
        UserError: as :func:`stale_overviews`, or a file cannot be written.
    """
    from ltbench.report.guide_page import write_guide
    from ltbench.report.matrix_page import write_matrix

    guide, parts = committed_overviews(boards)
    return [*write_guide(boards, guide), *write_matrix(boards, *parts)]


def committed_overviews(boards: Path) -> tuple[Guide, tuple[Matrix, ...]]:
    """Guide and matrix of the project's own recipes from the records in a folder of leaderboards.

    Plugins of others are left out of the matrix: the page must not depend on what else is installed.
    """
    from ltbench.plugin.manager import registry
    from ltbench.report.guide import build_guide, standing_of
    from ltbench.report.matrix import PHOTOS, SHAPES, build_matrix, committed_records
    from ltbench.report.pairs import Comparisons
    from ltbench.report.write import board_folder
    from ltbench.tasks.registry import load_task

    methods = [item for item in registry().methods if item.distribution == "ltbench"]
    parts, standings, presets = [], [], presets_at_hand()
    for images in (PHOTOS, SHAPES):
        tasks = [load_task(address) for address in images.tasks]
        records = committed_records(boards, tasks)
        parts.append(build_matrix(methods, tasks, records, lacks_of, presets, images))
        for task in tasks:
            folder = board_folder(boards, task.name, task.version)
            where = folder.relative_to(boards).as_posix()
            standings.append(standing_of(task, where, records[task.address], Comparisons.read(folder)))
    return build_guide(standings, features_alone, _pages(boards)), tuple(parts)


def features_alone(row: Row) -> bool:
    """Whether a row's recipe asks its encoder for one feature an image and no text; recipes that are not here do not.

    A recipe that can do without text counts where the encoder has none.
    """
    from ltbench.method.facts import facts_of
    from ltbench.plugin.errors import UserError
    from ltbench.plugin.manager import registry

    method, known = row.first.method, registry().methods
    if method.name not in known or known.get(method.name).distribution != method.distribution:
        return False
    try:
        needs = facts_of(known.get(method.name).spec).needs
    except UserError:
        return False
    return needs.input == "global" and not (needs.text and "text" in row.first.backbone.offers)


def _pages(boards: Path) -> list[tuple[str, str]]:
    """Pages below the folder that a reader may want next; those of one's own making are not listed."""
    from ltbench.report.write import list_boards

    found = [("every recipe on every task", "matrix.md")]
    found += [(task, f"{task}/v{version}/README.md") for task, version in list_boards(boards)]
    if (boards / "reproduce" / "README.md").exists():
        found.append(("tables of the papers, printed and measured", "reproduce/README.md"))
    return found


def lacks_of(spec: MethodSpec, task: Task) -> Mapping[str, str]:
    """What keeps a recipe from running on a task, short → in words."""
    return needs_on(spec, task)[1]


def presets_at_hand() -> HasPreset:
    """Says whether a recipe has a preset; the file of each recipe is read once."""
    from ltbench.method.config import Preset, load_presets

    known: dict[str, tuple[Preset, ...]] = {}

    def has(spec: MethodSpec, task: Task, backbone: str, variant: str) -> bool:
        if spec.name not in known:
            known[spec.name] = load_presets(spec)
        return any(p.tasks and p.fits(task.name, task.setting, backbone, variant) for p in known[spec.name])

    return has
