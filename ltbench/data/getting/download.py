"""Downloads over HTTP that go on where they stopped, and wait and try again when a server stumbles."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import read_json

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 17
ENOUGH = 1 << 20
"""An attempt that brings this much counts as progress."""
UNTOLD = 8 << 30
"""An answer whose size neither the caller nor the server knows may have this much."""
READER = "ltbench reads an answer"
"""Name of the threads that do."""
REDIRECTIONS = 10
"""An answer may send so many times to another address."""
JUDGED_BY_HASH = 16 << 20
"""Answers up to this size are read even when their size is wrong: their content shows best what they are."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all (None where the server does not say)."""


class NotThere(Exception):
    """The server answers that there is no such file, or that it may not be had."""


class GaveUp(Exception):
    """No attempt succeeded."""


class _TooLong(NotThere):
    """The server sends more than there can be."""


class _Stumble(Exception):
    """An attempt failed in a way that another may not."""

    def __init__(self, reason: str, wait: float | None = None, silent: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.silent = silent


@dataclass(frozen=True)
class Patience:
    """How long to go on.

    Attributes:
        tries: attempts in a row that bring nothing new (less than 1 MiB).
        silent: of these, attempts that got no answer at all, where no other has.
        first_wait: seconds before the second attempt; doubled each time, plus up to a quarter at random.
        longest_wait: bound of the waits, of those that a server asks for too.
        connect, read: seconds until a silent server counts as a failure.
        answer: seconds until the answer has begun, its head included.
        chunk: seconds that 128 KiB may take: a server that sends less is as good as silent.
    """

    tries: int = 4
    silent: int = 2
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect: float = 5.0
    read: float = 15.0
    answer: float = 60.0
    chunk: float = 60.0


PATIENCE = Patience()
_sleep = time.sleep


def download(
    url: str,
    part: Path,
    *,
    size: int | None = None,
    pinned: bool = False,
    progress: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda text: None,
    patience: Patience | None = None,
) -> None:
    """Bring a file.

    Args:
        url: http or https address.
        part: file to write, and to go on with when it is there already; it is synced to disk when this returns. Beside
            it lies ``<part>.json``, which says what the server called the file's version.
        size: exact size, where it is known.
        pinned: the caller checks a sha256 afterwards, so a part may be continued though no version is known.
        say: receives a line for each attempt that failed.
        patience: None takes ``PATIENCE``.

    Raises:
        NotThere: the server refuses the file, offers one of another size than ``size``, or sends more than that; what
            has arrived is removed then.
        GaveUp: the attempts are used up; what has arrived stays.
        OSError: the part cannot be written.
    """
    limits = patience or PATIENCE
    failures, heard = 0, False
    while True:
        before = _size(part)
        try:
            _attempt(url, part, size, pinned, progress, limits)
            return
        except _Stumble as problem:
            failures = 1 if _size(part) - before >= ENOUGH else failures + 1
            heard = heard or not problem.silent
            if failures >= (limits.tries if heard else limits.silent):
                raise GaveUp(str(problem)) from problem
            wait = problem.wait if problem.wait is not None else limits.first_wait * 2 ** (failures - 1)
            wait = min(limits.longest_wait, wait) * random.uniform(1.0, 1.25)
            say(f"{url}: {problem}; trying again in {wait:.0f} s")
            _sleep(wait)


def forget(part: Path) -> None:
    """Remove a part and what is known about it."""
    part.unlink(missing_ok=True)
    _meta(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, size: int | None, pinned: bool, progress: Progress, patience: Patience) -> None:
    import requests

    have, validator = _resumable(part, url, pinned)
    headers = {"Accept-Encoding": "identity", "User-Agent": "ltbench"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator:
            headers["If-Range"] = validator
    asked = _Asked(lambda: _ask(url, headers, (patience.connect, patience.read)))
    try:
        with asked:
            answer = asked.answer(patience.answer)
            if answer.status_code == 416 and have:
                _after_the_end(answer, part, have)
                return
            _refuse(answer)
            start, total = _range(answer, have)
            if size is not None and total is not None and total != size and total > JUDGED_BY_HASH:
                raise NotThere(f"the server offers a file of {total} bytes where {size} are expected")
            if not start:
                note = {"url": url, "validator": _validator(answer)}
                write_atomic(_meta(part), json.dumps(note))
            _receive(asked.chunks(patience.chunk), part, start, total, size, progress)
    except _TooLong:
        forget(part)
        raise
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
        raise NotThere(line_of(error)) from error
    except _Odd as error:
        # Of answers that mean nothing, requests and what it is made of raise what they like.
        raise _Stumble(line_of(error), silent=not asked.answered) from error
    except requests.RequestException as error:
        raise _Stumble(line_of(error), silent=not asked.answered) from error


def _ask(url: str, headers: dict[str, str], timeout: tuple[float, float]) -> Response:
    """Ask, and go where the answer sends; requests itself would read whatever a redirection brings as its body."""
    import requests

    for _ in range(REDIRECTIONS):
        answer = requests.get(url, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
        if not answer.is_redirect:
            return answer
        target = urljoin(url, answer.headers["Location"])
        answer.close()
        if urlsplit(target).scheme not in ("http", "https"):
            raise requests.exceptions.InvalidSchema(f"the server sends to {target[:100]!a}, which is no web address")
        url = target
    raise requests.TooManyRedirects(f"more than {REDIRECTIONS} redirections")


class _Odd(Exception):
    """What was raised while an answer was read."""


class _Asked:
    """An answer that another thread reads, so that a server which sends a byte a second, each in time for the socket,
    is waited for no longer than is said here. A thread that is given up ends with the answer, or with the process.
    """

    def __init__(self, ask: Callable[[], Response]) -> None:
        self.answered = False
        self._ask = ask
        self._given_up = Event()
        self._found: Queue[Response | bytes | Exception | None] = Queue(maxsize=4)

    def __enter__(self) -> _Asked:
        Thread(target=self._read, name=READER, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._given_up.set()

    def _read(self) -> None:
        try:
            with self._ask() as answer:
                self._put(answer)
                for chunk in answer.iter_content(CHUNK):
                    self._put(chunk)
                    if self._given_up.is_set():
                        # The connection is closed with the answer, so that an endless one ends here.
                        return
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, thing: Response | bytes | Exception | None) -> None:
        while not self._given_up.is_set():
            try:
                self._found.put(thing, timeout=0.2)
                return
            except Full:
                continue

    def _next(self, seconds: float, slow: str) -> Response | bytes | None:
        from requests import RequestException

        try:
            found = self._found.get(timeout=seconds)
        except Empty:
            raise _Stumble(slow, silent=not self.answered) from None
        if isinstance(found, RequestException):
            raise found
        if isinstance(found, Exception):
            raise _Odd(line_of(found)) from found
        return found

    def answer(self, seconds: float) -> Response:
        """The answer, once its head is here."""
        found = self._next(seconds, f"no answer within {seconds:.0f} s")
        assert found is not None
        assert not isinstance(found, bytes)
        self.answered = True
        return found

    def chunks(self, seconds: float) -> Iterator[bytes]:
        """Its body, as it comes."""
        slow = f"less than {CHUNK >> 10} KiB came within {seconds:.0f} s"
        while isinstance(chunk := self._next(seconds, slow), bytes):
            yield chunk


def _receive(
    chunks: Iterator[bytes], part: Path, start: int, total: int | None, size: int | None, progress: Progress
) -> None:
    done = start
    # A small answer is read whole even when it has another size: its hash tells best what it is.
    most = UNTOLD if total is None and size is None else max(total or 0, size or 0, JUDGED_BY_HASH)
    progress(done, total)
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        for chunk in chunks:
            if done + len(chunk) > most:
                raise _TooLong(f"the server sends more than {most} bytes")
            file.write(chunk)
            done += len(chunk)
            progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Stumble(f"the connection ended after {done} of {total} bytes")
    if total is not None and done > total:
        forget(part)
        raise _Stumble(f"the server sent {done} bytes and had announced {total}")


def _resumable(part: Path, url: str, pinned: bool) -> tuple[int, str]:
    """Bytes that can be kept, and the version they belong to (empty when unknown)."""
    have = _size(part)
    try:
        note = read_json(_meta(part))
        known, validator = note["url"], str(note["validator"])
    except (OSError, Damaged, KeyError, TypeError):
        known, validator = "", ""
    if have and known == url and (validator or pinned):
        return have, validator
    forget(part)
    return 0, ""


def _refuse(answer: Response) -> None:
    """Raise unless the answer holds the file."""
    status = answer.status_code
    said = f"the server answers {status} {answer.reason or ''}".strip()
    if status in (408, 425, 429) or status >= 500:
        asked = answer.headers.get("Retry-After", "")
        raise _Stumble(said, float(asked) if asked.isdecimal() and len(asked) < 10 else None)
    if status not in (200, 206):
        raise NotThere(said)


def _range(answer: Response, have: int) -> tuple[int, int | None]:
    """Where the body starts, and the size of the whole file."""
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        # A body in some content coding is decoded on arrival, so its announced length says nothing.
        known = length.isdecimal() and not answer.headers.get("Content-Encoding")
        return 0, int(length) if known and len(length) < 20 else None
    found = re.match(r"bytes (\d{1,19})-\d+/(\d{1,19}|\*)$", answer.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        raise NotThere("the server answers with another range than it was asked for")
    return have, None if found[2] == "*" else int(found[2])


def _after_the_end(answer: Response, part: Path, have: int) -> None:
    """Nothing is left to send: either all is here, or the part belongs to another file."""
    if answer.headers.get("Content-Range", "") != f"bytes */{have}":
        forget(part)
        raise _Stumble("what was here of the file does not belong to it")


def _validator(answer: Response) -> str:
    tag = answer.headers.get("ETag", "")
    # A weak tag does not promise the same bytes.
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _meta(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def line_of(error: Exception) -> str:
    """The inmost reason of a chain of errors, in one line."""
    inmost: BaseException = error
    while inmost.__cause__ or (inmost.__context__ and not inmost.__suppress_context__):
        inmost = inmost.__cause__ or inmost.__context__ or inmost
    reason = getattr(inmost, "strerror", None) or str(inmost) or type(inmost).__name__
    return " ".join(str(reason).split())
