"""What a user gets wrong is one line and the next command to type."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from ltbench.cli.boundary import run_guarded
from ltbench.plugin import UserError
from tests.cli.conftest import Cli


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["lst"], "error: unknown command 'lst'; did you mean 'list'? → ltbench list --help"),
        (["qqqq"], "error: unknown command 'qqqq' → ltbench --help"),
        (["list", "task"], "error: unknown command 'task'; did you mean 'tasks'? → ltbench list tasks --help"),
        (
            ["list", "tasks", "--jsn"],
            "error: unknown option '--jsn'; did you mean '--json'? → ltbench list tasks --help",
        ),
        (["--debugg"], "error: unknown option '--debugg'; did you mean '--debug'? → ltbench --help"),
        (["run", "--task", "shapes-lt"], "error: missing option '--method' / '--method-file' → ltbench run --help"),
        (
            ["run", "--task", "shaps-lt", "--method", "lmpt"],
            "error: unknown task 'shaps-lt'; did you mean 'shapes-lt' or 'shapes-plt' or 'shapes-zsl'? "
            "→ ltbench list tasks",
        ),
        (
            ["run", "--task", "shapes-plt@mr41", "--method", "lmpt"],
            "error: unknown setting of shapes-plt 'mr41'; did you mean 'mr40'? → ltbench show task shapes-plt",
        ),
        (
            ["run", "--task", "shapes-lt", "--method", "zero-shoot"],
            "error: unknown method 'zero-shoot'; did you mean 'zero-shot' or 'zero-shot-ensemble'? "
            "→ ltbench list methods",
        ),
        (
            ["run", "--task", "shapes-lt", "--method", "zero-shot", "--backbone", "tiny-clp"],
            "error: unknown backbone 'tiny-clp'; did you mean 'tiny-clip'? → ltbench list backbones",
        ),
        (
            ["run", "--task", "shapes-lt", "--method", "zero-shot", "-o", "epochs"],
            "error: option 'epochs' is not of the form key=value → -o epochs=10",
        ),
        (
            ["run", "--task", "shapes-lt", "--method", "zero-shot", "--seed", "1,x"],
            "error: invalid value for '--seed': '1,x' is no list of whole numbers like 0,1,2 → ltbench run --help",
        ),
        (
            ["run", "--task", "shapes-lt", "--method", "zero-shot", "--seed", "1,1"],
            "error: invalid value for '--seed': '1,1' names a seed twice → ltbench run --help",
        ),
        (["show", "method", "lmp"], "error: unknown method 'lmp'; did you mean 'lmpt'? → ltbench list methods"),
        (["show", "backbone", "clip-rn5"], "clip-rn50"),
        (["verify", "nowhere.json"], "nowhere.json"),
        (["verify", "."], "error: there is no record in . → ltbench list runs"),
        (["leaderboard"], "error: no runs in ltbench-runs → ltbench run --task shapes-lt --method zero-shot"),
        (["leaderboard", "--check"], "error: there is no leaderboard in leaderboards → ltbench leaderboard --import"),
        (["show", "run", "0123abcd"], "error: there is no run '0123abcd' in ltbench-runs → ltbench list runs"),
        (["sweep"], "error: a sweep needs --tasks and --methods, or --plan FILE → ltbench sweep --help"),
        (["task", "new", "x", "--labels", "l.csv"], "error: where are the images? → --images DIR, or --no-images"),
        (["task", "new", "x", "--labels", "l.csv", "--no-images"], "error: a task without images needs features"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_line_and_the_next_command(cli: Cli, args: list[str], line: str) -> None:
    said = cli(*args)
    text = said.err if args[0] != "verify" or args[1] == "." else said.out
    assert said.code == (2 if text is said.err else 1)
    assert line in text
    if text is said.err:
        assert len(said.err.splitlines()) == 1
        assert said.err.startswith("error: ")
        assert " → " in said.err


def guarded(error: BaseException, *args: str) -> int:
    """Run a command that raises."""

    @click.command()
    @click.option("--debug", is_flag=True)
    @click.argument("rest", nargs=-1)
    def command(debug: bool, rest: tuple[str, ...]) -> None:
        raise error

    return run_guarded(command, list(args))


def test_the_unexpected_is_one_line_with_the_way_to_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(ValueError("two\nlines"), "run", "a b") == 1
    assert capsys.readouterr().err == "unexpected error: ValueError: two lines → rerun with ltbench --debug run 'a b'\n"
    assert guarded(ValueError("x"), "--debug", "run") == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.splitlines()[-1] == "unexpected error: ValueError: x → please report it with the traceback above"


def test_a_user_error_with_details_lists_them_above(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(UserError("2 problems", "mend them", ["line 2: a", "line 3: b"])) == 2
    assert capsys.readouterr().err == "  line 2: a\n  line 3: b\nerror: 2 problems → mend them\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "no permission")],
)
def test_a_full_disk_and_a_read_only_folder_are_one_line(
    capsys: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    assert guarded(OSError(number, os.strerror(number), "runs/record.json")) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert words in err
    assert "runs/record.json" in err


@pytest.mark.parametrize(("command", "hint"), [("run", True), ("sweep", True), ("tune", True), ("verify", False)])
def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str], command: str, hint: bool) -> None:
    assert guarded(KeyboardInterrupt(), command) == 130
    line = capsys.readouterr().err.strip()
    expected = "interrupted: what is finished is kept → type the same command again to go on"
    assert line == (expected if hint else "interrupted")


def test_a_real_interrupt_ends_with_130(tmp_path: Path) -> None:
    # A shell that starts the tests in the background has its children ignore interrupts.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "import time, click; from ltbench.cli.boundary import run_guarded; import sys\n"
    code += "c = click.Command('c', callback=lambda: (print('up', flush=True), time.sleep(60)))\n"
    code += "sys.exit(run_guarded(c, []))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err.strip() == "interrupted"
    assert "Traceback" not in err


def test_no_command_at_all_shows_the_help(cli: Cli) -> None:
    said = cli()
    assert "Usage: ltbench" in said.out + said.err
    assert "leaderboard" in said.out + said.err


def test_a_closed_pipe_is_no_traceback(process: Cli, tmp_path: Path) -> None:
    line = f"{sys.executable} -m ltbench list tasks --json | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.startswith("[")
    assert "Traceback" not in done.stderr


def test_a_broken_plugin_is_a_note_and_a_line(process: Cli, tmp_path: Path) -> None:
    info = tmp_path / "site" / "acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ltbench]\nacme = acme_broken\n")
    (tmp_path / "site" / "acme_broken.py").write_text("raise RuntimeError('no luck')\n")
    env = {"PYTHONPATH": str(tmp_path / "site")}
    said = process("list", "tasks", env=env)
    assert said.code == 0
    assert "shapes-lt" in said.out
    assert said.err == "note: 1 plugin is broken (acme) → ltbench plugins\n"

    said = process("plugins", env=env)
    assert said.code == 0
    assert "RuntimeError: no luck" in " ".join(said.out.split())
    assert "Traceback" not in said.out
    assert "RuntimeError('no luck')" in process("plugins", "--traceback", env=env).out
    assert "acme_broken" not in process("plugins", "--json", env={**env, "LTBENCH_PLUGINS": ""}).err
    off = process("plugins", env={**env, "LTBENCH_PLUGINS": "lmpt,acmee"})
    assert "LTBENCH_PLUGINS names 'acmee', which is not installed" in off.out
    assert "no luck" not in off.out
