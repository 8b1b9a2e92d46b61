"""Environment variables that ltbench reads: what each means, and a word on those that it does not."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

PREFIX = "LTBENCH_"

VARIABLES = {
    "LTBENCH_CACHE": "folder of rendered data, downloads and features",
    "LTBENCH_CACHE_LIMIT": "most that one run may add to the features, e.g. `20G`; default 50 GiB",
    "LTBENCH_DATA": "folder with data sets you already have, as `--data-root`",
    "LTBENCH_MACHINE": "what a sweep on dask calls the machine of a job; ltbench sets it",
    "LTBENCH_MAX_PIXELS": "most pixels of a picture, e.g. `500M`; default 179 million",
    "LTBENCH_MIRROR": "a folder or an address that is asked before any download",
    "LTBENCH_OFFLINE": "1: never reach for the network, as `--offline`",
    "LTBENCH_PLUGINS": "names of the plugins to load, joined by commas; default all",
    "LTBENCH_TASKS": "folders with task folders, joined as in `PATH`; default `ltbench-tasks`",
}


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """One line for each variable that begins as ours do and that nothing reads."""
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in VARIABLES:
            continue
        near = difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.75)
        meant = f"did you mean {near[0]}?" if near else f"known are {', '.join(VARIABLES)}"
        yield f"warning: environment variable {name} means nothing to ltbench; {meant}"
