"""``suggested``, ``all`` and patterns stand for what fits task and encoder; names stand for themselves."""

from __future__ import annotations

import pytest

from ltbench.engine.fit import lacks_on
from ltbench.engine.select import items_of, select
from ltbench.engine.suggested import SUGGESTED, kind_of, suggested
from ltbench.engine.sweep import expand, run_once
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.protocols import Full, Partial, Plt, SinglePositive
from ltbench.tasks.registry import load_task, resolve

FEATURES = "precomputed:features.npz"


@pytest.mark.parametrize("kind", SUGGESTED)
def test_every_suggested_recipe_is_there_and_runs_on_its_kind_with_all_that_an_encoder_offers(kind: str) -> None:
    task = next(
        task for item in registry().tasks if item.spec.family == kind and item.spec.name.startswith("shapes-")
        for task in resolve(item.spec.name)
    )  # fmt: skip
    assert kind_of(task) == kind
    for one in suggested(task):
        spec = registry().methods.get(one.method).spec
        assert not lacks_on(spec, task, "tiny-clip", one.options), one


def test_a_users_own_task_asks_for_the_list_of_its_labels() -> None:
    own = load_task("shapes-micro").model_copy(update={"family": "custom"})
    kinds = {"full": Full(), "partial": Partial(share=0.5), "spml": SinglePositive(), "plt": Plt(missing=0.4)}
    found = {name: kind_of(own.model_copy(update={"protocol": protocol})) for name, protocol in kinds.items()}
    assert found == {"full": "ltml", "partial": "partial", "spml": "spml", "plt": "plt"}
    assert kind_of(own.model_copy(update={"unknown_policy": "assume-negative"})) == "spml"


def test_features_alone_leave_out_what_needs_text_or_a_tower_and_say_so() -> None:
    task = load_task("shapes-lt")
    found = select(("suggested",), task, FEATURES)
    names = [one.method for one in found.chosen]
    assert names[:3] == ["linear-probe-lbfgs", "linear-probe", "asl"]
    # Its base configuration trains a tower; the suggested one learns from features.
    assert dict(found.chosen[2].options) == {"tower": "frozen", "augment": "none"}
    assert found.left_out["lmpt"] == "needs text"
    assert "needs image" in select(("all",), task, FEATURES).left_out.values()


def test_words_are_joined_in_order_each_recipe_once() -> None:
    task = load_task("shapes-spml")
    found = select(("coop", "*-linear", "suggested"), task, "tiny-clip")
    names = [one.method for one in found.chosen]
    assert names[0] == "coop"
    assert names[1] == "an-linear"
    assert len(set(names)) == len(names)
    assert names[-1] == "ll-r-prompts"


def test_what_nobody_registered_or_nothing_fits_is_refused() -> None:
    task = load_task("shapes-lt")
    with pytest.raises(UnknownName):
        select(("linear-prob",), task)
    with pytest.raises(UserError, match="no method is called 'x\\*'"):
        select(("x*",), task)
    with pytest.raises(UserError, match="none of \\*-prompts can run on shapes-lt \\(needs text\\)"):
        select(("*-prompts",), task, FEATURES)


def test_a_sweep_runs_a_recipe_of_a_set_where_it_fits_and_a_deterministic_one_once() -> None:
    tasks = ("shapes-lt", "shapes-zsl")
    items = items_of(("suggested",), tasks, "tiny-clip")
    where = {item.method: item.tasks for item in items}
    assert where["linear-probe"] == ("shapes-lt",)
    assert where["conse"] == ("shapes-zsl",)
    assert where["coop"] == ()
    plan = SweepPlan(tasks=tasks, items=items, backbone="tiny-clip")
    counts = {(cell.task, cell.item.method) for cell in expand(plan)}
    assert ("shapes-zsl", "linear-probe") not in counts
    seeds = [cell.seed for cell in expand(plan) if (cell.task, cell.item.method) == ("shapes-lt", "linear-probe-lbfgs")]
    assert seeds == [0]
    assert run_once(plan) == [
        "linear-probe-lbfgs, zero-shot-ensemble, zero-shot are deterministic: one run in place of 3, of seed 0"
    ]
