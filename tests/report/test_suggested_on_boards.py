"""What is suggested for a kind of labels holds the best row of its board on photographs, or one that may be as good."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from ltbench.engine.suggested import suggested
from ltbench.records.read import all_records
from ltbench.report.pairs import Comparisons
from ltbench.report.ranks import compare_rows
from ltbench.report.recommendation import recommendation
from ltbench.report.rows import make_rows
from ltbench.report.verdict import as_good
from ltbench.tasks.registry import load_task

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


@pytest.mark.parametrize("address", ["photos-lt", "photos-plt@mr40", "photos-spml", "photos-partial@p50", "photos-zsl"])
def test_the_best_or_one_that_may_be_as_good_is_suggested(address: str) -> None:
    task = load_task(address)
    folder = BOARDS / task.name / f"v{task.version}"
    if not folder.is_dir():
        pytest.skip("needs the committed boards, which an installed package does not have")
    records = [entry.record for entry in all_records([folder]).records if entry.record.task.setting == task.setting]
    rows = [row for row in make_rows(records) if not row.why_not and row.equals.backbone == "lite0-minilm"]
    sections = [list(members) for _, members in groupby(rows, key=lambda row: row.equals)]
    # Without extras, as most rows are.
    section = max((one for one in sections if not one[0].equals.extras), key=len)
    compared = compare_rows(section, Comparisons.read(folder))
    alike = {section[place].first.record_sha256 for place in as_good(compared, range(len(section)))}
    named = {one.method for one in suggested(task)}
    tried = [row for row in section if row.first.method.name in named]
    # What recommend answers from these runs is the best of all rows of the board, or may be as good.
    answer = recommendation(compare_rows(tried, Comparisons.read(folder)), {}, folder)
    assert answer.best.row.first.record_sha256 in alike
    assert answer.verdict[0].startswith(f"Use {answer.best.label}: {task.headline} ")
