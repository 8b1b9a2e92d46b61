"""A task's data in the true format in one call, for tests of methods and whole runs on machines that have no data set.

::

    from ltbench.testing.task_trees import make_task_tree

    tree = make_task_tree("voc-lt", tmp_path)
    data = tree.open()
    view = open_train(tree.task, data)

Without more, the tree is small, its rows and labels are drawn, and needs nothing from elsewhere. No small tree can be
VOC-LT, whose rows and labels are pinned: ``tree.task`` is therefore a task of its own, ``voc-lt-small``, which has the
rules, protocol, classes and metrics of the official one but no fingerprints, and is never ranked. The command line runs
it by its folder::

    LTBENCH_MIRROR=<tree.mirror> ltbench run --task <tree.folder> --data-root <tree.root> …

With ``pinned=True`` the tree has the rows and labels that the official task pins, so ``tree.task`` is the official task
and ``ltbench run --task voc-lt --data-root <tree.root>`` passes every check. Such a tree is as large as the real split;
photographs are tiny, so it takes seconds for most tasks. Rows come from the lists that authors released, fetched as a
run fetches them (``LTBENCH_MIRROR`` first). Labels that no list has are given as ``labels``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ltbench.data.base import DataRoot, DataSet
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.tasks.needs import parts_of
from ltbench.tasks.own.new import task_text
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.tasks.task import Fingerprints, PublishedFile, Task, Validation
from ltbench.tasks.views.opened import TaskData
from ltbench.tasks.views.rows import mask_namespace, training_rows
from ltbench.testing._task_lists import made_file, one_of, written
from ltbench.testing._task_pins import pinned_rows, tree_part
from ltbench.testing.trees import TREES, Tree, make_tree

_UNPINNED = "rows and labels of a small tree are drawn"
_SMALL = (32, 24)
_TINY = (8, 6)


@dataclass(frozen=True)
class TaskTree:
    """What was written.

    Attributes:
        task: what the tree holds the data of: the official task, or the small one of the same rules.
        root: give it as ``--data-root``.
        trees: by data set; empty for a task on the bundled data set, which is rendered.
        folder: of a small task; give it as ``--task``. None for an official one, which goes by its name.
        mirror: folder with the small task's lists, in place of those that authors released; ``LTBENCH_MIRROR`` of a
            run. None where there are none.
    """

    task: Task
    root: Path
    trees: Mapping[str, Tree] = field(default_factory=dict)
    folder: Path | None = None
    mirror: Path | None = None

    def open(self, cache: Path | None = None) -> DataSet:
        """Open the data for :func:`ltbench.tasks.views.open_train` and the others; the network is left alone.

        Args:
            cache: where parsed files go; None for the usual place.
        """
        root = DataRoot(root=self.root, offline=True) if cache is None else DataRoot(cache, self.root, offline=True)
        if self.mirror is None:
            return open_data_set(self.task, root)
        files = {file.name: self.mirror / file.source.layout for file in self.task.published}
        data = open_data_set(self.task.model_copy(update={"published": ()}), root)
        opened = data if isinstance(data, TaskData) else TaskData(**vars(data))
        return replace(opened, open_file=files.__getitem__)


def make_task_tree(
    address: str,
    root: Path,
    seed: int = 0,
    *,
    train: int = 60,
    test: int = 30,
    image_size: tuple[int, int] | None = None,
    pinned: bool = False,
    labels: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    cache: Path | None = None,
) -> TaskTree:
    """Write the data of a task setting in the true format.

    Args:
        address: ``voc-lt``, ``partial-coco@p50``.
        root: the data root to be; made when missing, other data sets in it are left alone.
        seed: of what is drawn; the same call writes the same bytes.
        train: images of parts to train on, ``test``: of those to test on, as far as they are drawn.
        image_size: width and height in pixels; None takes 32 x 24, with ``pinned`` 8 x 6.
        pinned: write the rows and labels that the official task pins, and open the official task.
        labels: with ``pinned``: data set → row id → classes present, in the order of the data set's rows; for labels
            that no list of authors has (``voc2012`` for voc-lt, plt-voc and spml-voc@splc, ``coco2014`` for
            spml-coco@largeloss).
        cache: with ``pinned``: where fetched lists go; None for the usual place.

    Raises:
        UnknownName: no such task.
        UserError: several settings, a task of one's own, a data set that no tree can be made of; with ``pinned`` a list
            that cannot be had, or labels that no list has and that are not given.
    """
    task = load_task(address)
    if task.data_set == "shapes":
        return TaskTree(task, root)
    strange = [name for name in task.data_sets if name not in TREES]
    if strange:
        raise UserError(f"no tree can be made of {', '.join(strange)}", f"data sets are {', '.join(TREES)}")
    images: dict[str, dict[str, int | Sequence[str]]] = {
        name: {part: test if part in _TESTED else train for part in parts} for name, parts in tree_parts(task).items()
    }
    if task.data_set == "voc2007" and "+photos-" in task.train_part:
        if pinned:
            raise UserError(
                f"{address} pins which labels only difficult objects show, and trees have none of those",
                f"ltbench data prepare {task.name}",
            )
        # Its parts are shares of one list: half to train on, two fifths to test on.
        images[task.data_set] = {"test": max(2 * train, 5 * test // 2)}
    known: dict[str, dict[str, Sequence[str]]] = {}
    if pinned:
        for name, parts in pinned_rows(task, labels or {}, DataRoot() if cache is None else DataRoot(cache)).items():
            images[name] |= {part: tuple(rows) for part, rows in parts.items()}
            known[name] = {row: names for rows in parts.values() for row, names in rows.items() if names is not None}
    size = image_size or (_TINY if pinned else _SMALL)
    trees = {
        name: make_tree(name, root, parts, seed, labels=known.get(name) or None, image_size=size)
        for name, parts in images.items()
    }
    return TaskTree(task, root, trees) if pinned else _small(task, root, trees)


#: Parts of trees that tasks test on, where they do not train on them.
_TESTED = ("test", "val")


def tree_parts(task: Task) -> dict[str, tuple[str, ...]]:
    """Parts of trees that a task needs, by data set: without variants, and NUS-WIDE's ``all`` is both of its parts."""
    found: dict[str, tuple[str, ...]] = {}
    for name, parts in parts_of(task).items():
        plain = [part.partition("+")[0] for part in parts]
        split = [each for part in plain for each in (("train", "test") if part == "all" else (part,))]
        found[name] = tuple(dict.fromkeys(split))
    return found


def _small(task: Task, root: Path, trees: Mapping[str, Tree]) -> TaskTree:
    """The task of the same rules on a small tree, with lists of its own where authors' lists define it."""
    captions = task.defining("captions")
    mirror = root / "mirror" if task.sources else None
    lists = [file for file in task.published if file.use == "defines" and file is not captions]
    made = [made_file(task, file, _lines(task, file, trees), root / "mirror") for file in lists]
    notes = [f"rows and labels are drawn, all else is as in {task.address}"]
    validation = task.validation
    if validation.unused is not None and task.defining("train") is None:
        # Of so few rows the rule that selects those to train on takes all.
        validation = Validation(kind="holdout", fraction=0.2, labels=validation.labels)
        notes = [f"{notes[0]}, but that a fifth of the training rows validates: a small tree leaves none unused"]
    content = {
        **task.model_dump(),
        "name": f"{task.name}-small",
        "title": f"{task.title}: a small tree with drawn labels",
        # The masks of the official task, not others.
        "mask_namespace": mask_namespace(task),
        "published": [file.model_dump() for file in made],
        "validation": validation.model_dump(),
        "notes": notes,
        "counts": {},
        "fingerprints": {},
        "unpinned": dict.fromkeys(Fingerprints.model_fields, _UNPINNED),
        "ranked": False,
        "licence": "MIT (texture drawn by ltbench)",
        "traps": ("photographs are texture: figures mean nothing",),
    }
    if captions is not None:
        # They are of the rows that the task selects, which are known once it is opened without them.
        bare = TaskTree(Task.model_validate({**content, "captions": "none"}), root, trees, mirror=mirror)
        with TemporaryDirectory() as cache:
            ids = training_rows(bare.task, bare.open(Path(cache))).ids
        labels = trees[task.data_set].labels
        lines = [written(captions, row, f"a photo of {', '.join(labels[row]) or 'something'}") for row in ids]
        content["published"] += [made_file(task, captions, lines, root / "mirror").model_dump()]
    small = Task.model_validate(content)
    folder = root / "tasks" / small.address
    write_atomic(folder / "task.json", task_text(small))
    return TaskTree(small, root, trees, folder, mirror)


def _lines(task: Task, file: PublishedFile, trees: Mapping[str, Tree]) -> list[str]:
    """Lines of a list for the rows of a tree; a third of the training rows is left where validation needs some."""
    tested = file.role == "test"
    tree = trees[task.test_data_set or task.data_set] if tested else trees[task.data_set]
    ids = list(tree.ids[tree_part(task.test_part, "test") if tested else tree_part(task.train_part, "train")])
    if file.role == "train" and task.validation.unused is not None:
        ids = ids[: max(1, 2 * len(ids) // 3)]
    column = {name: place for place, name in enumerate(task.classes)}
    lines = []
    for row in ids:
        numbers = sorted(column[name] for name in tree.labels[row] if name in column)
        if file.role == "observed":
            numbers = one_of(numbers, row)
            if not numbers:
                # An image that shows nothing has no label to observe, and is in no such list.
                continue
        lines.append(written(file, row, " ".join(map(str, numbers if file.labels or numbers else ()))))
    return lines
