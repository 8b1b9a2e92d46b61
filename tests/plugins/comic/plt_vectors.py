"""Golden vectors of COMIC's release: which test meets which, and a reader that misses no array of a case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[np.float64]

SIZES = ("B4_C6", "B8_C20", "B32_C80")
CASES: dict[str, tuple[str, ...]] = {
    "mfm": (
        *(f"f64_{size}_s{seed}" for size in SIZES for seed in (0, 2)),
        "edge_attention_zeros",
        "edge_row_no_positive",
        "edge_saturated_50",
        "edge_all_right_50",
        "edge_zero_count_class",
    ),
    "mfm_multigrained": ("f64_B4_C6", "f64_B32_C80"),
    "rlc": (
        "f64_B4_C6_s0",
        "f64_B32_C20_s0",
        "f64_B32_C80_s0",
        "f32_B32_C80",
        "edge_epoch_goes_back",
        "edge_no_positive_no_correction",
        "edge_identical_rows",
        "edge_float_labels",
    ),
    "htb": (*(f"f64_{size}_s0" for size in SIZES), "edge_head_eq_tail", "edge_peaked"),
    "plain_losses": (
        *(
            f"{loss}_{case}"
            for loss in ("hill", "focal", "asl", "bce")
            for case in ("f64_B4_C6", "f64_B32_C80", "edge_sat120_f32", "edge_zeros")
        ),
        "asl_classdefault_gammapos1",
    ),
    "partial_asl": (
        "upstream_cli_default_B4_C6",
        "upstream_cli_default_B32_C80",
        "readme_selective_fpc_B8_C20",
        "readme_selective_oi_B4_C6",
        "readme_selective_oi_B32_C80",
        "ignore_B8_C20",
        "ignore_norm_B4_C6",
        "ignore_norm_B32_C80",
        "negative_clip_B8_C20",
        "mode_none_B4_C6",
        "mode_none_B32_C80",
        "binary_labels_no_unannotated",
    ),
    "classifiers": (
        *(
            f"{kind}_{case}"
            for case in (
                "B4_C6_d8_heads1_alpha2",
                "B4_C6_d8_heads2_alpha2",
                "B8_C20_d32_heads4_alpha2",
                "B8_C80_d64_heads1_alpha2",
                "B4_C6_d8_heads1_alpha3",
            )
            for kind in ("head", "causal")
        ),
        *(f"{kind}_edge_{edge}" for kind in ("head", "tail") for edge in ("embed_zero", "x_parallel_embed")),
        "head_logsoftmax_features",
        "cosine_baseline",
    ),
    "attention": ("B3_d8_h8", "B8_d32_h32"),
    "moving_vector": ("T1_B4_d8", "T60_B4_d8"),
    "metrics": ("N50_C6", "N300_C80", "edge_ties_small", "edge_boundaries", "recall_s0"),
    "db_loss": ("coco_focal1", "voc_focal1"),
    "train_step": ("HEAD_heads1", "REVERTED_noirm_heads1"),
    "lr_schedule": ("coco_resnet50_plt",),
    "paper_formulas": ("eq5_6_0", "eq5_6_2", "eq2_3_rlc_1", "eq9_10_1", "eq11_0"),
}
"""All cases by file; the tests of a file run over its list."""

WHERE: dict[str, str] = {
    **dict.fromkeys(
        ("mfm", "mfm_multigrained", "rlc", "htb", "classifiers", "attention", "moving_vector"),
        "tests/plugins/comic/test_comic_golden.py",
    ),
    **dict.fromkeys(("train_step", "lr_schedule"), "tests/plugins/comic/test_comic_training.py"),
    "paper_formulas": "tests/plugins/comic/test_comic_paper.py",
    **dict.fromkeys(("plain_losses", "partial_asl", "db_loss"), "tests/plugins/comic/test_plain_golden.py"),
    "metrics": "tests/metrics/test_reference.py",
}
"""The test module that meets a file's cases."""

LEFT_OUT: dict[str, str] = {
    "paper_formulas/eq9_10_1/z_hat_head_literal_e": "the moving vector not normalised: not the reading taken",
    "paper_formulas/eq9_10_1/z_hat_tail_literal_e": "the moving vector not normalised: not the reading taken",
    "train_step/*/step*.htb_loss": "nan in HEAD, which calls no balancer",
}
"""Arrays that no test meets, and why."""


@contextmanager
def arrays(shared: Path, file: str, case: str, *, but: tuple[str, ...] = ()) -> Iterator[Mapping[str, Array]]:
    """The arrays of a case by name; at the end all must have been looked at, except those named in `but`."""
    folder = shared / "golden" / "plt"
    with np.load(folder / f"{file}.npz") as archive:
        found = {name.split("/", 1)[1]: archive[name] for name in archive.files if name.split("/", 1)[0] == case}
    seen: set[str] = set(but)

    class Watched(dict[str, Array]):
        def __getitem__(self, name: str) -> Array:
            seen.add(name)
            return super().__getitem__(name)

    yield Watched(found)
    assert seen >= set(found), f"{file}/{case}: not looked at: {sorted(set(found) - seen)}"


def tensor(array: Array, grad: bool = False) -> Tensor:
    """A tensor of an array's own type."""
    return torch.from_numpy(np.array(array)).requires_grad_(grad)


def close(actual: Tensor, expected: Array, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Equal to a relative tolerance; the absolute one is a share of the largest entry, and at least a share of 1e-6.

    Class weights of the release are float32 values, so 1e-6 is all that float64 results agree to.
    """
    wanted = np.asarray(expected, dtype=np.float64)
    scale = max(1e-6, float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)))
    np.testing.assert_allclose(actual.detach().double().numpy(), wanted, rtol=rtol, atol=atol * scale)
