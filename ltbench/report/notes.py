"""Notes that methods and encoders give for a record, as the installed packages state them."""

from __future__ import annotations

from collections.abc import Iterator

from ltbench.method.local import LOCAL
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import RowNote
from ltbench.records.record import RunRecord

_LOCAL_CODE = RowNote(
    text="local code, of a file that no distribution holds: nobody else can run it, and each change is another row"
)


def notes_of(record: RunRecord) -> Iterator[RowNote]:
    """Those that hold for a record, the method's first; records of packages that are not here have none."""
    method, backbone = record.method, record.backbone.name
    for note in _told(record):
        if note.holds(method.name, backbone, method.config):
            yield note


def _told(record: RunRecord) -> Iterator[RowNote]:
    method, backbone = record.method, record.backbone.name.partition(":")[0]
    known = registry()
    if method.distribution == LOCAL:
        yield _LOCAL_CODE
    elif method.name in known.methods and known.methods.get(method.name).distribution == method.distribution:
        yield from known.methods.get(method.name).spec.notes
    if backbone in known.backbones:
        yield from known.backbones.get(backbone).spec.notes
