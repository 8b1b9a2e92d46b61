"""CUB trees: ``CUB_200_2011`` with ``attributes.txt`` beside it, as the archive unpacks."""

from __future__ import annotations

from ltbench.data.formats.cub_names import CUB_ATTRIBUTES, CUB_CLASSES
from ltbench.testing._tree_plan import Plan


def write_cub(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Write the tree; no label of CUB is disputed."""
    folder = plan.root / "CUB_200_2011"
    (folder / "attributes").mkdir(parents=True, exist_ok=True)
    train = set(plan.ids.get("train", ()))
    # The official list goes through the species; train and test are mixed in it, and a species is in no order.
    for part, ids in plan.ids.items():
        if part not in plan.given:
            plan.ids[part] = tuple(sorted(ids))
    every = sorted(plan.labels) if not plan.given else [name for ids in plan.ids.values() for name in ids]
    species = sorted({name.partition("/")[0] for name in every})
    files = {
        "images.txt": [f"{number} {name}" for number, name in enumerate(every, 1)],
        "train_test_split.txt": [f"{number} {int(name in train)}" for number, name in enumerate(every, 1)],
        "classes.txt": [f"{number} {name}" for number, name in enumerate(species, 1)],
        "image_class_labels.txt": [
            f"{number} {species.index(name.partition('/')[0]) + 1}" for number, name in enumerate(every, 1)
        ],
        "attributes/certainties.txt": ["1 not visible", "2 guessing", "3 probably", "4 definitely"],
        "attributes/image_attribute_labels.txt": _attributes(plan, every),
        "../attributes.txt": [f"{number} {name}" for number, name in enumerate(CUB_ATTRIBUTES, 1)],
    }
    for name, lines in files.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    for name in every:
        plan.write_image(folder / "images" / name, name)
    return {}


def _attributes(plan: Plan, every: list[str]) -> list[str]:
    """``image attribute present certainty seconds``; now and then with a field too many, as in the official file."""
    lines = []
    for number, name in enumerate(every, 1):
        shown = set(plan.labels[name])
        draw = plan.random("certainty", name)
        certainty = draw.integers(1, 5, size=len(CUB_CLASSES)).tolist()
        stray = int(draw.integers(0, 3 * len(CUB_CLASSES)))
        for column, class_name in enumerate(CUB_CLASSES):
            more = " 0" if column == stray else ""
            lines.append(f"{number} {column + 1} {int(class_name in shown)} {certainty[column]}{more} 27.7080")
    return lines
