"""What git says of a checkout.

Who runs segcert in a checkout, and where the checkout comes from in public: what git is set to.
"""

import dataclasses
import datetime
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CODE = ("Snakefile", "rules/", "scripts/", "envs/", "config/", "profiles/")


def git(*arguments: str, root: str | Path = ".") -> str:
    """What a git command prints. Raises OSError or CalledProcessError."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def git_state(root: str | Path = ".") -> dict[str, Any]:
    """The commit that is checked out here, whether the tree is clean, and the files that differ from the commit.

    Pointers to data do not count, which a run writes itself; of files that git does not track, those count that lie
    where code and configuration do. None for commit and clean where no checkout is.
    """
    try:
        if Path(git("rev-parse", "--show-toplevel", root=root)) != Path(root).resolve():  # within another checkout
            return {"commit": None, "clean": None, "changed": []}
        commit = git("rev-parse", "HEAD", root=root)
        lines = git("status", "--porcelain", "--untracked-files=all", "--", ":!*.dvc", root=root).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None, "changed": []}
    changed = [line[3:] for line in lines if line[:2] != "??" or line[3:].strip('"').startswith(CODE)]
    return {"commit": commit, "clean": not changed, "changed": changed}


def commit_time(root: str | Path = ".") -> datetime.datetime:
    """When the commit was made that is checked out, in UTC. Raises OSError or CalledProcessError."""
    seconds = int(git("log", "-1", "--format=%ct", root=root))
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Author:
    """A person: the ORCID as a URL, or #agent without one; and the name, or unknown."""

    identifier: str
    name: str


def find_author(root: str | Path = ".") -> Author:
    """The person that git names; `git config user.orcid 0000-...` adds the ORCID."""
    orcid = _setting("user.orcid", root)
    known = re.fullmatch(r"(\d{4}-){3}\d{3}[\dX]", orcid)
    return Author(f"https://orcid.org/{orcid}" if known else "#agent", _setting("user.name", root) or "unknown")


def public_address(root: str | Path = ".") -> str:
    """Where the checkout was cloned from, if that is an https address; credentials left out. Else empty."""
    parts = urlsplit(_setting("remote.origin.url", root))
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}" if parts.scheme == "https" else ""


def _setting(key: str, root: str | Path) -> str:
    try:
        return git("config", key, root=root).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
