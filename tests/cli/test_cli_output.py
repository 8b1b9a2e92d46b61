"""Tables fit the terminal, progress stays off stdout, and the order never changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from records import builders as b

from ltbench.cli.commands.listing import LISTS
from ltbench.cli.commands.show import SHOW
from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import parse_overrides
from ltbench.cli.output import LONG, Column, fold, print_facts, print_table, seconds, size
from ltbench.cli.reporting import PlainReporter, RichReporter, reporter
from ltbench.cli.root import COMMANDS, cli
from ltbench.plugin import UserError
from tests.cli.conftest import Cli


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command, str]]:
    """Every command with its path and the one-line help of its group."""
    ctx = click.Context(group, info_name="ltbench")
    for name, (_, short) in group.lazy.items():
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*path, name), command, short
        if isinstance(command, LazyGroup):
            yield from commands(command, (*path, name))


assert isinstance(cli, LazyGroup)
ALL = list(commands(cli))


@pytest.mark.parametrize(("path", "command", "short"), ALL, ids=[" ".join(path) for path, _, _ in ALL])
def test_every_command_exists_and_says_what_its_list_says(
    path: tuple[str, ...], command: click.Command, short: str
) -> None:
    assert command.name == path[-1]
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").strip() == short
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{' '.join(path)} {option.name} has no help"
            assert option.prompt is None


def test_the_commands_of_the_manual_are_there() -> None:
    assert {
        "run",
        "sweep",
        "tune",
        "list",
        "show",
        "verify",
        "plugins",
        "task",
        "data",
        "leaderboard",
        "doctor",
    } <= set(COMMANDS)
    assert set(LISTS) == {"tasks", "methods", "backbones", "datasets", "runs"}
    assert set(SHOW) == {"task", "method", "backbone", "run", "curves"}


@pytest.mark.parametrize("path", [path for path, _, _ in ALL], ids=" ".join)
def test_every_help_fits_eighty_columns(cli: Cli, path: tuple[str, ...]) -> None:
    said = cli(*path, "--help")
    assert (said.code, said.err) == (0, "")
    assert max(len(line) for line in said.out.splitlines()) <= 80


@pytest.mark.parametrize(
    "args", ["list tasks", "list methods", "list backbones", "list datasets", "list runs", "plugins", "data status"]
)
def test_tables_fit_eighty_columns_come_as_json_and_never_change(cli: Cli, args: str) -> None:
    first = cli(*args.split())
    assert first.code == 0
    assert all(len(line) <= 80 for line in first.out.splitlines())
    assert "\x1b" not in first.out
    assert cli(*args.split()) == first
    document = json.loads(cli(*args.split(), "--json").out)
    assert isinstance(document, list | dict)


def test_a_table_folds_long_cells_and_keeps_whole_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    long = "word " * 20
    print_table(
        [Column("name", whole=True), "text", Column("n", right=True)], [["a-name", long, "7"], ["b", "x", "42"]]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= 40
    assert lines[0].split() == ["name", "text", "n"]
    assert set(lines[1]) == {"-"}
    assert lines[2].startswith("a-name")
    assert lines[2].endswith(" 7")
    assert lines[-1].endswith("42")
    assert " ".join(lines).count("word") == 20


def test_cells_that_fit_stand_in_columns_whatever_their_letters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    columns = [Column("name", whole=True), Column("score", right=True), Column("n", right=True)]
    print_table(columns, [["写真-a", "70.00\n± 1.00", "7"], ["b\tc", "9.5", ""]], "Title")
    assert capsys.readouterr().out.splitlines() == [
        "Title",
        "name      score   n",
        "-------------------",
        "写真-a    70.00   7",
        "         ± 1.00",
        "b c         9.5",
    ]


def test_a_row_among_thousands_is_one_line_and_few_fold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = [["a" * 15, f"row {number}"] for number in range(LONG)]
    print_table(["name", "which"], rows)
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert lines == ["   ".join(row) for row in rows]
    print_table(["name", "which"], rows[1:])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 20


def test_the_newest_runs(cli: Cli, tmp_path: Path) -> None:
    for seed, day in enumerate((3, 1, 2)):
        path = tmp_path / "ltbench-runs" / str(seed) / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(b.record(seed=seed, created=f"2026-03-0{day}T12:00:00Z").to_json(), encoding="utf-8")
    assert [run["seed"] for run in json.loads(cli("list", "runs", "--newest", "2", "--json").out)] == [0, 2]
    assert [run["seed"] for run in json.loads(cli("list", "runs", "--json").out)] == [0, 1, 2]


def test_markup_in_cells_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["what"], [["[bold]x[/bold] [1.0, 2.0]"]], "title [red]")
    out = capsys.readouterr().out
    assert "[bold]x[/bold] [1.0, 2.0]" in out
    assert "title [red]" in out


def test_facts_are_folded_beside_their_names(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_facts({"a": "one two three four five six seven", "long name": "x\ny", "none": ""})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a          one two")
    assert lines[-3:] == ["long name  x", "           y", "none"]
    assert max(len(line) for line in lines) <= 31


def test_words_for_sizes_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [size(n) for n in (0, 999, 1500, 4_000_000, 123_000_000, 2_000_000_000_000)] == [
        "0 B", "999 B", "1.5 kB", "4.0 MB", "123 MB", "2.0 TB",
    ]  # fmt: skip
    assert [seconds(n) for n in (0.04, 3.21, 99.9, 245, 3700)] == [
        "0.0 s",
        "3.2 s",
        "99.9 s",
        "4 min 05 s",
        "1 h 01 min",
    ]
    monkeypatch.setenv("COLUMNS", "20")
    assert fold("one two three four five", "  ") == "one two three four\n  five"


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_at_tenths_but_not_more_than_one_a_second() -> None:
    clock, lines = Clock(), []
    says = PlainReporter(lines.append, clock)
    with says.task("encoding", 100) as advance:
        for _ in range(100):
            clock.now += 0.5
            advance(1)
    assert lines[0] == "encoding: 10/100 (10 %)"
    assert len(lines) == 11
    assert lines[-1] == "encoding: done in 50.0 s"


def test_lines_come_every_five_seconds_of_a_slow_job_and_quick_ones_have_one() -> None:
    clock, lines = Clock(), []
    says = PlainReporter(lines.append, clock)
    with says.task("slow", 1000) as advance:
        for _ in range(3):
            clock.now += 5
            advance(1)
    assert lines == ["slow: 1/1000 (0 %)", "slow: 2/1000 (0 %)", "slow: 3/1000 (0 %)", "slow: done in 15.0 s"]
    lines.clear()
    with says.task("quick", 10) as advance:
        for _ in range(10):
            advance(1)
    assert lines == ["quick: done in 0.0 s"]
    with says.task("empty", 0) as advance:
        clock.now += 6
        advance(0)
    assert lines[1] == "empty: 0/0"


def test_a_job_that_fails_is_not_called_done() -> None:
    lines: list[str] = []

    def fail() -> None:
        with PlainReporter(lines.append).task("bad", 2):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert lines == []


def test_progress_goes_to_stderr_and_bars_only_to_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(reporter(), PlainReporter)
    bars = RichReporter()
    with bars.task("outer", 2) as outer, bars.task("inner", 1) as inner:
        inner(1)
        outer(2)
        bars.line("a line [with brackets]")
    bars.line("after")
    said = capsys.readouterr()
    assert said.out == ""
    assert "a line [with brackets]" in said.err
    assert "outer" in said.err
    assert said.err.endswith("after\n")


def test_values_of_options_are_yaml() -> None:
    assert parse_overrides(["a=3", "b=1e-3", "c=true", "d=[1, 2]", "e=text", "f=", "g=x=y", "h=0.5"]) == {
        "a": 3, "b": 1e-3, "c": True, "d": [1, 2], "e": "text", "f": None, "g": "x=y", "h": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["a"], "not of the form"),
        (["=3"], "not of the form"),
        (["a=1", "a=2"], "given twice"),
        (["a=[1"], "cannot be read"),
    ],
)
def test_bad_options_are_named(pairs: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_overrides(pairs)
