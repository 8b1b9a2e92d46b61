"""Where errors become one line: what went wrong → what to type next."""

from __future__ import annotations

import errno
import shlex
import traceback
from collections.abc import Sequence

import click

from ltbench.plugin.clean import for_terminal
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import explain_os_error
from ltbench.plugin.system import ended_politely

OK, FOUND_WRONG, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
_EXPLAINED = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EFBIG}
_CONTINUES = {"run", "sweep", "tune", "reproduce", "recommend"}


def run_guarded(command: click.Command, args: Sequence[str]) -> int:
    """Run a command and turn whatever it raises into one line on stderr and an exit code."""
    debug = _debug(args)
    try:
        with ended_politely():
            answer = command.main(args=list(args), prog_name="ltbench", standalone_mode=False)
    except click.ClickException as error:
        return _fail(_explain_click(error), USER_ERROR, error, debug)
    except (click.Abort, KeyboardInterrupt) as error:
        line = "interrupted"
        if any(word in _CONTINUES for word in args[:2]):
            line += ": what is finished is kept → type the same command again to go on"
        return _fail(line, INTERRUPTED, error, debug)
    except UserError as error:
        for detail in error.details:
            click.echo(f"  {for_terminal(detail)}", err=True)
        return _fail(f"error: {_one_line(str(error))}", USER_ERROR, error, debug)
    except MemoryError as error:
        line = "error: there is not enough memory for this → fewer jobs, a smaller backbone, or a larger machine"
        return _fail(line, USER_ERROR, error, debug)
    except OSError as error:
        if error.errno not in _EXPLAINED:
            return _unexpected(error, args, debug)
        explained = explain_os_error(error, str(error.filename or "a file"))
        return _fail(f"error: {_one_line(str(explained))}", USER_ERROR, error, debug)
    except Exception as error:
        return _unexpected(error, args, debug)
    return answer if isinstance(answer, int) else OK


def _debug(args: Sequence[str]) -> bool:
    """Whether ``--debug`` stands before the command; click may fail before it has parsed it."""
    for word in args:
        if not word.startswith("-"):
            return False
        if word == "--debug":
            return True
    return False


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _fail(line: str, code: int, error: BaseException, debug: bool) -> int:
    if debug:
        click.echo(for_terminal("".join(traceback.format_exception(error))), err=True, nl=False)
    if line:
        click.echo(for_terminal(line), err=True)
    return code


def _unexpected(error: Exception, args: Sequence[str], debug: bool) -> int:
    line = f"unexpected error: {type(error).__name__}: {_one_line(str(error))}".removesuffix(": ")
    again = "please report it with the traceback above" if debug else f"rerun with ltbench --debug {shlex.join(args)}"
    return _fail(f"{line} → {again}", FOUND_WRONG, error, debug)


def _explain_click(error: click.ClickException) -> str:
    """One line for what click found wrong in the command line."""
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx else "ltbench"
    if type(error).__name__ == "NoArgsIsHelpError":
        # A group without a command: the help is the answer, not a complaint.
        click.echo(ctx.get_help() if ctx else error.format_message(), err=True)
        return ""
    if isinstance(error, click.NoSuchOption):
        names = [name for name in error.possibilities or () if name != error.option_name]
        message = f"unknown option {error.option_name!r}"
        message += f"; did you mean {' or '.join(repr(name) for name in names[:3])}?" if names else ""
    else:
        message = _one_line(error.format_message()).rstrip(".")
        message = message[:1].lower() + message[1:]
    return f"error: {message} → {path} --help"
