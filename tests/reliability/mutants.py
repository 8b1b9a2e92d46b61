"""Files changed at random, given to their readers: no exception but the one line for users, and no wrong result."""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ltbench.plugin.errors import UserError
from reliability.readers import Reader, readers

#: What bytes are replaced by: ends of ranges, brackets, and what formats take for special.
TOKENS = (
    *(b"\x00", b"\xff", b"\xff\xfe", b"[", b"[" * 3000, b"{", b'{"a":' * 2000, b"]", b"}", b'"', b"\\ud800", b"null"),
    *(b"NaN", b"-1", b"1e999", b"9" * 5000, b"true", b"..", b"../../x", b"\n", b"\x1b[2J", b"&a [*a]", b"- " * 3000),
    *(b"!!python/x", b"<!DOCTYPE x>", b"\x80\x04", b"PK\x03\x04", b"\x93NUMPY", b"x" * 400, b""),
)


@st.composite
def changed(draw: st.DrawFn, sound: bytes) -> bytes:
    """Bytes of a sound file after a few changes."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 12))
        match draw(st.sampled_from(("bit", "token", "cut", "drop", "repeat", "bytes"))):
            case "bit" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "token":
                data[at : at + length] = draw(st.sampled_from(TOKENS))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + length]
            case "repeat":
                data[at:at] = data[at : at + 64]
            case _:
                data[at : at + length] = draw(st.binary(max_size=8))
    return bytes(data)


def attack(reader: Reader, mutants: int, number: int) -> Counter[str]:
    """Give a reader so many changed files.

    Returns:
        How many were refused, and how many read.

    Raises:
        AssertionError: what was read is wrong.
        Exception: a reader raised something else than UserError.
    """
    told: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=mutants, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )  # fmt: skip
    @given(changed(reader.sound))
    def one(content: bytes) -> None:
        reader.path.write_bytes(content)
        try:
            found = reader.read(reader.path)
        except UserError as error:
            lines = str(error).splitlines()
        else:
            reader.check(found, content)
            told["read"] += 1
            return
        assert len(lines) == 1, "an error of several lines"
        told["refused"] += 1

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one()
    finally:
        reader.path.write_bytes(reader.sound)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=20_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        found = readers(Path(folder))
        each = -(-given_.mutants // len(found))
        for reader in found:
            began = time.monotonic()
            try:
                told = attack(reader, each, given_.seed)
            except Exception as error:
                failed += 1
                line = " ".join(str(error).split())[:200]
                print(f"{reader.name}: FAILED: {type(error).__name__}: {line}", flush=True)
                continue
            seconds = time.monotonic() - began
            print(f"{reader.name}: {told['refused']} refused, {told['read']} read, {seconds:.0f} s", flush=True)
    print(f"{len(found)} readers, {each} mutants each, {failed} failed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
