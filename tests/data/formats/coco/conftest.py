"""A small tree in COCO's format."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltbench.testing.trees import Tree, make_tree
from tests.data.formats.coco.coco_toys import SMALL


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return make_tree("coco2017", tmp_path / "root", images=20, image_size=SMALL)
