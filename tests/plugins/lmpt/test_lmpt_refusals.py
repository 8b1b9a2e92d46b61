"""What LMPT says where captions are not allowed, and where a preset is for something else."""

from __future__ import annotations

import pytest

from ltbench.engine.needs import check_fit
from ltbench.method.config import choose_preset, load_presets
from ltbench.plugin.errors import UserError
from ltbench.tasks.protocols import Partial
from ltbench.tasks.registry import load_task
from ltbench.tasks.task import Task
from ltbench_lmpt.method import LMPT
from ltbench_lmpt.plugin import ltbench_methods

OFFERS = ("image", "global", "region", "text")
(SPEC,) = ltbench_methods()


def refusal(task: Task, **options: object) -> UserError:
    with pytest.raises(UserError) as caught:
        check_fit("lmpt", LMPT(LMPT.Config(**options)).needs(), task, True, "tiny-clip", OFFERS)  # type: ignore[arg-type]
    return caught.value


def without_captions(name: str, **changes: object) -> Task:
    task = load_task(name)
    return Task(**{**{field: getattr(task, field) for field in Task.model_fields}, "captions": "none", **changes})


def test_captions_that_a_task_does_not_allow() -> None:
    task = load_task("shapes-zsl")
    error = refusal(task)
    assert "it needs captions, and this task has none" in error.message
    assert "they would name classes that training must not hear of" in error.message
    assert error.hint == "-o use_cse=false"
    check_fit("lmpt", LMPT(LMPT.Config(use_cse=False)).needs(), task, True, "tiny-clip", OFFERS)


def test_the_reason_is_the_tasks() -> None:
    masked = without_captions("shapes-lt", protocol=Partial(share=0.5), fingerprints={})
    assert "they would name labels that its mask hides" in refusal(masked).message
    assert "its training rows come without" in refusal(without_captions("shapes-lt")).message


def test_an_option_that_would_not_be_enough_is_not_offered() -> None:
    error = refusal(load_task("shapes-zsl"), class_specific=True)
    assert "training classes only" in error.message
    assert error.hint == "ltbench list methods --task shapes-zsl"


@pytest.mark.parametrize(
    ("name", "task", "backbone", "variant", "message", "hint"),
    [
        (
            "class-specific",
            "voc-lt",
            "tiny-clip",
            "paper",
            "backbones clip-rn50, clip-vit-b16",
            "--backbone clip-rn50|clip",
        ),
        ("table3-sp", "coco-lt", "clip-rn50", "paper", "coco-lt with backbone clip-rn50", "--backbone clip-vit-b16"),
        ("code-readme", "voc-lt", "clip-rn50", "paper", "variant code", "--variant code"),
        ("voc-lt", "coco-lt", "clip-rn50", "paper", "tasks voc-lt", "ltbench show method lmpt"),
        ("voc-lt", "coco-lt", "tiny-clip", "code", "not for coco-lt", "ltbench show method lmpt"),
    ],
)
def test_a_preset_for_something_else_is_named(name, task, backbone, variant, message, hint) -> None:
    with pytest.raises(UserError) as caught:
        choose_preset(load_presets(SPEC), name, task, None, backbone, variant, "lmpt")
    assert f"preset {name!r} is for" in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.startswith(hint)
