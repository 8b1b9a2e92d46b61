"""Pins fingerprints and counts of the tasks on the bundled data set: ``python -m ltbench.tasks.official.pin shapes``.

Writes ``shapes.json`` beside this file from the data as rendered; ``--check`` writes nothing and exits with 1 when the
file is not current. Run it when a definition changed, with a new version: pinned hashes of a published version stay.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from ltbench.data.base import DataRoot
from ltbench.data.shapes.hashes import PART_SHA256
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.tasks.cards.counting import count
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.registry import open_data_set, resolve
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import open_truth

DOCUMENTS = ("shapes",)


def image_fingerprint(task: Task) -> str:
    """sha256 over the hashes of all pixels of the parts a task uses; rendering refuses parts with other hashes."""
    parts = dict.fromkeys((task.train_part, task.validation.part, task.test_part))
    return fingerprint([f"{part}: {PART_SHA256[part]['images']}" for part in parts if part is not None])


def found_pins(document: str, root: DataRoot) -> dict[str, dict[str, Any]]:
    """``<address>.v<version>`` → fingerprints and counts as found, of every task that the document's module defines."""
    found: dict[str, dict[str, Any]] = {}
    for item in registry().tasks:
        if item.spec.target.startswith(f"ltbench.tasks.official.{document}:"):
            for task in resolve(item.spec.name):
                # What is pinned now must not find its way back into what is found.
                bare = task.model_copy(update={"fingerprints": Fingerprints(images=image_fingerprint(task))})
                data = open_data_set(bare, root)
                found[f"{task.address}.v{task.version}"] = {
                    **open_truth(bare, data).fingerprints.model_dump(exclude_none=True),
                    "counts": count(bare, data)[0].model_dump(exclude_none=True),
                }
    return found


def rendered(document: str, root: DataRoot) -> str:
    """The JSON text of a document, as it should be on disk."""
    return as_text(found_pins(document, root))


def as_text(pins: dict[str, dict[str, Any]]) -> str:
    """JSON with sorted keys, and a list of counts to a line."""
    text = json.dumps(pins, indent=1, sort_keys=True)
    return re.sub(r"\[[\s\d,]*\]", lambda found: json.dumps(json.loads(found[0])), text) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write or check one document."""
    parser = argparse.ArgumentParser(prog="python -m ltbench.tasks.official.pin", description=__doc__)
    parser.add_argument("document", choices=DOCUMENTS)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the file is not current")
    options = parser.parse_args(arguments)
    path = Path(__file__).with_name(f"{options.document}.json")
    text = rendered(options.document, DataRoot())
    current = path.read_text(encoding="utf-8") == text
    if not options.check and not current:
        write_atomic(path, text)
    print(f"{path.name}: {'current' if current else 'not current' if options.check else 'written'}")
    return 1 if options.check and not current else 0


if __name__ == "__main__":
    sys.exit(main())
