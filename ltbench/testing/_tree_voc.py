"""Pascal VOC trees: ``VOCdevkit/VOC<year>`` with XML annotations and the lists of ``ImageSets/Main``."""

from __future__ import annotations

from xml.sax.saxutils import escape

from ltbench.data.formats.names import VOC_CLASSES
from ltbench.testing._tree_plan import Plan


def write_voc(plan: Plan, year: str) -> dict[str, tuple[str, ...]]:
    """Write the tree; returns the classes of each image that only difficult objects show."""
    folder = plan.root / "VOCdevkit" / f"VOC{year}"
    lists = dict(plan.ids)
    if "trainval" in lists:
        lists["train"], lists["val"] = lists["trainval"][0::2], lists["trainval"][1::2]
    elif lists.keys() & {"train", "val"}:
        lists["trainval"] = tuple(sorted((*lists.get("train", ()), *lists.get("val", ()))))
    plan.ids.update(lists)
    difficult: dict[str, tuple[str, ...]] = {}
    for name in plan.labels:
        difficult[name] = _difficult(plan, name)
        annotation = folder / "Annotations" / f"{name}.xml"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        annotation.write_text(_annotation(plan, year, name, difficult[name]), encoding="utf-8", newline="\n")
        plan.write_image(folder / "JPEGImages" / f"{name}.jpg", name)
    main = folder / "ImageSets" / "Main"
    main.mkdir(parents=True, exist_ok=True)
    for part, ids in lists.items():
        (main / f"{part}.txt").write_text("".join(f"{name}\n" for name in ids), encoding="utf-8", newline="\n")
        for class_name in VOC_CLASSES:
            lines = [f"{name} {_value(plan, name, class_name, difficult[name]):2d}\n" for name in ids]
            (main / f"{class_name}_{part}.txt").write_text("".join(lines), encoding="utf-8", newline="\n")
    return {name: classes for name, classes in difficult.items() if classes}


def _difficult(plan: Plan, name: str) -> tuple[str, ...]:
    """About one class in five, but never all classes of an image."""
    if not plan.drawn:
        return ()
    draw = plan.random("difficult", name)
    return tuple(class_name for class_name in plan.labels[name][1:] if draw.random() < 0.2)


def _value(plan: Plan, name: str, class_name: str, difficult: tuple[str, ...]) -> int:
    """What ``Main/<class>_<part>.txt`` says: 1 present, 0 difficult only, -1 absent."""
    if class_name in difficult:
        return 0
    return 1 if class_name in plan.labels[name] else -1


def _annotation(plan: Plan, year: str, name: str, difficult: tuple[str, ...]) -> str:
    width, height = plan.image_size
    draw = plan.random("objects", name)
    objects = []
    for class_name in plan.labels[name]:
        flags = [1] if class_name in difficult else [0, *([1] if draw.random() < 0.2 else [])]
        objects += [_object(class_name, flag, *(int(n) for n in draw.integers(1, 9, size=2))) for flag in flags]
    return (
        f"<annotation>\n\t<folder>VOC{year}</folder>\n\t<filename>{escape(name)}.jpg</filename>\n"
        f"\t<source>\n\t\t<database>The VOC{year} Database</database>\n\t\t<annotation>PASCAL VOC{year}</annotation>\n"
        f"\t\t<image>flickr</image>\n\t</source>\n\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n{''.join(objects)}</annotation>\n"
    )


def _object(class_name: str, difficult: int, left: int, top: int) -> str:
    """One object; a person has a head, which is a part with a name of its own."""
    box = f"<xmin>{left}</xmin>\n<ymin>{top}</ymin>\n<xmax>{left + 8}</xmax>\n<ymax>{top + 8}</ymax>\n"
    part = f"\t\t<part>\n<name>head</name>\n<bndbox>\n{box}</bndbox>\n</part>\n" if class_name == "person" else ""
    return (
        f"\t<object>\n\t\t<name>{class_name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>{difficult}</difficult>\n\t\t<bndbox>\n{box}\t\t</bndbox>\n{part}\t</object>\n"
    )
