"""Pages that are made from the code whenever the site is built: methods, metrics, presets, and the Python reference."""

from __future__ import annotations

import importlib
import inspect
import posixpath
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from ltbench.method.config import load_presets
from ltbench.method.facts import facts_of
from ltbench.plugin.manager import registry
from ltbench.plugin.specs import MethodSpec

ROOT = Path(__file__).resolve().parents[2]
#: Modules whose public names have a page.
PUBLIC = (
    "ltbench",
    "ltbench.method",
    "ltbench.nn",
    "ltbench.losses",
    "ltbench.backbones.base",
    "ltbench.metrics",
    "ltbench.plugin",
    "ltbench.testing.kit",
)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def public_names(module: str) -> list[str]:
    """Names that a module offers, sorted: its ``__all__``, else what it defines without an underscore."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None)
    if listed is not None:
        return sorted(listed)
    own = [name for name, value in vars(found).items() if getattr(value, "__module__", None) == module]
    return sorted(name for name in own if not name.startswith("_"))


def home_of(module: str, name: str) -> str:
    """The dotted path where a public name is defined, which is where its docstring is."""
    found = getattr(importlib.import_module(module), name)
    if module == "ltbench" and not inspect.isfunction(found):
        return f"ltbench.api.{name}"
    place = getattr(found, "__module__", None)
    if (inspect.isclass(found) or inspect.isfunction(found)) and isinstance(place, str) and place.startswith("ltbench"):
        return f"{place}.{found.__qualname__}"
    return f"{module}.{name}"


def python_page(module: str) -> str:
    """One section for each public name."""
    doc = (importlib.import_module(module).__doc__ or "").split("::\n")[0].split("\n\n")[0].strip()
    sections = [f"::: {home_of(module, name)}\n" for name in public_names(module)]
    return "\n".join([f"# {module}\n", f"{doc}\n", *sections])


def card_of(spec: MethodSpec) -> str:
    """The card of a method, without its title."""
    if spec.card is None:
        return ""
    text = resources.files(spec.package).joinpath(spec.card).read_text(encoding="utf-8")
    lines = text.splitlines()
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines).strip()


def method_page(spec: MethodSpec) -> str:
    """Card (the paper, and where paper and code differ), needs, options and presets of a method."""
    facts = facts_of(spec)
    needs = {
        name: value for name, value in facts.needs.model_dump(mode="json").items() if value not in (None, False, "")
    }
    parts = [f"# {spec.name}", f"{spec.summary}.", card_of(spec), "## Needs"]
    parts.append(table(("need", "value"), [(f"`{name}`", f"`{value}`") for name, value in needs.items()]))
    parts += ["## Options", f"`ltbench run --method {spec.name} -o option=value`"]
    parts.append(
        table(("option", "default", "meaning"), [(f"`{o.name}`", f"`{o.value}`", o.description) for o in facts.options])
    )
    presets = [
        (p.name, ", ".join(p.tasks), ", ".join(p.backbones), p.variant or "", p.origin) for p in load_presets(spec)
    ]
    if presets:
        parts += ["## Presets", table(("preset", "tasks", "backbones", "variant", "origin"), presets)]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown; empty without rows."""
    if not rows:
        return "None."
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def pages() -> Iterator[tuple[str, str]]:
    """Path below docs/ and text of each page that is made from the code."""
    specs = [item.spec for item in registry().methods]
    listed = [(f"[{spec.name}]({spec.name}.md)", ", ".join(sorted(spec.families)), spec.summary) for spec in specs]
    yield (
        "reference/methods/README.md",
        "# Methods\n\nEach page has the method's card: the paper, what is learned, where paper and code differ.\n\n"
        f"{table(('method', 'made for', 'what it does'), listed)}\n",
    )
    for spec in specs:
        yield f"reference/methods/{spec.name}.md", method_page(spec)
    metrics = [(item.spec.name, item.spec.summary) for item in registry().metrics]
    yield (
        "reference/metrics.md",
        f"# Metrics\n\nWhat each means in full is in the [metric contract](../explanation/metric-contract.md).\n\n"
        f"{table(('metric', 'what it is'), metrics)}\n",
    )
    presets = [
        (f"[{spec.name}](methods/{spec.name}.md)", p.name, ", ".join(p.tasks), ", ".join(p.backbones), p.origin)
        for spec in specs
        for p in load_presets(spec)
    ]
    yield (
        "reference/presets.md",
        f"# Presets\n\nOptions with an origin; see [fair comparison](../explanation/fair-comparison.md).\n\n"
        f"{table(('method', 'preset', 'tasks', 'backbones', 'origin'), presets)}\n",
    )
    for module in PUBLIC:
        yield f"reference/python/{module}.md", python_page(module)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made from the code."""
    from mkdocs.structure.files import File

    for path, text in pages():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the repository that are no pages become their names; others are left for mkdocs to check."""
    if page.file.src_uri == "reference/cli.md":
        # Ranges of values ("[x>=0]", "[0<x<1]") would be looked up as references.
        markdown = re.sub(r"\[(?=[x\d][<>])", r"\\[", markdown)
    return repository_links(markdown, page.file.src_uri, {file.src_uri for file in files})


def repository_links(markdown: str, page: str, known: set[str]) -> str:
    """The text of a page below docs/ whose links leave docs/ only where such a page exists."""

    def named(found: re.Match[str]) -> str:
        text, target = found[1], found[2].partition("#")[0]
        place = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
        if place.removeprefix("docs/") in known or not (ROOT / place).exists():
            return found[0]
        return f"{text} (`{place}` in the repository)"

    return _LINK.sub(named, markdown)
