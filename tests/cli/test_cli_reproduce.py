"""``ltbench reproduce`` as people type it, on records whose figures are worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from records import builders as b

from ltbench.backbones.registry import own_size
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.plugin.manager import registry
from ltbench.records.environment import cpu_model
from ltbench.records.record import RunRecord
from ltbench.report.papers.book import find
from ltbench.report.papers.needs import missing_data
from ltbench.report.papers.pages import FOLDER, stale_pages, write_pages
from ltbench.report.papers.runs import planned
from ltbench.tasks.registry import load_task
from ltbench.testing.task_trees import make_task_tree
from tests.cli.conftest import Cli
from tests.cli.test_cli_startup import HEAVY, WATCH

BOARDS = Path(__file__).resolve().parents[2] / "leaderboards"


def record(address: str, method: str, preset: str, backbone: str, seed: int, scores: Any, **changes: Any) -> RunRecord:
    """A record of the run that a preset makes, with given scores."""
    task = load_task(address)
    options = changes.pop("options", {})
    made = resolve_method(RunRequest(task, method, backbone, preset=preset, overrides=options))
    weights = changes.pop("weights", "openai")
    facts = {"config": made.config.model_dump(mode="json"), "preset": preset, "origin": made.origin}
    return b.record(
        task=b.task_facts(b.task(name=task.name, setting=task.setting)),
        method=b.method_facts(name=method, variant=made.variant, **facts),
        backbone=b.backbone_facts(name=backbone, weights=weights, image_size=made.image_size or own_size(backbone)),
        seed=seed,
        scores=scores,
        intervals={metric: dict.fromkeys(subsets, None) for metric, subsets in scores.items()},
        **changes,
    )


def lay(folder: Path, *records: RunRecord) -> Path:
    folder.joinpath("records").mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(records, len(list(folder.joinpath("records").iterdir()))):
        folder.joinpath("records", f"{number}.json").write_text(each.to_json(), encoding="utf-8")
    return folder


def lmpt(seed: int, total: float, **changes: Any) -> RunRecord:
    """LMPT on VOC-LT: its ranked mAP is another than the softmax's, which the paper prints."""
    scores = {"mAP": {"total": 40.0}, "mAP_softmax": {"total": total, "head": 60.0, "medium": 88.0 + seed}}
    return record("voc-lt", "lmpt", "voc-lt", "clip-rn50", seed, scores, **changes)


def cells(said: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {
        (row["row"], figure["task"], figure["subset"]): figure
        for table in json.loads(said)
        for row in table["rows"]
        for figure in row["figures"]
    }


def test_three_figures_a_cell(cli: Cli, tmp_path: Path) -> None:
    folder = lay(tmp_path / "at-hand", lmpt(0, 85.0), lmpt(1, 85.2), lmpt(2, 85.4))
    row = "lmpt:table1/lmpt-rn50"
    said = cli("reproduce", row, "--records", str(folder), "--json")
    found = cells(said.out)
    total = found[row, "voc-lt", "total"]
    # Student's t for two degrees of freedom is 4.3027; the standard deviation is 0.2.
    assert total["published"] == 85.44
    assert total["measured"] == pytest.approx(85.2)
    assert total["half_width"] == pytest.approx(4.3027 * 0.2 / 3**0.5, abs=1e-3)
    assert total["difference"] == pytest.approx(-0.24)
    assert not total["outside"]
    assert found[row, "voc-lt", "head"]["outside"], "three times 60.00, printed 66.62"
    assert found[row, "voc-lt", "tail"]["measured"] is None
    assert found[row, "coco-lt", "total"]["measured"] is None
    page = cli("reproduce", row, "--records", str(folder), "--format", "md").out
    assert "85.44 / 85.20 ± 0.50 / -0.24 |" in page
    assert "66.62 / 60.00 ± 0.00 / -6.62 ◆ |" in page
    assert "97.86 / – / – |" in page
    assert "metric (lmpt-rn50): mAP as the paper computes it is mAP_softmax here" in page
    assert "selection (lmpt-rn50): the paper does not say which epoch counts, and its release picks" in page
    table = cli("reproduce", row, "--records", str(folder), "--tasks", "voc-lt").out
    assert "85.20 ± 0.50" in table
    assert "coco-lt" not in table


def test_a_curve_is_a_table_and_a_picture(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    said = cli("reproduce", "lmpt:fig7", "--records", "none", "--plots", "plots", "--json")
    assert cells(said.out)["lmpt:fig7/lambda-0.5", "voc-lt", "total"]["published"] == 87.88
    assert cells(said.out)["lmpt:fig7/lambda-0.1", "voc-lt", "total"]["published"] is None
    assert said.err == f"wrote {Path('plots', 'lmpt-fig7.svg')}\n"
    assert "weight lambda of the classification loss" in (tmp_path / "plots" / "lmpt-fig7.svg").read_text("utf-8")
    said = cli("reproduce", "dr:table5", "--records", "none", "--plots", "plots", "--json")
    assert "note: dr:table5 has no plot: it has no axis" in said.err
    said = cli("reproduce", "dr:fig3")
    assert said.code == 2
    assert said.err.startswith("error: dr:fig3 cannot be made again: it draws the gradients of the losses")


def test_only_runs_of_the_row_count(cli: Cli, tmp_path: Path) -> None:
    """Another learning rate is another row; random weights and few rows are shown where nothing else is, and said."""
    row = "lmpt:table1/lmpt-rn50"
    folder = lay(tmp_path / "at-hand", lmpt(0, 50.0, options={"lr": 0.1}))
    assert cells(cli("reproduce", row, "--records", str(folder), "--json").out)[row, "voc-lt", "total"]["seeds"] == []
    lay(folder, lmpt(0, 20.0, weights="random", limit=32))
    said = cli("reproduce", row, "--records", str(folder), "--json").out
    assert cells(said)[row, "voc-lt", "total"]["measured"] == 20.0
    differs = json.loads(said)[0]["rows"][0]["differs"]
    assert "random weights" in differs["weights"]
    assert "32 training rows" in differs["rows"]
    assert "one seed" in differs["seeds"]
    lay(folder, lmpt(3, 84.0))
    total = cells(cli("reproduce", row, "--records", str(folder), "--json").out)[row, "voc-lt", "total"]
    assert (total["measured"], total["seeds"], total["half_width"], total["outside"]) == (84.0, [3], None, False)


def test_an_average_needs_all_that_it_is_over(cli: Cli, tmp_path: Path) -> None:
    shares = [f"p{share}" for share in range(10, 100, 10)]
    made = [
        record(
            f"partial-voc2007@{share}", "dualcoop", "voc2007", "clip-rn101", seed, {"mAP": {"total": 80.0 + n + seed}}
        )
        for n, share in enumerate(shares)
        for seed in (0, 1)
    ]
    row = "dualcoop:table1/dualcoop"
    folder = lay(tmp_path / "at-hand", *made[:-1])
    figures = json.loads(cli("reproduce", row, "--records", str(folder), "--json").out)[0]["rows"][0]["figures"]
    by_setting = {(f["task"], f["setting"], f["metric"]): f for f in figures}
    assert by_setting["partial-voc2007", "avg", "mAP"]["seeds"] == [0], "p90 has one seed"
    lay(folder, made[-1])
    figures = json.loads(cli("reproduce", row, "--records", str(folder), "--json").out)[0]["rows"][0]["figures"]
    by_setting = {(f["task"], f["setting"], f["metric"]): f for f in figures}
    assert by_setting["partial-voc2007", "avg", "mAP"]["measured"] == pytest.approx(84.5)
    assert by_setting["partial-voc2007", "p30", "mAP"]["measured"] == pytest.approx(82.5)
    assert by_setting["partial-voc2007", "", "params_M"]["measured"] == 2048 / 1e6


def test_a_plan_is_what_sweep_runs(cli: Cli, tmp_path: Path) -> None:
    found = planned([find("lmpt:table1")])
    runs = sum(1 if registry().methods.get(run.method).spec.deterministic else 2 for run in found)
    assert runs < 2 * len(found), "zero-shot classification has no seed"
    assert runs >= 40, "what runs on CLIP, on two data sets, with two seeds"
    written = cli("reproduce", "lmpt:table1", "--plan", "plan.yaml", "--seeds", "0,7", "--weights", "random")
    assert f"wrote plan.yaml: {runs} runs → ltbench sweep --plan plan.yaml" in written.out
    plan = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))
    assert (plan["seeds"], plan["weights"]) == ([0, 7], "random")
    lines = cli("sweep", "--plan", "plan.yaml", "--dry-run").out.splitlines()
    assert len(lines) == len(set(lines)) == runs
    assert "voc-lt lmpt [voc-lt clip-rn50] seed 7" in lines
    assert "coco-lt lmpt [coco-lt clip-vit-b16] seed 0" in lines
    assert not [line for line in lines if line.startswith("coco-lt lmpt [voc-lt")]


def test_a_plan_of_shares_is_what_sweep_runs(cli: Cli) -> None:
    assert "wrote plan.yaml: 18 runs" in cli("reproduce", "hspnet:fig3", "--plan", "plan.yaml", "--seeds", "0").out
    lines = cli("sweep", "--plan", "plan.yaml", "--dry-run").out.splitlines()
    named, epoch = "spml-coco@largeloss hspnet [coco-largeloss clip-rn50", "selection validation validation clean"
    shares = ("0.1", "0.2", "0.4", "0.6", "0.8")
    expected = [*(f"{named} share {share} {epoch}] seed 0" for share in shares), f"{named} {epoch}] seed 0"]
    assert [line for line in lines if " hspnet " in line] == expected


def test_the_list_says_what_each_table_needs(cli: Cli, tmp_path: Path) -> None:
    lay(tmp_path / "at-hand", lmpt(0, 85.0))
    document = json.loads(cli("reproduce", "--tasks", "voc-lt", "--records", "at-hand", "--json").out)
    tables = {entry["table"]: entry for entry in document}
    assert tables["lmpt:table9"]["tasks"] == {"voc-lt": False}
    assert tables["lmpt:table9"]["backbones"] == {"clip-rn50": False}
    assert tables["lmpt:table9"]["seconds"] is None
    assert tables["lmpt:table9"]["runs_of_known_cost"] == 1
    assert "lmpt:table9/tai-dpt" in tables["lmpt:table9"]["rows"]
    assert "dualcoop:table1" not in tables
    text = cli("reproduce", "--tasks", "voc-lt", "--records", "at-hand").out
    assert "unknown (1 of 5 runs are)" in " ".join(text.split())


def test_only_lists_that_runs_read_keep_data_from_being_here(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DR reads no captions, so that their list is not missing for its tables; LMPT reads them."""
    tree = make_task_tree("coco-lt", tmp_path / "data", seed=1)
    lists = {file.role: file.source.layout for file in load_task("coco-lt").published if file.use == "defines"}
    for role in ("train", "test"):
        path = tmp_path / "mirror" / lists[role]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))

    def here() -> dict[str, bool]:
        missing_data.cache_clear()
        said = cli("reproduce", "--tasks", "coco-lt", "--data-root", str(tree.root), "--json").out
        return {entry["table"]: entry["tasks"]["coco-lt"] for entry in json.loads(said)}

    found = here()
    assert {found[f"dr:table{number}"] for number in range(1, 7)} == {True}
    assert not found["lmpt:table1"]
    (tmp_path / "mirror" / lists["captions"]).write_text("", encoding="utf-8")
    assert here()["lmpt:table1"]
    (tmp_path / "mirror" / lists["train"]).unlink()
    assert set(here().values()) == {False}


@pytest.mark.parametrize(
    ("address", "nearest"),
    [
        ("lmpt:tabel1", "did you mean 'lmpt:table1'"),
        ("lmpt:table1/lmpt-rn5", "did you mean 'lmpt-rn50'"),
        ("lmtp:fig6", "did you mean 'lmpt:fig6'"),
    ],
)
def test_an_unknown_table_or_row_names_the_nearest(cli: Cli, address: str, nearest: str) -> None:
    said = cli("reproduce", address)
    assert said.code == 2
    assert nearest in said.err


def test_what_is_missing_is_listed_at_once_each_thing_once(process: Cli) -> None:
    said = process("reproduce", "lmpt:table1", "--offline", python=("-c", WATCH))
    assert said.code == 2
    *lines, error, modules = said.err.splitlines()
    assert set(modules.split("|")) & HEAVY == set()
    things = [line.strip().partition(" (")[0] for line in lines if "in a mirror: " in line]
    assert len(things) == len(set(things)) == 12
    assert {"weights of clip-rn50", "weights of clip-vit-b16", "train2017.zip", "VOCtest_06-Nov-2007.tar"} < set(things)
    assert [line.strip() for line in lines if line.startswith("  bring: ")] == [
        f"bring: ltbench data bundle {task} --backbone timm:resnet50.tv_in1k --backbone clip-rn50"
        " --backbone clip-vit-b16 --out DIR"
        for task in ("voc-lt", "coco-lt")
    ]
    assert error.startswith("error: lmpt:table1 cannot start: 12 things that it needs are not here, and the network is")


def test_a_dry_run_says_what_all_runs_lack_and_take(cli: Cli, tmp_path: Path) -> None:
    said = cli("reproduce", "dr:fig4ab", "--tasks", "voc-lt", "--seeds", "0", "--dry-run", "--json")
    document = json.loads(said.out)
    assert (document["runs"], document["recorded"], document["runs_of_unknown_time"]) == (10, 0, 10)
    assert "VOCtrainval_11-May-2012.tar" in [each["name"] for each in document["missing"]]
    assert said.err.startswith("dr:fig4ab: 10 runs\n  to bring: ")
    assert "takes nobody knows how long" in said.err
    # What one seed took on this machine is what the others are said to take.
    made = record("voc-lt", "dr", "c-lsep-g5", "timm:resnet50.tv_in1k", 0, {"mAP": {"total": 70.0}})
    made = made.model_copy(update={"environment": made.environment.model_copy(update={"machine": cpu_model()})})
    place = tmp_path / "ltbench-runs" / "voc-lt" / "dr" / "key" / "attempt-1"
    place.mkdir(parents=True)
    (place / "record.json").write_text(made.to_json(), encoding="utf-8")
    took = made.cost.encode_seconds + made.cost.train_seconds + made.cost.evaluate_seconds
    document = json.loads(cli("reproduce", "dr:fig4ab/gamma1-5", "--tasks", "voc-lt", "--dry-run", "--json").out)
    assert (document["runs"], document["recorded"], document["runs_of_unknown_time"]) == (3, 1, 0)
    assert document["seconds"] == pytest.approx(2 * took)


def test_rows_that_cannot_be_run_say_why(cli: Cli) -> None:
    said = cli("reproduce", "dualcoop:table6/attention-448-tuned")
    assert said.code == 2
    assert "the image tower is fine-tuned, which the recipe does not do" in " ".join(said.out.split())
    rows = cli("reproduce", "dualcoop:table6", "--dry-run").out
    assert "dualcoop:table6/attention-448-tuned\n  partial-coco@p10: not run: the image tower" in rows
    assert "dualcoop, variant code, preset table6-attention-224, clip-rn101" in " ".join(rows.split())


def test_every_row_of_lmpt_that_runs_on_clip_is_covered(cli: Cli) -> None:
    """Table 7's epochs of fine-tuning are one preset with another number of epochs, since its rate is constant."""
    rows = " ".join(cli("reproduce", "lmpt:table7", "lmpt:table9", "--dry-run").out.split())
    assert "not run" not in rows
    for epoch in range(1, 6):
        assert f"full-fine-tuning, variant paper, preset lmpt-table-7, clip-vit-b16 -o epochs={epoch}" in rows
    for recipe in ("tai-dpt, variant paper, preset voc-lt", "dualcoop, variant code, preset lmpt-table-1"):
        assert f"{recipe}, clip-rn50" in rows


def test_the_committed_pages_are_current(cli: Cli) -> None:
    said = cli("reproduce", "--check", "--boards", str(BOARDS))
    assert said.code == 0, said.out
    assert said.out == "The pages are what records and presets give.\n"


def test_a_page_that_is_not_current_is_named(tmp_path: Path) -> None:
    written = write_pages(tmp_path)
    assert stale_pages(tmp_path) == []
    page = tmp_path / FOLDER / "lmpt.md"
    assert page in written
    text = page.read_text(encoding="utf-8")
    assert "To fill it: `ltbench reproduce lmpt:table1`" in text
    assert max(len(line) for line in text.splitlines()) <= 120
    page.write_text(text.replace("85.44 / –", "85.44 / 85.44"), encoding="utf-8")
    assert stale_pages(tmp_path) == [page]


@pytest.mark.slow
def test_a_row_is_run_and_shown_in_one_command(cli: Cli, tmp_path: Path) -> None:
    """A small COCO in the true format, the row that learns nothing, weights that are drawn."""
    tree = make_task_tree("zsl-coco", tmp_path / "data", seed=1)
    said = cli(
        *("reproduce", "dualcoop:table5/m0", "--data-root", str(tree.root), "--weights", "random", "--limit", "4"),
        *("--seeds", "0", "--jobs", "1", "--json", "--offline"),
    )
    assert said.code == 0, said.err
    (row,) = json.loads(said.out)[0]["rows"]
    measured = {(f["task"], f["metric"]): f["measured"] for f in row["figures"]}
    assert None not in measured.values()
    assert measured["zsl-coco", "params_M"] == 0
    assert {"weights", "rows"} <= set(row["differs"])
    again = cli("reproduce", "dualcoop:table5/m0", "--records", "ltbench-runs", "--json")
    assert again.out == said.out
