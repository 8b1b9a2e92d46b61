"""Pages of ``docs/reference/tasks``, from the tasks themselves: ``python tests/docs/task_pages.py`` writes them."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.manager import registry
from ltbench.report.task_figures import figures_section
from ltbench.tasks.cards.card import as_markdown, make_card
from ltbench.tasks.registry import resolve

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tasks"
INTRODUCTION = """# Tasks

One page for each official task: what it asks, of which rows, from which files, and what people get wrong about it.
`ltbench show task NAME` prints the same, and counts again in the files that are at hand. These pages are written by
`python tests/docs/task_pages.py`.

| task | family | settings | what it asks |
| --- | --- | --- | --- |
"""


def pages() -> dict[str, str]:
    """File name → text."""
    made = {}
    index = INTRODUCTION
    for item in registry().tasks:
        spec = item.spec
        if item.distribution != "ltbench":
            continue
        made[f"{spec.name}.md"] = as_markdown(make_card(resolve(spec.name)), figures_section(spec.name))
        index += (
            f"| [`{spec.name}`]({spec.name}.md) | {spec.family} | {' '.join(spec.settings) or '–'} | {spec.summary} |\n"
        )
    return {**made, "README.md": index}


def main() -> None:
    """Write the pages, and remove those of tasks that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/reference/tasks/{name}")


if __name__ == "__main__":
    main()
