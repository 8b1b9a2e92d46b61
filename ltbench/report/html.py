"""Leaderboards as one HTML page that needs nothing beside it: sortable tables and drawn figures inline."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ltbench.report.board import Board, equals_title
from ltbench.report.markdown import introduction


def render_html(board: Board, plots: bool = True) -> str:
    """The page of a leaderboard.

    Args:
        plots: draw the figures too (takes a second; needs matplotlib).
    """
    drawn = {}
    if plots:
        from ltbench.report.plots import draw_groups, figure_bytes

        for number, section in enumerate(board.sections):
            drawn[number] = Markup(_inline(figure_bytes(draw_groups(section, board.headline), "svg").decode("utf-8")))
    environment = Environment(
        loader=PackageLoader("ltbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("board.html.j2").render(
        board=board, introduction=introduction(board).replace("`", ""), title=equals_title, drawn=drawn
    )


def _inline(svg: str) -> str:
    """An SVG document without its XML head, which has no place inside HTML."""
    return svg[svg.index("<svg") :]
