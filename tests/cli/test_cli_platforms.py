"""Commands where the platform lacks something: no module ``resource``, narrow encodings, signals, unknown settings."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ltbench.cli import checks, main
from ltbench.cli.checks import CHECKS
from ltbench.cli.variables import VARIABLES, unknown_variables
from ltbench.plugin import system
from tests.cli.conftest import Cli

ROOT = Path(__file__).resolve().parents[2]
RUN = ("run", "--task", "shapes-micro", "--method", "zero-shot", "--weights", "random")
CARD = ("show", "method", "lmpt")
BOARD = ("leaderboard", "--task", "shapes-lt", "--records", "leaderboards/shapes-lt")
NARROW = ("cp1252", "latin-1", "cp437")


def taking_away(folder: Path, *modules: str) -> dict[str, str]:
    """An environment in which Python has no such modules, as on another platform."""
    folder.mkdir()
    lines = "".join(f"sys.modules[{module!r}] = None\n" for module in modules)
    (folder / "sitecustomize.py").write_text(f"import sys\n{lines}", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


@pytest.mark.slow
def test_without_module_resource_a_run_states_its_memory(process: Cli, tmp_path: Path) -> None:
    said = process(*RUN, "--out", "runs", env=taking_away(tmp_path / "windows", "resource", "fcntl"))
    assert said.code == 0, said.err
    (path,) = tmp_path.glob("runs/*/*/*/attempt-1/record.json")
    cost = json.loads(path.read_text(encoding="utf-8"))["cost"]
    assert "peak_memory_bytes" in cost
    if Path("/proc/self/status").exists():
        assert cost["peak_memory_bytes"] > 100_000_000
        assert "of memory at most" in said.out


@pytest.mark.slow
def test_the_doctor_never_says_that_all_is_well_where_runs_cannot_work(process: Cli, tmp_path: Path) -> None:
    said = process("doctor", env=taking_away(tmp_path / "broken", "scipy", "ltbench.engine.facts"))
    assert said.code == 1
    text = " ".join(said.out.split())
    assert "fail scipy cannot be imported" in text
    assert "→ pip install scipy" in text
    assert "fail ltbench ltbench.engine.run cannot be imported" in text
    assert "All is well" not in text
    assert "checks failed." in said.out.splitlines()[-1]


def test_the_doctor_knows_every_library_that_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {line.split("[")[0].split(">")[0].split("=")[0].strip() for line in project["dependencies"]}
    looked_at = {*checks.LIBRARIES.values(), *checks.OTHER_LIBRARIES.values(), "torchvision"}
    assert looked_at == needed
    installed = metadata.packages_distributions()
    for module, distribution in {**checks.LIBRARIES, **checks.OTHER_LIBRARIES}.items():
        assert distribution.lower().replace("_", "-") in {name.lower().replace("_", "-") for name in installed[module]}


def test_the_doctor_names_the_versions_of_python_that_are_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    head = "Programming Language :: Python :: "
    declared = {line.removeprefix(head) for line in project["classifiers"] if line.startswith(head)}
    assert declared == {f"{major}.{minor}" for major, minor in checks.PYTHONS}
    for version, state in {(3, 11, 7): "ok", (3, 12, 1): "ok", (3, 13, 0): "ok", (3, 14, 0): "warn"}.items():
        monkeypatch.setattr(sys, "version_info", version)
        (check,) = CHECKS["python"]()
        assert check.state == state
        assert check.found.startswith(".".join(str(part) for part in version))
    assert check.found == "3.14.0; tested with 3.11 and 3.12 and 3.13"


def test_the_doctor_says_what_the_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    assert [check.state for check in CHECKS["system"]()][:2] == ["ok", "ok"]
    monkeypatch.setattr(checks, "peak_memory", lambda: (None, "not measured"))
    monkeypatch.setattr(filelock, "FileLock", filelock.SoftFileLock)
    monkeypatch.setattr(checks, "printable", lambda text: False)
    monkeypatch.setattr(checks, "output_encoding", lambda: "cp437")
    found = {check.name: check for check in CHECKS["system"]()}
    assert {name: check.state for name, check in found.items()} == {"memory": "warn", "locks": "warn", "output": "warn"}
    assert found["output"].found.startswith("cp437 lacks")
    assert all(check.todo for check in found.values())


def test_the_doctor_finds_a_cache_without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no hard links" not in next(iter(CHECKS["cache"]())).found
    monkeypatch.delattr(os, "link")
    check = next(iter(CHECKS["cache"]()))
    assert check.state == "ok"
    assert "no hard links there" in check.found


def printed(encoding: str, monkeypatch: pytest.MonkeyPatch, *args: str) -> tuple[int, str, str]:
    """What a command prints in this process where the terminal has this encoding."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        code = main(list(args))
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    return code, out, err


@pytest.mark.parametrize(("args", "encodings"), [(CARD, NARROW), (BOARD, ("iso8859-5",))], ids=["card", "board"])
def test_cards_and_boards_print_in_any_encoding(
    args: tuple[str, ...], encodings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    code, whole, _ = printed("utf-8", monkeypatch, *args)
    assert code == 0
    for encoding in encodings:
        with pytest.raises(UnicodeEncodeError):
            whole.encode(encoding)
        code, narrow, err = printed(encoding, monkeypatch, *args)
        assert (code, err) == (0, "")
        # The same lines of the same width: a table's columns stay where they are.
        assert [len(line) for line in narrow.splitlines()] == [len(line) for line in whole.splitlines()]
        differing = [(a, b) for a, b in zip(whole, narrow, strict=True) if a != b]
        assert differing
        for letter, stand_in in differing:
            assert not letter.isascii()
            assert stand_in.isascii()


@pytest.mark.slow
def test_a_pipe_of_a_narrow_encoding_is_no_error(process: Cli) -> None:
    said = process(*CARD, env={"PYTHONIOENCODING": "cp1252:strict", "PYTHONUTF8": "0"}, errors="replace")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("method       lmpt")


@pytest.mark.parametrize("encoding", NARROW)
def test_errors_print_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = printed(encoding, monkeypatch, "run", "--task", "shapes-lt", "--method", "猫")
    assert code == 2
    assert err.splitlines() == ["error: unknown method '?' > ltbench list methods"]


def test_json_keeps_every_character_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    args = (*CARD, "--json")
    _, whole, _ = printed("utf-8", monkeypatch, *args)
    code, narrow, _ = printed("cp1252", monkeypatch, *args)
    assert code == 0
    assert narrow != whole
    assert narrow.isascii()
    assert json.loads(narrow) == json.loads(whole)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.slow
def test_a_run_that_is_told_to_end_says_that_it_can_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ltbench", "run", "--task", "shapes-micro", "--method", "linear-probe"]
    command += ["--weights", "random", "-o", "epochs=1000000", "--out", "runs"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 100
        while not list(tmp_path.glob("runs/*/*/*/attempt-1/checkpoints/*.pt")):
            assert child.poll() is None
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130
    assert err.splitlines()[-1] == "interrupted: what is finished is kept → type the same command again to go on"


def test_a_variable_that_nothing_reads_gets_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_CASHE", "elsewhere")
    said = cli("list", "tasks", "--json")
    assert said.code == 0
    assert json.loads(said.out)
    line = "warning: environment variable LTBENCH_CASHE means nothing to ltbench; did you mean LTBENCH_CACHE?"
    assert said.err.splitlines() == [line]


def test_only_variables_of_ours_that_are_unknown_get_one() -> None:
    known = dict.fromkeys(VARIABLES, "1")
    assert not list(unknown_variables({**known, "PATH": "x", "LTBENCH": "x", "MY_LTBENCH_CACHE": "x"}))
    (line,) = unknown_variables({**known, "LTBENCH_QQQ": "1"})
    assert all(name in line for name in VARIABLES)
    assert "\n" not in line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_options(shell: str, process: Cli) -> None:
    """Up to what the shell asks the program; none of them runs here."""
    script = process(env={"_LTBENCH_COMPLETE": f"{shell}_source"})
    assert "_LTBENCH_COMPLETE" in script.out
    words = {"COMP_WORDS": "ltbench run --ta", "COMP_CWORD": "--ta" if shell == "fish" else "2"}
    found = process(env={"_LTBENCH_COMPLETE": f"{shell}_complete", **words})
    assert "--task" in found.out
    assert "--threads" not in found.out


def test_output_is_what_the_system_module_makes_of_it(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """``main`` sets the streams up before anything is printed."""
    called: list[str] = []
    monkeypatch.setattr(system, "replace_unprintable", lambda: called.append("streams"))
    assert cli("--version").code == 0
    assert called == ["streams"]
