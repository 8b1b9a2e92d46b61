"""Notes that methods and encoders give for rows, as the installed packages state them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ltbench.method.local import LOCAL
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import RowNote
from ltbench.report.rows import Row

_LOCAL_CODE = RowNote(
    text="local code, of a file that no distribution holds: nobody else can run it, and each change is another row"
)


def row_notes(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[str]:
    """One line for each note that holds for some rows of a section; rows of packages that are not here have none.

    Args:
        rows: of a section, or of several.
        labels: a name for each; rows of one name are named once.
    """
    named: dict[str, dict[str, None]] = {}
    for row, label in zip(rows, labels, strict=True):
        method, backbone = row.first.method, row.first.backbone.name
        for note in _notes_for(row):
            if note.holds(method.name, backbone, method.config):
                named.setdefault(note.text, {})[label] = None
    for text, said_of in named.items():
        yield f"{', '.join(said_of)}: {text}."


def _notes_for(row: Row) -> Iterator[RowNote]:
    method, backbone = row.first.method, row.first.backbone.name.partition(":")[0]
    known = registry()
    if method.distribution == LOCAL:
        yield _LOCAL_CODE
    elif method.name in known.methods and known.methods.get(method.name).distribution == method.distribution:
        yield from known.methods.get(method.name).spec.notes
    if backbone in known.backbones:
        yield from known.backbones.get(backbone).spec.notes
