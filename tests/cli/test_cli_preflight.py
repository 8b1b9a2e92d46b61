"""The command that people type first says all that it needs at once, and touches nothing while it does."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from ltbench.data.getting.reach import silent
from ltbench.engine import whole as flight
from tests.cli.conftest import Cli
from tests.cli.test_cli_startup import HEAVY, WATCH

VOC = ("run", "--task", "voc-lt", "--method", "lmpt")
MISSING = ["weights of clip-rn50", "voc_lt_captions.txt", "VOCtrainval_11-May-2012.tar", "VOCtest_06-Nov-2007.tar"]
TIMM = "timm:test_resnet.r160_in1k"
MICRO = ("run", "--task", "shapes-micro", "--method", "linear-probe-lbfgs", "--backbone", TIMM)


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has nothing."""
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args, **kwargs: None)
    # --offline sets them for the process.
    for name in ("LTBENCH_MIRROR", "LTBENCH_OFFLINE", "LTBENCH_DATA", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def listed(err: str) -> list[str]:
    return [line.strip().partition(" (")[0] for line in err.splitlines() if line.startswith("  ")]


def test_offline_all_that_is_missing_is_one_message_without_torch(process: Cli, empty: Path) -> None:
    said = process(*VOC, "--offline", python=("-c", WATCH))
    *lines, error, modules = said.err.splitlines()
    assert said.code == 2
    assert listed("\n".join(lines)) == MISSING
    assert all("https://" in line and "in a mirror: " in line for line in lines)
    assert error.startswith(
        "error: lmpt on voc-lt cannot start: 4 things that it needs are not here, and the network is"
    )
    assert "→ ltbench data bundle voc-lt --backbone clip-rn50 --out DIR where there is a network" in error
    assert set(modules.split("|")) & HEAVY == set()
    assert not (empty / "cache").exists()


def test_without_a_network_the_reason_is_told_whole(cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "Failed to resolve the name " + "x" * 300
    monkeypatch.setattr(flight, "silent", lambda asked: {each.split("/")[2]: why for each in asked})
    said = cli(*VOC)
    assert said.code == 2
    assert listed(said.err) == MISSING
    assert f"no network answers: openaipublic.azureedge.net: {why}; huggingface.co: {why}; " in said.err
    assert not (empty / "cache").exists()


def test_a_silent_host_is_given_up(empty: Path) -> None:
    # Nothing listens on the discard port of this machine.
    assert silent(["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]) == {"127.0.0.1:9": "Connection refused"}


def test_what_has_to_be_got_by_hand_is_said_before_anything_is_downloaded(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flight, "silent", lambda asked: {})
    said = cli("run", "--task", "zsl-nus", "--method", "dualcoop")
    assert said.code == 2
    assert "and 4 of them have to be got by hand" in said.err
    assert "ask at https://lms.comp.nus.edu.sg/" in said.err
    assert not (empty / "cache").exists()


def test_too_little_disk_is_said_before_anything_is_downloaded(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(flight, "silent", lambda asked: {})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**12, 0, 3 * 10**9))
    said = cli(*VOC)
    assert said.code == 2
    assert "lmpt on voc-lt needs 4.7 GB on the disk of" in said.err
    assert "where 3.0 GB are free; nothing was downloaded" in said.err
    assert not (empty / "cache").exists()


def test_a_dry_run_touches_nothing(cli: Cli, empty: Path) -> None:
    said = cli(*VOC, "--dry-run", "--json")
    assert said.code == 0, said.err
    (plan,) = json.loads(said.out)
    assert [each["name"] for each in plan["missing"]] == MISSING
    assert plan["backbone"] == "clip-rn50"
    assert plan["why_backbone"] == "of preset voc-lt: published(Table 1, LMPT)"
    assert plan["expected"] is None
    assert [room["what"] for room in plan["disk"] if room["needed"] > 2 * 10**9] == ["data", "cache"]
    said = cli("run", "--task", "shapes-lt", "--method", "lmpt", "--dry-run")
    assert said.err.startswith("lmpt on shapes-lt, tiny-clip (of preset shapes: ")
    assert "epochs" in said.out
    assert list(empty.iterdir()) == []


CAPTIONS, DRAWN = "coco_lt_captions.txt", "coco_train_singlelabel.txt"


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        (("run", "--method", "dr"), set()),
        (("run", "--method", "dr", "--selection", "validation"), {DRAWN}),
        (("run", "--method", "lmpt"), {CAPTIONS}),
        (("run", "--method", "lmpt", "-o", "use_cse=false"), set()),
        (("tune", "--method", "dr", "--trials", "1"), {DRAWN}),
    ],
)
def test_a_run_asks_only_for_lists_that_it_uses(cli: Cli, what: tuple[str, ...], wanted: set[str]) -> None:
    said = cli(*what, "--task", "coco-lt", "--offline")
    assert said.code == 2
    lists = {name for name in listed(said.err) if name.endswith(".txt")}
    assert lists == {"coco_lt_train.txt", "coco_lt_test.txt"} | wanted


def test_the_first_line_says_a_size_that_is_an_option_of_the_method(cli: Cli) -> None:
    said = cli("run", "--task", "partial-coco@p50", "--method", "ssgrl", "--offline", "--dry-run")
    assert ", images of 448 x 448, seed 0" in said.err.splitlines()[0]
    said = cli("run", "--task", "partial-coco@p50", "--method", "ssgrl", "-o", "image_size=null", "--dry-run")
    assert "images of" not in said.err.splitlines()[0]


def test_a_bundle_carries_weights_to_a_run_without_a_network(
    cli: Cli, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    from ltbench.backbones.released import released_of

    told = released_of(TIMM)
    assert told is not None
    kept = empty / "kept.safetensors"
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=1000).state_dict(), kept)
    with monkeypatch.context() as where:
        where.setattr(
            "huggingface_hub.try_to_load_from_cache",
            lambda repository, name: str(kept) if name == "model.safetensors" else None,
        )
        said = cli("data", "bundle", "shapes-micro", "--backbone", TIMM, "--out", "stick", "--offline")
    assert said.code == 0, said.err
    assert (empty / "stick" / told.places[0].layout).read_bytes() == kept.read_bytes()
    assert told.places[0].layout in (empty / "stick" / "SHA256SUMS").read_text()
    assert "Use it: LTBENCH_MIRROR=stick ltbench run --task shapes-micro --offline" in said.out
    monkeypatch.setenv("LTBENCH_CACHE", str(empty / "other"))
    said = cli(*MICRO, "--offline")
    assert said.code == 2
    assert listed(said.err) == [
        f"weights of {TIMM}: {told.places[0].origin} or {told.places[1].origin}; in a mirror: {told.places[0].layout}"
    ]
    monkeypatch.setenv("LTBENCH_MIRROR", "stick")
    said = cli(*MICRO, "--offline", "--json")
    assert said.code == 0, said.err
    assert f"  to bring: weights of {TIMM}, from the mirror" in said.err
    assert "nobody knows how long" in said.err
    (run,) = json.loads(said.out)
    assert run["record"]["backbone"]["weights"] == "r160_in1k"
    # What one run took is what the next is said to take; the weights are here now.
    monkeypatch.delenv("LTBENCH_MIRROR")
    (plan,) = json.loads(cli(*MICRO, "--dry-run", "--json").out)
    assert (plan["finished"], plan["missing"], plan["expected"]["runs"]) == (True, [], 1)
    assert plan["expected"]["source"] == "on this machine, in ltbench-runs"
    assert plan["expected"]["train_seconds"] == run["record"]["cost"]["train_seconds"]
    (other,) = json.loads(cli(*MICRO, "--seed", "1", "--dry-run", "--json").out)
    assert (other["finished"], other["expected"]["runs"]) == (False, 1)


def test_records_that_are_shipped_name_their_machine(cli: Cli) -> None:
    said = cli("run", "--task", "shapes-lt", "--method", "zero-shot", "--dry-run")
    line = next(line for line in said.err.splitlines() if line.startswith("  takes "))
    assert line.startswith("  takes about ")
    assert ", as " in line
    assert line.endswith(", in the times that ltbench ships")
