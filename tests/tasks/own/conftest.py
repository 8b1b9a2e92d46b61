"""An order for a task of a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltbench.tasks.own.new import Order
from tests.tasks.own.custom_toys import ROWS, picture, table


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    """Five tiny photographs with a CSV, and the current folder beside them."""
    images = tmp_path / "photos"
    images.mkdir()
    for number, row in enumerate(ROWS):
        picture(images / row.partition(",")[0], number)
    monkeypatch.chdir(tmp_path)
    return Order("my-photos", table(tmp_path, ROWS), images)
