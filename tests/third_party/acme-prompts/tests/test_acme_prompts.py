"""ltbench's conformance kit, and a run that has to learn."""

import json

import ltbench


def test_the_contract(ltbench_check):
    ltbench_check("acme-prompts")


def test_it_runs_and_learns(tmp_path):
    (done,) = ltbench.run("shapes-micro", "acme-prompts", out=tmp_path)
    assert done.record.status == "completed", done.record.reason
    assert done.record.scores["mAP"]["total"] > 60  # percent; a constant gives about 45
    lines = [json.loads(line) for line in (done.folder / "log.jsonl").read_text().splitlines()]
    losses = [line["total"] for line in lines if "total" in line]
    assert losses[-1] < 0.9 * losses[0]


def test_the_preset_is_taken():
    from ltbench.method.config import load_presets
    from ltbench.plugin.manager import registry

    (preset,) = load_presets(registry().methods.get("acme-prompts").spec)
    assert preset.tasks == ("shapes-lt",)
