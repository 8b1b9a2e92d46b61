"""Pins the fingerprints of the tasks on the bundled data set: ``python -m ltbench.tasks.official.pin shapes``.

Writes ``shapes.json`` beside this file from the data as rendered; ``--check`` writes nothing and exits with 1 when the
file is not current. Run it when a definition changed, with a new version: pinned hashes of a published version stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.shapes.hashes import PART_SHA256
from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.tasks.protocols import fingerprint
from ltbench.tasks.registry import open_data_set, resolve
from ltbench.tasks.task import Fingerprints, Task
from ltbench.tasks.views import open_truth

DOCUMENTS = ("shapes",)


def image_fingerprint(task: Task) -> str:
    """sha256 over the hashes of all pixels of the parts a task uses; rendering refuses parts with other hashes."""
    parts = dict.fromkeys((task.train_part, task.validation.part, task.test_part))
    return fingerprint([f"{part}: {PART_SHA256[part]['images']}" for part in parts if part is not None])


def found_fingerprints(document: str, root: DataRoot) -> dict[str, dict[str, str]]:
    """``<address>.v<version>`` → fingerprints as found, of every task that the module of the document defines."""
    found: dict[str, dict[str, str]] = {}
    for item in registry().tasks:
        if item.spec.target.startswith(f"ltbench.tasks.official.{document}:"):
            for task in resolve(item.spec.name):
                # What is pinned now must not find its way back into what is found.
                bare = task.model_copy(update={"fingerprints": Fingerprints(images=image_fingerprint(task))})
                fingerprints = open_truth(bare, open_data_set(bare, root)).fingerprints
                found[f"{task.address}.v{task.version}"] = fingerprints.model_dump(exclude_none=True)
    return found


def rendered(document: str, root: DataRoot) -> str:
    """The JSON text of a document, as it should be on disk."""
    return json.dumps(found_fingerprints(document, root), indent=1, sort_keys=True) + "\n"


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
