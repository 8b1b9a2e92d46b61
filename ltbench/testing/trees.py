"""Small data trees in the true formats: right names, files, layouts and sizes; photographs replaced by random texture.

For tests of readers, tasks and whole runs on machines that have no data set::

    from ltbench.data.base import DataRoot
    from ltbench.testing.trees import make_tree

    tree = make_tree("voc2012", tmp_path, images={"train": 12, "val": 6})
    data = open_voc2012(DataRoot(root=tree.root))

All that one task needs comes in one call of :func:`ltbench.testing.task_trees.make_task_tree`. Several data sets may
share one root. The ids and labels of a real split can be given, so that a task finds its rows::

    make_tree("voc2012", tmp_path, images={"trainval": ids}, labels=positives_by_id, image_size=(32, 24))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.plugin.errors import UnknownName, UserError
from ltbench.testing._tree_birds import write_cub
from ltbench.testing._tree_coco import write_coco
from ltbench.testing._tree_nus import write_nus_wide
from ltbench.testing._tree_plan import Plan, draw_plan
from ltbench.testing._tree_vg import write_vg200
from ltbench.testing._tree_voc import write_voc


@dataclass(frozen=True)
class Tree:
    """What was written.

    Attributes:
        data_set: name of the data set.
        root: give it as ``--data-root``.
        ids: part → row ids in the order of the part.
        labels: row id → classes that the plain part shows as present.
        disputed: row id → those of its classes that another rule of the data set does not count (VOC: only difficult
            objects show them; COCO: only boxes without area). Empty when labels were given.
    """

    data_set: str
    root: Path
    ids: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, tuple[str, ...]]
    disputed: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Kind:
    parts: tuple[str, ...]
    image_size: tuple[int, int]
    write: Callable[[Plan], dict[str, tuple[str, ...]]]


def _year(
    write: Callable[[Plan, str], dict[str, tuple[str, ...]]], year: str
) -> Callable[[Plan], dict[str, tuple[str, ...]]]:
    return lambda plan: write(plan, year)


_KINDS = {
    "voc2007": _Kind(("train", "val", "test"), (500, 375), _year(write_voc, "2007")),
    "voc2012": _Kind(("train", "val"), (500, 375), _year(write_voc, "2012")),
    "coco2014": _Kind(("train", "val"), (640, 480), _year(write_coco, "2014")),
    "coco2017": _Kind(("train", "val"), (640, 480), _year(write_coco, "2017")),
    "nus-wide": _Kind(("train", "test"), (240, 180), write_nus_wide),
    "vg-200": _Kind(("train", "test"), (800, 600), write_vg200),
    "cub": _Kind(("train", "test"), (500, 400), write_cub),
}

#: Data sets that a tree can be made of.
TREES = tuple(_KINDS)


def make_tree(
    data_set: str,
    root: Path,
    images: int | Mapping[str, int | Sequence[str]] = 12,
    seed: int = 0,
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    image_size: tuple[int, int] | None = None,
) -> Tree:
    """Write a small tree of a data set in its true format.

    Args:
        data_set: one of ``TREES``.
        root: the data root to be; made when missing, other data sets in it are left alone.
        images: how many of each part; or by part, how many or which ids. VOC takes ``trainval`` in place of ``train``
            and ``val``: every second id goes to ``train``, the list keeps the order given.
        seed: of ids, labels and texture; the same call writes the same bytes.
        labels: row id → classes present; images without an entry get random ones. When given, no class is disputed and
            the labels hold under every rule of the data set.
        image_size: width and height in pixels; None takes what is usual in the data set. Small ones are written faster.

    Raises:
        UnknownName: no tree of that name.
        UserError: an unknown part, an id that has not the data set's form, or an unknown class.
    """
    if data_set not in _KINDS:
        raise UnknownName("data set", data_set, _KINDS, "one of ltbench.testing.trees.TREES")
    kind = _KINDS[data_set]
    wanted: Mapping[str, int | Sequence[str]] = dict.fromkeys(kind.parts, images) if isinstance(images, int) else images
    allowed = (*kind.parts, "trainval") if data_set.startswith("voc") else kind.parts
    strange = [part for part in wanted if part not in allowed]
    if strange or ("trainval" in wanted and {"train", "val"} & set(wanted)):
        raise UserError(f"{data_set} has no parts {', '.join(wanted)}", f"parts are {', '.join(allowed)}")
    plan = draw_plan(data_set, root, wanted, seed, labels, image_size or kind.image_size)
    disputed = kind.write(plan)
    return Tree(data_set, root, plan.ids, plan.labels, disputed)
