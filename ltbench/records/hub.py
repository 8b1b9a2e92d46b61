"""Records in a data set repository of the Hugging Face hub, laid out as a folder of leaderboards is.

``<task>/v<version>/records/*.json`` and ``<task>/v<version>/logits/*.safetensors``. What comes from there is read like
any other folder: nothing of it is believed before it is verified.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.names import below

KIND = "dataset"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PATTERNS = ("*/v*/records/*.json", "*/v*/logits/*.safetensors")


def check_name(repository: str) -> str:
    """The name of a repository, ``OWNER/NAME``.

    Raises:
        UserError: it is none.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UserError(f"{repository!r} is no repository of the hub", "write OWNER/NAME")
    return repository


def fetch(repository: str) -> Path:
    """Bring the records of a repository, and their logits, to the cache.

    Without a network, what was brought before is taken.

    Returns:
        A folder of leaderboards.

    Raises:
        UserError: there is no such repository, or it can neither be reached nor is it in the cache.
    """
    from huggingface_hub import HfApi

    from ltbench.data.base import default_cache

    # A folder of its own: in the hub's cache files are links, and lie in no folder of records.
    place = below(default_cache() / "hub", *check_name(repository).split("/"))
    with _explained(repository, "ltbench leaderboard --records DIR"):
        found = HfApi().snapshot_download(
            repository, repo_type=KIND, allow_patterns=list(_PATTERNS), local_dir=str(place)
        )
    return Path(found)


def propose(repository: str, files: Mapping[str, Path], title: str) -> str:
    """Open a pull request that adds files to a repository.

    Args:
        repository: ``OWNER/NAME``.
        files: place in the repository → file here.
        title: of the pull request.

    Returns:
        Its address.

    Raises:
        UserError: one of the files is there already, or the repository cannot be reached or takes none from this user.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with _explained(check_name(repository), "hf auth login"):
        present = set(api.list_repo_files(repository, repo_type=KIND))
        for place in files:
            if place in present and place.endswith(".json"):
                raise UserError(f"{place} is in {repository} already", f"ltbench leaderboard --from-hub {repository}")
        added = [
            CommitOperationAdd(path_in_repo=place, path_or_fileobj=path)
            for place, path in files.items()
            if place not in present
        ]
        done = api.create_commit(repository, added, commit_message=title, repo_type=KIND, create_pr=True)
    return str(done.pr_url or done.commit_url)


@contextmanager
def _explained(repository: str, following: str) -> Iterator[None]:
    """Errors of the hub in one line."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise UserError(f"nobody is logged in to the hub, so {repository} takes nothing", "hf auth login") from error
    except RepositoryNotFoundError as error:
        raise UserError(f"the hub shows no data set repository {repository} to this user", "hf auth login") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, TimeoutError) as error:
        raise UserError(f"{repository} cannot be reached, and this machine has no copy of it", following) from error
    except HfHubHTTPError as error:
        line = " ".join(str(error).split())[:200]
        raise UserError(f"the hub refused {repository}: {line}", following) from error
    except OSError as error:
        # Failures of the network come as errors of the library that the hub's client uses.
        line = " ".join(str(error).split())[:200]
        raise UserError(f"{repository} cannot be reached ({line})", following) from error
