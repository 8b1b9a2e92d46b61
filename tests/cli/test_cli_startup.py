"""The first screen is quick: nothing heavy is imported to show it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Cli

HEAVY = {"torch", "torchvision", "mmengine", "pandas", "timm", "open_clip", "sklearn", "scipy", "matplotlib"}

WATCH = """
import sys
sys.argv = ["ltbench", *sys.argv[1:]]
from ltbench.cli import main
code = main()
print("|".join(sorted(name.partition(".")[0] for name in sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def imported(process: Cli, *args: str) -> set[str]:
    """Top-level modules in the process after the command."""
    said = process(*args, python=("-c", WATCH))
    assert said.code == 0, said.err
    return set(said.err.strip().splitlines()[-1].split("|"))


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("run", "--help"),
        ("predict", "--help"),
        ("sweep", "--help"),
        ("list", "--help"),
        ("list", "tasks"),
        ("list", "tasks", "--json"),
        ("list", "backbones"),
        ("list", "datasets"),
        ("list", "methods"),
        ("plugins",),
        ("show", "method", "lmpt"),
        ("show", "method", "focal", "--json"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(process: Cli, args: tuple[str, ...]) -> None:
    assert imported(process, *args) & HEAVY == set()


def test_listing_tasks_waits_for_no_numpy(process: Cli) -> None:
    assert imported(process, "list", "tasks") & {"numpy", "pydantic"} == set()


def test_showing_a_method_draws_no_tables(process: Cli) -> None:
    assert imported(process, "show", "method", "lmpt") & {"rich", "numpy"} == set()


def test_the_matrix_imports_no_method(process: Cli) -> None:
    assert (
        imported(process, "leaderboard", "--matrix", "--boards", "boards") & (HEAVY - {"scipy", "matplotlib"}) == set()
    )


NOT_FOR_A_RUN = {
    "open_clip",
    "timm",
    "torch._dynamo",
    "torch.distributed.optim",
    "torchvision",
    "transformers",
}
"""What a run with the bundled encoder never needs; seconds to import together."""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lmpt", "linear-probe"])
def test_a_run_with_the_bundled_encoder_waits_for_nothing_that_it_does_not_use(process: Cli, method: str) -> None:
    code = WATCH.replace('name.partition(".")[0]', "name")
    run = ("run", "--task", "shapes-lt", "--method", method, "--limit", "48", "-o", "epochs=1")
    # The second run finds the images encoded.
    for out in ("runs", "again"):
        said = process(*run, "--out", out, python=("-c", code))
        assert said.code == 0, said.err
        modules = set(said.err.strip().splitlines()[-1].split("|"))
        # It did train.
        assert {"mmengine.runner", "torch.optim.sgd", "ltbench.engine._mmengine"} <= modules
        assert modules & NOT_FOR_A_RUN == set()


def test_help_imports_no_command_and_no_plugin(process: Cli) -> None:
    code = WATCH.replace('name.partition(".")[0]', "name")
    said = process("--help", python=("-c", code))
    modules = set(said.err.strip().splitlines()[-1].split("|"))
    assert {"rich", "numpy", "pydantic", "yaml"} & modules == set()
    assert [name for name in modules if name.startswith(("ltbench.cli.commands", "ltbench_", "ltbench.data"))] == []


def test_importing_the_package_imports_nothing_heavy(process: Cli) -> None:
    code = "import sys, ltbench; print(*sorted(name for name in sys.modules if name.startswith('ltbench.')), '|', *"
    said = process(python=("-c", code + f"sorted({HEAVY | {'numpy', 'click', 'pydantic'}!r} & set(sys.modules)))"))
    assert said.out.split() == ["|"]


def test_the_names_of_the_public_api_are_known_without_importing_them(process: Cli) -> None:
    code = (
        "import ltbench, sys; print(*(name for name in dir(ltbench) if name[0] != '_')); print('torch' in sys.modules)"
    )
    names, heavy = process(python=("-c", code)).out.splitlines()
    assert set(names.split()) >= {"backbones", "leaderboard", "load_task", "methods", "run", "tasks"}
    assert heavy == "False"


def test_looking_around_imports_no_torch(process: Cli) -> None:
    code = "import ltbench as l, sys; print(l.load_task('shapes-lt').name, *l.tasks(), *l.methods(), *l.backbones());"
    said = process(python=("-c", code + "print('torch' in sys.modules)"))
    assert said.code == 0, said.err
    first, heavy = said.out.splitlines()
    assert {"shapes-lt", "shapes-zsl", "zero-shot", "tiny-clip", "timm:"} <= set(first.split())
    assert heavy == "False"


def test_names_shared_with_subpackages_list_and_hold_modules_in_any_order(process: Cli) -> None:
    for order in (
        "import ltbench.tasks.task, ltbench.backbones.options",
        "import ltbench",
        "from ltbench import tasks",
    ):
        code = f"{order}; import ltbench as l; import ltbench.tasks.task as t, ltbench.backbones.options as o;"
        code += "print(l.tasks.task is t, l.backbones.options is o, 'shapes-lt' in l.tasks(), 'timm:' in l.backbones())"
        said = process(python=("-c", code))
        assert (said.code, said.out.split()) == (0, ["True"] * 4), said.err


def test_an_unknown_public_name_lists_the_known_ones() -> None:
    import ltbench

    with pytest.raises(AttributeError, match=r"has no attribute 'runn'; it has backbones, compare, leaderboard"):
        ltbench.runn  # noqa: B018


def test_the_metrics_package_finds_every_name_it_promises() -> None:
    import ltbench.metrics as metrics

    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
    assert sorted(name for names in metrics._HOMES.values() for name in names) == sorted(metrics.__all__)
