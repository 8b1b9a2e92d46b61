"""VG-200 trees: two folders of photographs, SSGRL's lists, labels by file name."""

from __future__ import annotations

import json

from ltbench.data.formats.names import VG200_CLASSES
from ltbench.testing._tree_plan import Plan


def write_vg200(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Write the tree; no label of VG-200 is disputed."""
    folder = plan.root / "VG"
    (folder / "VG_100K").mkdir(parents=True, exist_ok=True)
    for part, ids in plan.ids.items():
        (folder / f"{part}_list_500.txt").write_text(
            "".join(f"{name}\n" for name in ids), encoding="utf-8", newline="\n"
        )
    column = {name: number for number, name in enumerate(VG200_CLASSES)}
    labels = {name: [column[class_name] for class_name in classes] for name, classes in plan.labels.items()}
    (folder / "vg_category_200_labels_index.json").write_text(json.dumps(labels), encoding="utf-8", newline="\n")
    for place, name in enumerate(plan.labels):
        plan.write_image(folder / ("VG_100K", "VG_100K_2")[place % 3 == 2] / name, name)
    return {}
