"""What several families share: metrics, licences, reasons, and files that authors released."""

from __future__ import annotations

from typing import Literal

from ltbench.tasks.task import PublishedFile

METRICS = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1")
#: COMIC prints the recall of its own logits, which are no probabilities.
METRICS_PLT = (*METRICS, "OR_half")
#: LMPT scores the softmax over classes, DistributionBalancedLoss and DR the logits; both are reported.
METRICS_LT = ("mAP", "mAP_softmax", "CP", "CR", "CF1", "OP", "OR", "OF1")
#: Papers that leave out test images without a judged class report @3; theirs is a second figure, which never ranks.
FILTERED = ("F1@3_filtered", "P@3_filtered", "R@3_filtered")
METRICS_ZERO_SHOT = ("F1@3", "P@3", "R@3", "F1@5", "P@5", "R@5", "mAP", *FILTERED)

VOC_LICENCE = "photographs under Flickr's terms of use; annotations free for research"
COCO_LICENCE = "photographs under Flickr's terms of use; annotations CC BY 4.0"
NUS_LICENCE = "for research only; photographs under Flickr's terms of use"
CUB_LICENCE = "for non-commercial research and education"
VG_LICENCE = "CC BY 4.0"
_NOT_PASSED_ON = "fetched from the authors' repository, not passed on"
#: What the repositories say of their terms, at the pinned commits: in a LICENSE file (SPLC) or the README (DB).
_LICENCES = {
    "DB": 'no licence file; the README restricts use to "non-commercial research and educational purposes"',
    "SPLC": "MIT (OPPO LLC)",
}
_NO_LICENCE = "none stated"

_REPOSITORIES = {
    "LMPT": "richard-peng-xia/LMPT@aab39caca28362bfb9d9340f9c8a5cd75614e130",
    "DB": "wutong16/DistributionBalancedLoss@14460d0acda6a3e77a8a6a5999b9746243cb1535",
    "COMIC": "wannature/COMIC@1de14e5cfb20b974e01faa2554c56a3348626c37",
    "HSPNet": "jameslahm/HSPNet@d3467c907745128ca94bda6a99c04616f37ca28a",
    "SPLC": "xinyu1205/robust-loss-mlml@dcfa4d54bcca43fba3632ec9d21d8bfabef1f6dd",
    "SSGRL": "HCPLab-SYSU/SSGRL@ea47ccb2cf55ff37c5a91fc5a6974bdbc9ab6679",
}


def published(
    repository: str,
    path: str,
    sha256: str | None,
    size: int | None,
    role: Literal["train", "test", "observed", "captions", "validation"],
    use: Literal["defines", "checks"] = "defines",
    labels: bool = False,
    unpinned: str = "",
) -> PublishedFile:
    """A file of one of the authors' repositories, at its pinned commit."""
    return PublishedFile(
        role=role,
        use=use,
        labels=labels,
        name=path.rpartition("/")[2],
        origin=f"github:{_REPOSITORIES[repository]}:{path}",
        sha256=sha256,
        size=size,
        licence=f"{_LICENCES.get(repository, _NO_LICENCE)}; {_NOT_PASSED_ON}",
        unpinned=unpinned,
    )


#: Of masks whose keys anybody can compute; docs/explanation/two-phases.md has the shares that this reveals.
PUBLIC_MASK_TRAP = (
    "masks are a public function of the image's id: a method that computes it can tell many absent labels from hidden "
    "ones for certain, and its row would not say so"
)

COCO_UNPINNED = "the official COCO annotation files were not at hand when this version was pinned"
NUS_UNPINNED = "the official NUS-WIDE files were not at hand when this version was pinned"


def unpinned(reason: str, *names: str) -> dict[str, str]:
    """The same reason for several fingerprints."""
    return dict.fromkeys(names, reason)
