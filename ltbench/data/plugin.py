"""Registers the data sets, lazily."""

from __future__ import annotations

from ltbench.plugin import DatasetSpec, hookimpl


@hookimpl
def ltbench_datasets() -> list[DatasetSpec]:
    """The bundled data set, those of the papers, and a user's own photographs."""
    return [
        DatasetSpec(
            name="shapes",
            target="ltbench.data.shapes.dataset:open_shapes",
            summary="20 everyday objects in rendered scenes, with captions; made on first use",
            licence="MIT (rendered by ltbench)",
            size="65 MB on disk, about 30 s to render",
            status="ltbench.data.shapes.dataset:shapes_status",
        ),
        DatasetSpec(
            name="voc2007",
            target="ltbench.data.formats.voc:open_voc2007",
            summary="Pascal VOC 2007: 9,963 photographs, 20 classes; test is annotated",
            licence="photographs under Flickr's terms of use; annotations free for research",
            size="0.9 GB",
            status="ltbench.data.formats.voc:voc2007_status",
            pieces="ltbench.data.getting.archives:voc2007",
        ),
        DatasetSpec(
            name="voc2012",
            target="ltbench.data.formats.voc:open_voc2012",
            summary="Pascal VOC 2012: 11,540 annotated photographs (train, val), 20 classes",
            licence="photographs under Flickr's terms of use; annotations free for research",
            size="2 GB",
            status="ltbench.data.formats.voc:voc2012_status",
            pieces="ltbench.data.getting.archives:voc2012",
        ),
        DatasetSpec(
            name="coco2014",
            target="ltbench.data.formats.coco:open_coco2014",
            summary="MS-COCO 2014: 82,783 and 40,504 photographs, 80 classes, captions",
            licence="photographs under Flickr's terms of use; annotations CC BY 4.0",
            size="21 GB",
            status="ltbench.data.formats.coco:coco2014_status",
            pieces="ltbench.data.getting.archives:coco2014",
        ),
        DatasetSpec(
            name="coco2017",
            target="ltbench.data.formats.coco:open_coco2017",
            summary="MS-COCO 2017: 118,287 and 5,000 photographs, 80 classes, captions",
            licence="photographs under Flickr's terms of use; annotations CC BY 4.0",
            size="20 GB",
            status="ltbench.data.formats.coco:coco2017_status",
            pieces="ltbench.data.getting.archives:coco2017",
        ),
        DatasetSpec(
            name="nus-wide",
            target="ltbench.data.formats.nus_wide:open_nus_wide",
            summary="NUS-WIDE: 269,648 photographs, 81 checked concepts and 925 tags of Flickr's users",
            licence="for research only; photographs under Flickr's terms of use",
            size="about 10 GB, and 0.6 GB of tags",
            status="ltbench.data.formats.nus_wide:nus_wide_status",
            pieces="ltbench.data.getting.archives:nus",
        ),
        DatasetSpec(
            name="vg-200",
            target="ltbench.data.formats.vg200:open_vg200",
            summary="Visual Genome, 92,904 photographs, 200 classes whose names were never published",
            licence="CC BY 4.0",
            size="15 GB",
            status="ltbench.data.formats.vg200:vg200_status",
            pieces="ltbench.data.getting.archives:vg_200",
        ),
        DatasetSpec(
            name="cub",
            target="ltbench.data.formats.cub:open_cub",
            summary="CUB-200-2011: 11,788 photographs of birds, 312 attributes",
            licence="for non-commercial research and education",
            size="1.2 GB",
            status="ltbench.data.formats.cub:cub_status",
            pieces="ltbench.data.getting.archives:cub_200_2011",
        ),
        DatasetSpec(
            name="folder",
            target="ltbench.data.own.folder:open_rooted",
            summary="your own photographs and labels: ltbench task new NAME --images DIR --labels labels.csv",
            licence="yours",
            size="your photographs stay where they are",
            status="ltbench.data.own.folder:folder_status",
        ),
    ]
