from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ltbench.records.canonical import canonical_json, find_path, without_paths
from ltbench.records.environment import collect_environment, cpu_model, is_one_processor
from ltbench.records.record import RunRecord, document_sha256, key_of, run_key, schema_text, seal, utc_now
from records import builders as b

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "record.schema.json"


def test_committed_schema_is_current() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize(
    "record", [b.record(), b.failure(), b.failure("diverged"), b.record(limit=8)], ids=["ok", "failed", "diverged", "l"]
)
def test_records_fit_the_committed_schema_and_survive_their_file(record: RunRecord) -> None:
    document = json.loads(record.to_json())
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    validator.validate(document)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**document, "host": "somewhere"})
    again = RunRecord.model_validate(document)
    assert again == record
    assert again.to_json() == record.to_json()
    assert record.record_sha256 == document_sha256(document)


def test_text_is_canonical() -> None:
    text = canonical_json({"b": 0.1, "a": [1, None, "Käfer"], "c": 1e-07})
    assert text == '{\n "a": [\n  1,\n  null,\n  "Käfer"\n ],\n "b": 0.1,\n "c": 1e-07\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(math.inf)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit(value: float) -> None:
    assert json.loads(canonical_json([value])) == [value]


CHANGES = {
    "task name": {"task": b.task_facts(b.task(name="toy-other"))},
    "setting": {"task": b.task_facts(b.task(setting="mr40"))},
    "task version": {"task": b.task_facts(b.task(version=2))},
    "fingerprint": {"task": b.task_facts().model_copy(update={"fingerprints": {"test_ids": "f" * 64}})},
    "recipe": {"method": b.method_facts(name="lmpt")},
    "distribution": {"method": b.method_facts(distribution="acme")},
    "distribution version": {"method": b.method_facts(version="0.2.0")},
    "variant": {"method": b.method_facts(variant="code")},
    "configuration": {"method": b.method_facts(config={"epochs": 31})},
    "unknown policy": {"method": b.method_facts(unknown_policy="own")},
    "backbone": {"backbone": b.backbone_facts(name="clip-rn50")},
    "weights": {"backbone": b.backbone_facts(weights_sha256="d" * 64)},
    "transform": {"backbone": b.backbone_facts(transform_sha256="d" * 64)},
    "dtype": {"backbone": b.backbone_facts(dtype="bfloat16")},
    "selection": {"selection_rule": "best-on-validation"},
    "threads": {"threads": 2},
    "seed": {"seed": 1},
    "limit": {"limit": 10},
    "extras": {"extras": ("observed-captions",)},
    "device": {"device": "cuda"},
}
BASE = {
    "task": b.task_facts(),
    "method": b.method_facts(),
    "backbone": b.backbone_facts(),
    "selection_rule": "last",
    "threads": 1,
    "seed": 0,
    "device": "cpu",
}


@pytest.mark.parametrize("changed", list(CHANGES))
def test_everything_that_decides_the_outcome_is_in_the_key(changed: str) -> None:
    assert run_key(**{**BASE, **CHANGES[changed]}) != run_key(**BASE)  # type: ignore[arg-type]


def test_how_the_configuration_came_about_is_not_in_the_key() -> None:
    tuned = b.method_facts(preset="toy", origin="tuned(20, on shapes-lt)")
    assert run_key(**{**BASE, "method": tuned}) == run_key(**BASE)  # type: ignore[arg-type]
    edited = b.method_facts(code_sha256="f" * 64)
    assert run_key(**{**BASE, "method": edited}) == run_key(**BASE)  # type: ignore[arg-type]
    reordered = b.method_facts(config=dict(reversed(b.method_facts().config.items())))
    assert run_key(**{**BASE, "method": reordered}) == run_key(**BASE)  # type: ignore[arg-type]


def test_seal_refuses_a_key_of_another_run() -> None:
    with pytest.raises(ValueError, match="run_key"):
        seal(b.content(key="1" * 64))
    sealed = b.record()
    assert seal(sealed) == sealed
    assert key_of(sealed) == sealed.key


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scores": {}, "intervals": {}}, "has scores"),
        ({"status": "failed"}, "says why"),
        ({"status": "diverged", "reason": "nan"}, "names the step"),
        ({"intervals": {"mAP": {"total": None}}}, "another shape"),
        ({"excluded_classes": ()}, "excluded_classes"),
        ({"scores": {"mAP": {"total": 100.5}}}, "less than or equal to 100"),
        ({"created": "2026-03-01 12:00"}, "created"),
        ({"attempt": 0}, "attempt"),
        ({"host": "x"}, "Extra inputs"),
    ],
)
def test_inconsistent_records_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        b.content(**changes)


def test_records_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        b.record().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "path", ["/home/ada/data.npz", "see /mnt/x/y.png", "~/runs/a", "C:\\data\\x.csv", "precomputed:/data/f.npz"]
)
def test_records_name_no_paths(path: str) -> None:
    with pytest.raises(ValidationError, match="name no paths"):
        b.backbone_facts(name=path)
    with pytest.raises(ValidationError, match=r"config\.deep\.0 holds a file path"):
        b.method_facts(config={"deep": [path]})
    cleaned = without_paths(f"OSError: [Errno 2] {path}")
    assert find_path(cleaned) is None
    assert b.failure(reason=cleaned).reason == cleaned


@pytest.mark.parametrize(
    "text", ["a photo of a/an object", "ViT-B/16", "https://example.org/a/b", "open_clip:RN50/openai", "1/2"]
)
def test_what_is_no_path_stays(text: str) -> None:
    assert find_path(text) is None
    assert without_paths(text) == text


def test_environment_is_that_of_this_process(tmp_path: Path) -> None:
    import platform

    import numpy as np

    found = collect_environment()
    assert found.python == platform.python_version()
    assert found.numpy == np.__version__
    assert platform.node() not in found.model_dump_json() or not platform.node()
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast CPU 9000\n")
    assert cpu_model(cpuinfo) == "Fast CPU 9000"
    cpuinfo.write_text(
        "cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: Fast CPU\nstepping\t: 1\n\n"
        "cpu family\t: 6\nmodel name\t: Other\n"
    )
    assert cpu_model(cpuinfo) == "Fast CPU (family 25, model 17, stepping 1)"
    assert [is_one_processor(name) for name in (cpu_model(cpuinfo), "Fast CPU 9000")] == [True, False]
    assert cpu_model(tmp_path / "missing") == (platform.processor() or platform.machine())


def test_created_is_utc_to_the_second() -> None:
    assert b.record(created=utc_now()).created.endswith("Z")
