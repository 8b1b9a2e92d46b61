"""A small site with everything on it that a page may have to show."""

from __future__ import annotations

from pathlib import Path

from records import builders as b

from ltbench.records.read import LoadedRecord
from ltbench.records.record import RunRecord
from ltbench.report.board import Board, build_board
from ltbench.report.site.write import Content
from report.boards import runs

#: A name, a preset and a reason as somebody may send them.
HOSTILE = '"><img src=x onerror="alert(1)">&amp; {{ 7*7 }}'
#: Names hold no slash; other texts may.
HOSTILE_TEXT = f"</script>{HOSTILE}"


def toy_records() -> list[RunRecord]:
    """Rows of two settings and two sections, one that is not ranked, a failure, and a hostile row."""
    plt = [b.task(name="toy-plt", setting=setting) for setting in ("mr0", "mr50")]
    made: list[RunRecord] = []
    for number, task in enumerate(plt):
        facts = b.task_facts(task)
        made += runs("coop", 70.5 - number, 71.25 - number, 72.0 - number, task=facts)
        made += runs("lmpt", 75.0 - number, 74.0 - number, task=facts, cost=b.cost(trainable_parameters=512))
        made += runs("zero-shot", 60.0, task=facts, facts={"deterministic": True})
        made += runs("hspnet", 66.0, 67.0, task=facts, extras=("label groups",))
    first = b.task_facts(plt[0])
    made += runs("linear-probe", 99.0, task=first, limit=10)
    made += runs(
        HOSTILE, 65.0, 64.0, task=first, facts={"preset": HOSTILE_TEXT, "config": {HOSTILE_TEXT: HOSTILE_TEXT}}
    )
    made.append(b.failure(task=first, method=b.method_facts(name="coop"), seed=9, reason=HOSTILE_TEXT))
    return made


def toy_board(records: list[RunRecord]) -> Board:
    """Their board."""
    return build_board(records, "toy-plt", 1)


def on_disk(records: list[RunRecord], folder: Path) -> list[LoadedRecord]:
    """Write records to files of a folder, as runs leave them."""
    found = []
    for number, record in enumerate(records):
        path = folder / str(number) / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(record.to_json(), encoding="utf-8")
        found.append(LoadedRecord(path, record))
    return found


def toy_content(folder: Path) -> Content:
    """What the site of these records is made of; the records lie in the folder."""
    records = toy_records()
    return Content([toy_board(records)], on_disk(records, folder), [], ["toy-plt"], left_out=1)
