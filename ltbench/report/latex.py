"""Leaderboards as LaTeX tables (booktabs)."""

from __future__ import annotations

from collections.abc import Iterator

from tabulate import tabulate

from ltbench.plugin.clean import plain
from ltbench.report.board import Board, equals_title
from ltbench.report.cells import Table

_SYMBOLS = {"±": r"$\pm$", "≈": r"$\approx$", "–": "--", "…": r"\ldots{}", "→": r"$\to$"}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    **{character: f"\\{character}" for character in "&%$#_"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def render_latex(board: Board) -> str:
    """Every table of a leaderboard as a float with a caption; needs the package booktabs."""
    return "\n\n".join(["% needs \\usepackage{booktabs}", *_tables(board)]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX shows it literally."""
    escaped = "".join(_SPECIAL.get(character, character) for character in plain(text))
    for character, command in _SYMBOLS.items():
        escaped = escaped.replace(character, command)
    return escaped


def _tables(board: Board) -> Iterator[str]:
    for section in board.sections:
        setting = section.equals.setting
        address = board.task if setting is None else f"{board.task}@{setting}"
        for table in section.tables:
            yield _float(
                table, f"{table.title} on {address} v{board.version}, {equals_title(section.equals, board.sections)}."
            )
    for table in (*board.overview, *board.extra):
        yield _float(table, f"{table.title}: {board.task} v{board.version}.")


def _float(table: Table, caption: str) -> str:
    # Cells are escaped here, and rules named here: tabulate's booktabs format would escape the math commands too.
    tabular = tabulate(
        [[escape(cell.text) for cell in row] for row in table.rows],
        headers=[escape(name) for name in table.columns],
        tablefmt="latex_raw",
        disable_numparse=True,
        colalign=["right" if numeric else "left" for numeric in table.numeric],
    )
    for rule in ("toprule", "midrule", "bottomrule"):
        tabular = tabular.replace("\\hline", f"\\{rule}", 1)
    return f"\\begin{{table}}\n\\centering\n\\caption{{{escape(caption)}}}\n{tabular}\n\\end{{table}}"
