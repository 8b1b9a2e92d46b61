"""Released weights as files with places: from there they travel as data do. Imports no torch.

A file is looked for in the cache, in installed packages, in the folders that open_clip, CLIP and the hub's own client
keep, in the mirror that ``LTBENCH_MIRROR`` names, and at its places on the web, in this order.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from ltbench.backbones.registry import find_backbone
from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import check_room
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.hashes import WrongFile, sha256_of
from ltbench.data.getting.mirror import nearby
from ltbench.data.getting.notes import cached
from ltbench.data.getting.sources import HUB, Source
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_with

ALTERNATIVES = "--weights random (for trying the path, never ranked), or --weights FILE"
_UNPINNED = "the hub publishes no sha256 beside the address; what arrives first is remembered"


@dataclass(frozen=True)
class Released:
    """Released weights of a backbone: one file, to be had at any of several places.

    Attributes:
        backbone: as typed.
        places: at least one, the best first.
        bytes: about how large the file is; 0 where nobody says.
        install: the command that brings it in a package; empty where no package has it.
    """

    backbone: str
    places: tuple[Source, ...]
    bytes: int = 0
    install: str = ""

    def found(self, root: DataRoot) -> tuple[Source, Path] | None:
        """The file, where it is on this machine and not in a mirror, and its place; nothing is asked for.

        Raises:
            UserError: a package that is installed holds another file than the pinned one.
        """
        for place in self.places:
            target = cached(place, root)
            if target.is_file():
                return place, target
        for place in self.places:
            if place.package is not None:
                path = installed_file(place)
                if path is not None:
                    return place, path
                continue
            for path in _kept_by_others(place):
                if place.sha256 is None or place.sha256 == sha256_of(path):
                    return place, path
        return None

    def here(self, root: DataRoot) -> Path | None:
        """The file, where it is on this machine and not in a mirror."""
        found = self.found(root)
        return None if found is None else found[1]

    def to_cache(self, root: DataRoot) -> Source:
        """Bring the file into the cache itself, from which bundles are made; the place that it is of.

        Raises:
            UserError: as :meth:`bring`.
        """
        self.bring(root)
        found = self.found(root)
        assert found is not None
        place, path = found
        target = cached(place, root)
        if path != target:
            check_room(root.cache, path.stat().st_size, place.name)
            write_with(target, lambda file: _copy(path, file))
        return place

    def mirrored(self) -> Source | None:
        """The place that the mirror folder answers for; None where it answers for none.

        Raises:
            UserError: ``LTBENCH_MIRROR`` is no mirror.
        """
        return next((place for place in self.places if nearby(place.layout) is not None), None)

    def bring(self, root: DataRoot) -> Path:
        """The file, brought if need be.

        Raises:
            UserError: it is nowhere to be had, is another file than the pinned one, or there is no room for it.
        """
        found = self.found(root)
        if found is not None:
            place, path = found
            # Of a file of our own the hash is looked at, and one that was harmed is brought again.
            return fetch(place, root) if path == cached(place, root) else path
        near = self.mirrored()
        if near is not None:
            return fetch(near, root)
        install = f"{self.install}; or " if self.install else ""
        if root.offline:
            raise UserError(
                f"the released weights of {self.backbone} are not on this machine",
                f"{install}LTBENCH_MIRROR=DIR with {self.places[0].layout}, run once without --offline, or --weights"
                " FILE",
            )
        check_room(root.cache, self.bytes, f"the file of weights of {self.backbone}")
        return self._download(root)

    def _download(self, root: DataRoot) -> Path:
        problems: list[UserError] = []
        for place in self.places:
            try:
                return fetch(place, root)
            except WrongFile:
                # Somebody altered it: that is not put right by looking elsewhere.
                raise
            except UserError as problem:
                problems.append(problem)
                if len(problems) < len(self.places):
                    root.reporter.line(f"{problem.message}; asking elsewhere")
        raise UserError(
            f"the released weights of {self.backbone} could not be downloaded "
            f"({'; '.join(problem.message for problem in problems)})",
            f"{f'{self.install}; or ' if self.install else ''}LTBENCH_MIRROR=DIR with {self.places[0].layout}; "
            f"{ALTERNATIVES}",
        )


def released_files(backbone: str) -> tuple[Released, ...]:
    """Released weights of a backbone by name, file by file; none where there is nothing to bring, or nobody says.

    Raises:
        UnknownName: no such backbone, or its library knows no such model.
        UserError: the backbone's plugin lacks a package.
    """
    spec = find_backbone(backbone)[0].spec
    if spec.released is None:
        return ()
    told: Callable[[str], Released | tuple[Released, ...] | None] = spec.load_target(spec.released)
    found = told(backbone)
    return () if found is None else found if isinstance(found, tuple) else (found,)


def released_of(backbone: str) -> Released | None:
    """Released weights of a backbone whose weights are one file; see :func:`released_files`."""
    return next(iter(released_files(backbone)), None)


def bring_weights(backbone: str, root: DataRoot) -> None:
    """Bring the released weights of a backbone, where they are not here; progress is reported.

    Raises:
        UserError: as :meth:`Released.bring`.
    """
    for file in released_files(backbone):
        if file.here(root) is None:
            file.bring(root)


def installed_file(place: Source) -> Path | None:
    """The file of a package, where that is installed; found in the package's folder, whose code is not imported.

    Raises:
        UserError: the installed file has another sha256 than the pinned one.
    """
    assert place.package is not None
    name, version, path = place.package
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return None
    file = Path(str(package.locate_file(path)))
    if not file.is_file():
        return None
    found = sha256_of(file)
    if found != place.sha256:
        raise UserError(
            f"{place.name} of the installed package {name} {package.version} has sha256 {found}, not the pinned one"
            f" {place.sha256}",
            f"pip install --force-reinstall {name}=={version}",
        )
    return file


def hub_files(address: str, *names: str, licence: str = "") -> tuple[Source, ...]:
    """Files of a repository on the hub, which answer for each other.

    Args:
        address: ``owner/name/`` for the files ``names``, or ``owner/name/file``.
    """
    repository, _, name = address.rpartition("/")
    short = repository.rpartition("/")[2]
    return tuple(
        Source(
            name=f"{short}.{each}",
            origin=f"{HUB}/{repository}/resolve/main/{each}",
            sha256=None,
            size=None,
            licence=licence or f"as {HUB}/{repository} says",
            unpinned=_UNPINNED,
        )
        for each in ([name] if name else names)
    )


def web_file(url: str, licence: str) -> Source:
    """A file at an address; OpenAI's addresses say its sha256."""
    steps = urlsplit(url).path.split("/")
    says = "openaipublic" in url
    return Source(
        name=steps[-1],
        origin=url,
        sha256=steps[-2] if says else None,
        size=None,
        licence=licence,
        unpinned="" if says else "its address says at most the first digits; what arrives first is remembered",
    )


def places_of(config: Mapping[str, Any]) -> tuple[Source, ...]:
    """Places of an entry of open_clip's table of weights."""
    licence = str(config.get("license") or "")
    url, repository = str(config.get("url") or ""), str(config.get("hf_hub") or "")
    hub: tuple[Source, ...] = ()
    if repository:
        hub = hub_files(repository, "open_clip_model.safetensors", "open_clip_pytorch_model.bin", licence=licence)
    if not url:
        return hub
    own = web_file(url, licence or ("MIT" if "openaipublic" in url else "as the model's authors say"))
    # A hash makes a place the best one; otherwise the hub comes first, as in open_clip.
    return (own, *hub) if own.sha256 else (*hub, own)


def _copy(path: Path, file: IO[bytes]) -> None:
    with path.open("rb") as source:
        shutil.copyfileobj(source, file)


def _kept_by_others(place: Source) -> Iterator[Path]:
    """Where the hub's client, and CLIP and open_clip, keep the file of a place."""
    if place.origin.startswith(f"{HUB}/"):
        from huggingface_hub import try_to_load_from_cache

        repository, _, name = place.origin.removeprefix(f"{HUB}/").partition("/resolve/main/")
        found = try_to_load_from_cache(repository, name)
        if isinstance(found, str):
            yield Path(found)
        return
    downloaded = Path.home() / ".cache" / "clip" / os.path.basename(urlsplit(place.origin).path)
    if downloaded.is_file():
        yield downloaded
