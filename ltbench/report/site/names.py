"""Names of files of the site, relative to it or to the page that asks for them."""

from __future__ import annotations

from ltbench.plugin.system import slug, unportable
from ltbench.records.canonical import sha256_of
from ltbench.records.record import RunRecord


def file_name(text: str) -> str:
    """A name from outside as the name of a file; one that had to be changed carries a part of its hash."""
    made = slug(text)
    return made if made == text and not unportable(made) else f"{made.strip('.')}-{sha256_of(text)[:8]}"


def page_name(task: str, version: int) -> str:
    """Name of a task's page, without ending."""
    return file_name(f"{task}-v{version}")


def rows_file(page: str) -> str:
    """The rows of a page's table, beside the page."""
    return f"{page}.rows.js"


def part_file(page: str, part: int) -> str:
    """What is behind the rows of one part of a page's table, beside the page."""
    return f"{page}.part-{part}.js"


def matrix_file(number: int) -> str:
    """The rows of a matrix, beside the first page."""
    return f"matrix-{number}.js"


def record_file(record: RunRecord) -> str:
    """Place of a record within the site."""
    return f"records/{record.record_sha256[:16]}.json"
