"""Whether the web answers, asked before anything large is begun."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

from ltbench.data.getting.download import line_of

PATIENCE = 2.0
"""Seconds until a host counts as silent."""


def silent(addresses: Iterable[str], patience: float = PATIENCE) -> dict[str, str]:
    """The hosts that give no answer at all, and why; all are asked at once.

    Args:
        addresses: web addresses, of which each host's first is asked for its headers. Any answer will do.
        patience: seconds.
    """
    first: dict[str, str] = {}
    for address in addresses:
        first.setdefault(urlsplit(address).netloc, address)
    found: dict[str, str] = {}
    asking = [threading.Thread(target=_ask, args=(*each, patience, found), daemon=True) for each in first.items()]
    for thread in asking:
        thread.start()
    for thread in asking:
        # Names are looked up without a time limit of their own; asked at once, hosts share this one.
        thread.join(patience)
    return {host: found.get(host, f"no answer in {patience:g} s") for host in first if found.get(host) != ""}


def _ask(host: str, address: str, patience: float, found: dict[str, str]) -> None:
    import requests

    try:
        requests.head(address, timeout=patience, headers={"User-Agent": "ltbench"}).close()
    except requests.RequestException as error:
        found[host] = line_of(error)
    else:
        found[host] = ""
