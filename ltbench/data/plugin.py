"""Registers the data sets, lazily."""

from __future__ import annotations

from ltbench.plugin import DatasetSpec, hookimpl


@hookimpl
def ltbench_datasets() -> list[DatasetSpec]:
    """The bundled data set, and a user's own photographs."""
    return [
        DatasetSpec(
            name="shapes",
            target="ltbench.data.shapes_dataset:open_shapes",
            summary="20 everyday objects in rendered scenes, with captions; made on first use",
            licence="MIT (rendered by ltbench)",
            size="65 MB on disk, about 30 s to render",
            status="ltbench.data.shapes_dataset:shapes_status",
        ),
        DatasetSpec(
            name="folder",
            target="ltbench.data.folder:open_rooted",
            summary="your own photographs and labels: ltbench task new NAME --images DIR --labels labels.csv",
            licence="yours",
            size="your photographs stay where they are",
            status="ltbench.data.folder:folder_status",
        ),
    ]
