"""What a method says about itself before any of its code is imported, and so without torch.

A package may hold a ``facts.json`` beside the presets of its methods: their needs and options, made by
``python -m ltbench.method.facts``. Each entry carries a hash over the code that it was made from; where that is not the
code that is here, or a package has none, the method is imported and asked.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import to_jsonable_python

from ltbench.method.config import Needs, build_config
from ltbench.plugin.errors import PluginError
from ltbench.plugin.files import write_atomic
from ltbench.plugin.specs import MethodSpec

if TYPE_CHECKING:
    from ltbench.method.method import Method

NAME = "facts.json"
_BASES = {"ltbench.method.method", "ltbench.method.config"}


class Option(BaseModel):
    """One field of a configuration, with the value that it has without presets and options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    value: Any
    description: str


class MethodFacts(BaseModel):
    """What a method needs and may be told, in its base configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    needs: Needs
    options: tuple[Option, ...]


def facts_of(spec: MethodSpec) -> MethodFacts:
    """Needs and options of a method: read where they are written down, else asked of the method.

    Raises:
        UserError: the method cannot be loaded, or is not whole without an option.
    """
    return written(spec) or asked(spec)


def asked(spec: MethodSpec) -> MethodFacts:
    """Needs and options as the method itself tells them; imports it.

    Raises:
        UserError: as :func:`facts_of`.
    """
    cls: type[Method] = spec.load()
    config = build_config(cls.Config, spec.name, spec.config)
    # Not its dump, from which a configuration may leave out what it does not use.
    options = (
        Option(name=name, value=to_jsonable_python(getattr(config, name)), description=field.description or "")
        for name, field in type(config).model_fields.items()
    )
    return MethodFacts(needs=cls(config).needs(), options=tuple(options))


def written(spec: MethodSpec) -> MethodFacts | None:
    """Needs and options as the package has them written down; None where that is of other code, or not there."""
    try:
        text = resources.files(spec.package).joinpath(NAME).read_text(encoding="utf-8")
        entry = json.loads(text)[spec.name]
        if entry["code"] == _hash(spec, entry["modules"]):
            return MethodFacts.model_validate(entry["facts"])
    except (OSError, ImportError, ValueError, KeyError, TypeError, PluginError):
        return None
    return None


def write_facts(specs: Iterable[MethodSpec]) -> list[Path]:
    """Write the facts of methods down, one file for each package.

    Raises:
        UserError: a method cannot be loaded.
    """
    packages: dict[str, dict[str, Any]] = {}
    for spec in specs:
        modules = _modules(spec)
        packages.setdefault(spec.package, {})[spec.name] = {
            "code": _hash(spec, modules),
            "modules": modules,
            "facts": asked(spec).model_dump(mode="json"),
        }
    paths = []
    for package, entries in packages.items():
        path = Path(str(resources.files(package).joinpath(NAME)))
        write_atomic(path, json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        paths.append(path)
    return paths


def _modules(spec: MethodSpec) -> list[str]:
    """Modules that define a method's class, its configuration, and what they inherit from ltbench or the package.

    Without the bases of all methods, which have neither options nor needs.
    """
    cls: type[Method] = spec.load()
    own = ("ltbench", spec.target.partition(":")[0].partition(".")[0])
    found = {base.__module__ for base in (*cls.__mro__, *cls.Config.__mro__)}
    return sorted(name for name in found - _BASES if name.partition(".")[0] in own)


def _hash(spec: MethodSpec, modules: Iterable[str]) -> str:
    """sha256 over the base configuration and the files of modules.

    Raises:
        PluginError: a module has no file.
    """
    digest = hashlib.sha256(json.dumps(_plain(spec.config), sort_keys=True).encode())
    for name in modules:
        digest.update(f"{name}\n".encode())
        digest.update(_file(name).read_bytes())
    return digest.hexdigest()


def _plain(config: Mapping[str, Any]) -> Any:
    return to_jsonable_python(dict(config))


def _file(module: str) -> Path:
    """The file of a module, found without importing any package but the outermost."""
    top, *rest = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None or found.origin is None:
        raise PluginError(f"module {module} has no file")
    path = Path(found.origin) if not rest else Path(found.origin).parent.joinpath(*rest).with_suffix(".py")
    if rest and not path.is_file():
        path = Path(found.origin).parent.joinpath(*rest, "__init__.py")
    if not path.is_file():
        raise PluginError(f"module {module} has no file")
    return path


def main() -> None:
    """Write the facts of all methods that ltbench itself ships."""
    from ltbench.plugin.manager import CORE_DISTRIBUTION, registry

    own = [item.spec for item in registry().methods if item.distribution == CORE_DISTRIBUTION]
    for path in write_facts(own):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
