"""Reading files that others wrote: JSON, YAML, XML, text and arrays, within bounds, whatever their bytes.

Each reader gives what a sound file holds, and for every other one :class:`~ltbench.plugin.errors.Damaged`, which names
the file and the damage. What the system says of a file (it is gone, it may not be read, there is no memory) is no
damage: ``OSError`` and ``MemoryError`` pass through.
"""

from __future__ import annotations

import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Protocol

from ltbench.plugin.errors import Damaged

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

#: Bytes of a JSON file, unless the caller expects more; of a YAML file; of all arrays of an archive.
LARGEST_JSON, LARGEST_YAML, LARGEST_ARRAYS = 64 * 2**20, 2**20, 64 * 2**30
#: Bytes of an XML file, and of a text file of a user's.
LARGEST_XML, LARGEST_TEXT = 16 * 2**20, 2 * 2**30
#: Containers within containers.
DEEPEST = 64
#: Values of a YAML document, those that aliases repeat counted each time.
MOST_VALUES = 100_000
#: A tuple, as a union of types takes several times as long to look at, and a folder may have a million values.
_CONTAINERS = (dict, list, tuple, set)


def read_json(path: Path, *, name: str = "", hint: str = "", most: int = LARGEST_JSON) -> Any:
    """The document of a JSON file in UTF-8: finite numbers, sound text, at most 64 levels.

    Args:
        name: of the file in errors; empty takes its own.
        hint: the next command to type when it is damaged.
        most: bytes.

    Raises:
        Damaged: it is something else.
        OSError: it cannot be read.
    """
    return parse_json(read_content(path, name=name, hint=hint, most=most), name=name or path.name, hint=hint)


def read_content(path: Path, *, name: str = "", hint: str = "", most: int) -> bytes:
    """The bytes of a file that is one, and is no larger than that.

    Raises:
        Damaged: it is something else.
        OSError: it cannot be read.
    """
    return _content(path, name or path.name, hint, most)


def parse_json(content: bytes, *, name: str, hint: str = "") -> Any:
    """As :func:`read_json`, of bytes."""
    try:
        text = content.decode("utf-8")
        document = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        _check_depth(document)
        if "\\u" in text or "\\U" in text:
            # An escape may stand for half a character, which no file can be written with.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except MemoryError:
        raise
    except RecursionError as error:
        raise Damaged(name, f"more than {DEEPEST} levels", hint) from error
    except UnicodeDecodeError as error:
        raise Damaged(name, f"no UTF-8 from byte {error.start} on", hint) from error
    except UnicodeEncodeError as error:
        raise Damaged(name, "it holds half a character", hint) from error
    except ValueError as error:
        raise Damaged(name, one_line(error), hint) from error
    return document


def read_text_file(path: Path, *, name: str = "", hint: str = "", most: int = LARGEST_TEXT) -> str:
    """A text file in UTF-8, with or without a byte-order mark.

    Raises:
        Damaged: it is something else.
        OSError: it cannot be read.
    """
    content = _content(path, name or path.name, hint, most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Damaged(name or path.name, f"no UTF-8 from byte {error.start} on", hint) from error


def read_yaml_file(path: Path, *, name: str = "", hint: str = "") -> Any:
    """The document of a YAML file of plain types, in UTF-8.

    Raises:
        Damaged: it is something else, has too many levels, or grows by aliases.
        OSError: it cannot be read.
    """
    text = read_text_file(path, name=name, hint=hint, most=LARGEST_YAML)
    return parse_yaml(text, name=name or path.name, hint=hint)


def parse_yaml(text: str, *, name: str, hint: str = "") -> Any:
    """As :func:`read_yaml_file`, of a text."""
    import yaml

    try:
        if _brackets(text) > 16 * DEEPEST:
            raise RecursionError
        # Not libyaml's loader: it has no bound of its own, and levels without end would end the process.
        document = yaml.safe_load(text)
        _check_depth(document, MOST_VALUES)
    except MemoryError:
        raise
    except RecursionError as error:
        raise Damaged(name, f"more than {DEEPEST} levels", hint) from error
    except Exception as error:
        # Its constructors raise what they like (a date of month 13, a key that has no hash).
        raise Damaged(name, one_line(error), hint) from error
    return document


class XmlHandler(Protocol):
    """What is told of an XML document, as ``xml.etree.ElementTree.TreeBuilder`` is."""

    def start(self, tag: str, attributes: dict[str, str], /) -> Any:
        """An element begins."""
        ...

    def end(self, tag: str, /) -> Any:
        """An element ends; may raise ValueError."""
        ...

    def data(self, text: str, /) -> Any:
        """A part of its text."""
        ...


def read_xml(path: Path, handler: XmlHandler, *, name: str = "", hint: str = "", most: int = LARGEST_XML) -> None:
    """Tell a handler what an XML file holds. Nothing is expanded: a document type declaration is refused before
    anything in it takes effect, so neither entities that grow (the "billion laughs") nor external ones can do harm.

    Raises:
        Damaged: it is something else, declares a document type, or has more than 64 levels.
        OSError: it cannot be read.
    """
    from xml.parsers import expat

    called = name or path.name
    content = _content(path, called, hint, most)
    level = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal level
        level += 1
        if level > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels")
        handler.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal level
        level -= 1
        handler.end(tag)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = handler.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise Damaged(called, f"broken XML: {one_line(error)}", hint) from error
    except (ValueError, LookupError) as error:
        # An encoding that nobody knows is a LookupError.
        raise Damaged(called, one_line(error), hint) from error


def load_npz(
    path: Path, *, names: Sequence[str] | None = None, name: str = "", hint: str = "", most: int = LARGEST_ARRAYS
) -> Arrays:
    """Arrays of a ``.npz`` file, their checksums compared; arrays of objects are refused.

    Args:
        names: of the arrays that are wanted, where they are there; None takes all.
        most: bytes of these together.

    Raises:
        Damaged: it is something else.
        OSError: it cannot be read.
    """
    called = name or path.name
    _check_file(path, called, hint)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = [each for each in members if names is None or each in names]
            total = sum(members[each].file_size for each in wanted)
            if total > most:
                raise ValueError(f"its arrays would have {total} bytes, {most} are the most")
            found: Arrays = {}
            for each in wanted:
                with archive.open(members[each]) as file:
                    found[each] = _array(file, members[each].file_size, each)
            return found
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise Damaged(called, one_line(error), hint) from error
        raise
    except Exception as error:
        # zipfile and zlib raise what they like of bytes that are no archive.
        raise Damaged(called, one_line(error), hint) from error


def load_npy(path: Path, *, mapped: bool = False, name: str = "", hint: str = "") -> npt.NDArray[Any]:
    """The array of a ``.npy`` file; arrays of objects are refused.

    Args:
        mapped: as a memory map, read-only.

    Raises:
        Damaged: it is something else.
        OSError: it cannot be read.
    """
    import numpy as np

    called = name or path.name
    size = _check_file(path, called, hint)
    try:
        with path.open("rb") as file:
            if not mapped:
                return _array(file, size, called)
            shape, fortran, dtype, start = _header(file, size, called)
            order = "F" if fortran else "C"
            if not all(shape):
                return np.empty(shape, dtype, order=order)  # type: ignore[call-overload,no-any-return]
            return np.memmap(file, dtype, "r", start, shape, order)  # type: ignore[call-overload,no-any-return]
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise Damaged(called, one_line(error), hint) from error


def npy_content(path: Path, called: str = "") -> tuple[tuple[int, ...], Any, int]:
    """Shape, type, and offset of the numbers of a ``.npy`` file, none of which are read.

    Raises:
        Damaged: as :func:`load_npy`.
        OSError: it cannot be read.
    """
    size = _check_file(path, called or path.name, "")
    try:
        with path.open("rb") as file:
            shape, fortran, dtype, start = _header(file, size, called or path.name)
    except OSError:
        raise
    except Exception as error:
        raise Damaged(called or path.name, one_line(error)) from error
    if fortran:
        raise Damaged(called or path.name, "its numbers are in column order")
    return shape, dtype, start


def one_line(error: BaseException) -> str:
    """What an error says, in one short line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _header(file: IO[bytes], size: int, what: str) -> tuple[tuple[int, ...], bool, Any, int]:
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    readers: dict[tuple[int, int], Any] = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"{what} is an array of version {version}")
    shape, fortran, dtype = readers[version](file)
    start = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{what} holds objects, not numbers or text")
    count = 1
    for length in shape:
        if length < 0:
            raise ValueError(f"{what} has the shape {shape}")
        count *= length
    if count * dtype.itemsize != size - start:
        raise ValueError(f"{what} states {count * dtype.itemsize} bytes and holds {size - start}")
    return shape, fortran, dtype, start


def _array(file: IO[bytes], size: int, what: str) -> npt.NDArray[Any]:
    import numpy as np

    shape, fortran, dtype, start = _header(file, size, what)
    made = np.empty(shape[::-1] if fortran else shape, dtype)
    room = made.reshape(-1).view(np.uint8).data if size > start else memoryview(bytearray())
    at = 0
    while at < len(room):
        part = file.read(min(len(room) - at, 2**24))
        if not part:
            raise ValueError(f"{what} ends after {start + at} of {size} bytes")
        room[at : at + len(part)] = part
        at += len(part)
    # The end has to be reached: there an archive compares its checksum.
    if file.read(1):
        raise ValueError(f"{what} goes on after its end")
    return made.T if fortran else made


def _content(path: Path, name: str, hint: str, most: int) -> bytes:
    size = _check_file(path, name, hint)
    if size <= most:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) <= most:
            return content
        size = len(content)
    raise Damaged(name, f"it has {size} bytes, {most} are the most", hint)


def _check_file(path: Path, name: str, hint: str) -> int:
    """Bytes of a file that is one: a pipe would be waited for without end."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise Damaged(name, "it is no regular file", hint)
    return status.st_size


def _check_depth(document: Any, most: int | None = None) -> None:
    """Refuse a document with too many levels or, aliases followed, too many values."""
    level: list[Any] = [document]
    count = 0
    for _ in range(DEEPEST + 1):
        count += len(level)
        if most is not None and count > most:
            raise ValueError(f"more than {most} values")
        level = [part for each in level for part in _parts(each) if isinstance(part, _CONTAINERS)]
        if not level:
            return
        count += sum(len(each) for each in level)
    raise ValueError(f"more than {DEEPEST} levels")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, _CONTAINERS) else ()


def _brackets(text: str) -> int:
    """The most brackets that are open at once, those in texts counted with them: deep documents take long to parse."""
    most = now = 0
    for letter in re.findall(r"[\[\]{}]", text):
        now += 1 if letter in "[{" else -1
        most = max(most, now)
    return most


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _refuse_doctype(name: str, system: str | None, public: str | None, internal: bool) -> NoReturn:
    raise ValueError("it declares a document type")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
