"""The same way into a mirror: a folder that ``LTBENCH_MIRROR`` accepts, for machines without a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import check_room, in_words, writable
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.hashes import sha256_of
from ltbench.data.getting.mirror import nearby
from ltbench.data.getting.needs import Needs
from ltbench.data.getting.notes import cached, expected
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import read_text_file

SUMS = "SHA256SUMS"
LICENCES = "LICENCES.txt"


def bundle(needs: Needs, out: Path, root: DataRoot, archives: bool = True) -> list[Path]:
    """Put every file that is needed into a mirror folder; files that are there and right stay.

    ``SHA256SUMS`` in the folder lists them as ``sha256sum -c`` reads it, ``LICENCES.txt`` says on which terms each was
    published.

    Args:
        archives: also the archives of data sets, which are large.

    Returns:
        The files, in the order of ``needs``.

    Raises:
        UserError: something cannot be had (``details`` has a line for each), or cannot be written.
    """
    sources = [*needs.sources, *(_archives(needs) if archives else [])]
    if not sources:
        raise UserError(f"{needs.name} needs no file that a mirror could hold", "ltbench data status")
    size = sum(source.size or 0 for source in sources)
    root.reporter.line(f"{len(sources)} files, {in_words(size)}, go to {out}")
    missing = [source for source in sources if not (out / source.layout).is_file()]
    check_room(out.absolute(), sum(source.size or 0 for source in missing), needs.name)
    made: dict[str, tuple[str, str]] = {}
    problems: list[UserError] = []
    for source in sources:
        try:
            path = _put(source, out, root)
        except UserError as error:
            problems.append(error)
            continue
        made[source.layout] = (sha256_of(path), source.licence)
    with writable(out, "--out DIR, a folder that you may write"):
        _list(out, made)
    if problems:
        raise UserError(
            f"{len(problems)} of {len(sources)} files are not in {out}",
            "ltbench data bundle again: what is there stays",
            [str(problem) for problem in problems],
        )
    return [out / layout for layout in made]


def _archives(needs: Needs) -> Sequence[Source]:
    return [piece.source for piece in needs.pieces if piece.source is not None]


def _put(source: Source, out: Path, root: DataRoot) -> Path:
    """Copy what is here; what is not is brought straight into the bundle, not through the cache."""
    target = out / Path(*source.layout.split("/"))
    near = _at_hand(source, root)
    if near is None or (target.exists() and target.samefile(near)):
        return fetch(source, root, target)
    with writable(target, "--out DIR, a folder that you may write"):
        if target.is_file() and sha256_of(target) == sha256_of(near):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            shutil.copyfile(near, part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    return target


def _at_hand(source: Source, root: DataRoot) -> Path | None:
    """The file in the cache or in a mirror folder, whichever is what it should be; None when neither is.

    Raises:
        UserError: ``LTBENCH_MIRROR`` is no mirror.
    """
    target = cached(source, root)
    for path in (target, nearby(source.layout)):
        if path is not None and path.is_file() and expected(source, target) in (None, sha256_of(path)):
            return path
    return None


def _list(out: Path, made: dict[str, tuple[str, str]]) -> None:
    """Rewrite the two lists, with what earlier bundles put into the folder."""
    sums = _read(out / SUMS, "  ", last=False) | {layout: digest for layout, (digest, _) in made.items()}
    licences = _read(out / LICENCES, ": ", last=True) | {layout: licence for layout, (_, licence) in made.items()}
    write_atomic(out / SUMS, "".join(f"{digest}  {layout}\n" for layout, digest in sorted(sums.items())))
    write_atomic(out / LICENCES, "".join(f"{layout}: {licence}\n" for layout, licence in sorted(licences.items())))


def _read(path: Path, between: str, last: bool) -> dict[str, str]:
    """Path → value of the lines of a list; ``last``: the value is what comes last."""
    if not path.is_file():
        return {}
    pairs = [
        line.partition(between) for line in read_text_file(path, hint=f"remove {path}").splitlines() if between in line
    ]
    return {left: right for left, _, right in pairs} if last else {right: left for left, _, right in pairs}
