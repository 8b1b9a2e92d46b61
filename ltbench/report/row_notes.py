"""Notes that methods and encoders give for rows, as lines below a board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ltbench.report.notes import notes_of
from ltbench.report.rows import Row


def row_notes(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[str]:
    """One line for each note that holds for some rows of a section; rows of packages that are not here have none.

    Args:
        rows: of a section, or of several.
        labels: a name for each; rows of one name are named once.
    """
    named: dict[str, dict[str, None]] = {}
    for row, label in zip(rows, labels, strict=True):
        for note in notes_of(row.first):
            named.setdefault(note.text, {})[label] = None
    for text, said_of in named.items():
        yield f"{', '.join(said_of)}: {text}."
