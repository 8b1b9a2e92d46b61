"""What the data sets are made of: the official archives, and what nobody may hand on and has to be got by hand.

The owners publish no sha256. Where others who fetched an archive published one, and several of them the same, it is
pinned: those of TensorFlow Datasets (``tensorflow_datasets/url_checksums`` of tensorflow/datasets@333639b: ``voc.txt``,
``coco.txt``, ``caltech_birds2011.txt``), whose sizes are the official ones to the byte and which torchvision's data set
prototypes hold as well. The others say why not; what arrives is noted (see ``ltbench.data.getting.notes``),
labels and rows are pinned by each task's fingerprints, and unpacking checks the checksums and end marks that archives
carry.
"""

from __future__ import annotations

from ltbench.data.formats import cub, nus_wide, vg200
from ltbench.data.formats.coco import coco_layout
from ltbench.data.formats.voc import voc_layout
from ltbench.data.getting.needs import Piece
from ltbench.data.getting.sources import Source, Unpack

NO_HASH = "its owners publish no sha256, and no two others were found to publish the same"

#: Archive → size in bytes and published sha256.
ARCHIVES: dict[str, tuple[int, str | None]] = {
    "VOCtrainval_06-Nov-2007.tar": (
        460_032_000,
        "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
    ),
    "VOCtest_06-Nov-2007.tar": (
        451_020_800,
        "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
    ),
    "VOCtrainval_11-May-2012.tar": (
        1_999_639_040,
        "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
    ),
    "annotations_trainval2014.zip": (
        252_872_794,
        "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
    ),
    "train2014.zip": (13_510_573_713, "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775"),
    "val2014.zip": (6_645_013_297, "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0"),
    "annotations_trainval2017.zip": (
        252_907_541,
        "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
    ),
    "train2017.zip": (19_336_861_798, "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"),
    "val2017.zip": (815_585_330, "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
    "CUB_200_2011.tgz": (1_150_585_339, "0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081"),
    "images.zip": (9_731_705_982, None),
    "images2.zip": (5_471_658_058, None),
}

_VOC = "photographs under Flickr's terms of use; annotations free for research"
_COCO = "photographs under Flickr's terms of use; annotations CC BY 4.0"
_CUB = "for non-commercial research and education"
_VG = "CC BY 4.0"


def _web(url: str, licence: str, unpack: Unpack) -> Source:
    name = url.rpartition("/")[2]
    size, sha256 = ARCHIVES[name]
    return Source(name, url, sha256, size, licence, unpack, "" if sha256 else NO_HASH)


def _voc(year: str, archive: str, parts: tuple[str, ...]) -> Piece:
    lists = tuple((f"ImageSets/Main/{part}.txt",) for part in parts)
    source = _web(f"https://thor.robots.ox.ac.uk/pascal/VOC/voc{year}/{archive}", _VOC, "tar")
    shows = (("JPEGImages",), ("Annotations",), *lists)
    return Piece(archive, voc_layout(year), shows, parts, source, f"VOCdevkit/VOC{year}", licence=_VOC)


def voc2007() -> tuple[Piece, ...]:
    """Two archives: ``trainval`` with ``train`` and ``val``, and ``test``."""
    return (
        _voc("2007", "VOCtrainval_06-Nov-2007.tar", ("train", "val", "trainval")),
        _voc("2007", "VOCtest_06-Nov-2007.tar", ("test",)),
    )


def voc2012() -> tuple[Piece, ...]:
    """One archive; the annotations of ``test`` were never published."""
    return (_voc("2012", "VOCtrainval_11-May-2012.tar", ("train", "val", "trainval")),)


_COCO_PARTS = ("train", "val")


def _coco(year: str) -> tuple[Piece, ...]:
    layout = coco_layout(year)
    labels = f"annotations_trainval{year}.zip"
    host = "http://images.cocodataset.org"
    files = tuple(
        (f"annotations/{what}_{part}{year}.json",) for what in ("instances", "captions") for part in _COCO_PARTS
    )
    return (
        Piece(labels, layout, files, (), _web(f"{host}/annotations/{labels}", _COCO, "zip"), licence=_COCO),
        *(
            Piece(
                f"{part}{year}.zip",
                layout,
                ((f"{part}{year}", f"images/{part}{year}"),),
                (part,),
                _web(f"{host}/zips/{part}{year}.zip", _COCO, "zip"),
                licence=_COCO,
            )
            for part in _COCO_PARTS
        ),
    )


def coco2014() -> tuple[Piece, ...]:
    """Annotations, and the photographs of each part."""
    return _coco("2014")


def coco2017() -> tuple[Piece, ...]:
    """Annotations, and the photographs of each part."""
    return _coco("2017")


def cub_200_2011() -> tuple[Piece, ...]:
    """One archive."""
    url = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
    shows = (("images",), ("images.txt",), ("train_test_split.txt",), ("attributes/image_attribute_labels.txt",))
    source = _web(url, _CUB, "tar")
    return (Piece("CUB_200_2011.tgz", cub.LAYOUT, shows, (), source, "CUB_200_2011", licence=_CUB),)


_SSGRL = "github:HCPLab-SYSU/SSGRL@ea47ccb2cf55ff37c5a91fc5a6974bdbc9ab6679:data/VG"
_LISTS = {
    "train": ("ad461b43d03218d88b1cf3e4bfa09d9b45d22989c604aacdbb255e889e61208b", 983_957),
    "test": ("82454c6b6f78cd3ef9a26c7b86e6c2f2b9dc7147e4d2f39d7aedac9700b4876f", 118_596),
}


def vg_200() -> tuple[Piece, ...]:
    """Two archives of photographs, the lists of SSGRL, and labels that were never published."""
    host = "https://cs.stanford.edu/people/rak248/VG_100K_2"
    photographs = {"VG_100K": "images.zip", "VG_100K_2": "images2.zip"}
    lists = {part: f"{part}_list_500.txt" for part in _LISTS}
    return (
        *(
            Piece(file, vg200.LAYOUT, ((folder,),), (), _web(f"{host}/{file}", _VG, "zip"), licence=_VG)
            for folder, file in photographs.items()
        ),
        *(
            Piece(
                lists[part],
                vg200.LAYOUT,
                ((lists[part],),),
                (part,),
                Source(lists[part], f"{_SSGRL}/{lists[part]}", sha256, size, "none stated"),
                licence="none stated",
            )
            for part, (sha256, size) in _LISTS.items()
        ),
        Piece(
            "vg_category_200_labels_index.json",
            vg200.LAYOUT,
            (("vg_category_200_labels_index.json", "vg_category_500_labels_index.json"),),
            by_hand="it was never published: ask the authors of SSGRL, or somebody who has it, and put it there",
        ),
    )


def nus() -> tuple[Piece, ...]:
    """Everything by hand: the owners ask for a form, and Flickr no longer has all photographs."""
    page = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
    licence = "for research only; photographs under Flickr's terms of use"

    def piece(name: str, *shows: tuple[str, ...], without: tuple[str, ...] = ()) -> Piece:
        return Piece(name, nus_wide.LAYOUT, shows, by_hand=f"ask at {page}", licence=licence, without=without)

    def tags(file: str) -> tuple[str, ...]:
        return (f"NUS_WID_Tags/{file}", f"Tags/{file}", file)

    lists = ("ImageList", "Imagelist", "ImageLists", ".")
    return (
        piece("ImageList", tuple(f"{place}/Imagelist.txt" for place in lists)),
        piece("Groundtruth", ("Groundtruth/AllLabels", "AllLabels", "GroundTruth/AllLabels")),
        piece("NUS_WID_Tags", tags("AllTags1k.txt"), tags("TagList1k.txt"), without=(nus_wide.CONCEPTS_ONLY,)),
        piece("Flickr", ("Flickr", "images", "Images", "image")),
    )
