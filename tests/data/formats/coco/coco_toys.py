"""A small tree in COCO's format, opened and rewritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ltbench.data.base import DataRoot, DataSet
from ltbench.data.formats.coco import open_coco2017
from ltbench.testing.trees import Tree

SMALL = (32, 24)


def opened(tree: Tree, tmp_path: Path, **more: Any) -> DataSet:
    return open_coco2017(DataRoot(cache=tmp_path / "cache", root=tree.root, **more))


def instances(tree: Tree) -> Path:
    return tree.root / "coco" / "annotations" / "instances_train2017.json"


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
