"""State of a checkout according to Git: commit, changed files, author and public address."""

import datetime
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CODE = ("Snakefile", "rules/", "scripts/", "envs/", "config/", "profiles/")


def git(*arguments: str, root: str | Path = ".") -> str:
    """Return the output of a Git command. Raises OSError or CalledProcessError if the command fails."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.rstrip("\n")


def git_state(root: str | Path = ".") -> dict[str, Any]:
    """Return the state of a checkout as a dict with the keys `commit`, `clean` and `changed`.

    `commit` is the hash of the current commit, `changed` lists the changed files, and `clean` is True if there are
    none.

    Changes to DVC pointers are ignored, because runs write pointers. Untracked files are ignored unless they are in the
    folders of code and configuration (`CODE`). Outside a Git checkout, `commit` and `clean` are None.
    """
    try:
        # A folder inside a checkout is not itself a checkout.
        if Path(git("rev-parse", "--show-toplevel", root=root)) != Path(root).resolve():
            return {"commit": None, "clean": None, "changed": []}
        commit = git("rev-parse", "HEAD", root=root)
        lines = git("status", "--porcelain", "--untracked-files=all", "--", ":!*.dvc", root=root).splitlines()
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "clean": None, "changed": []}
    changed = [line[3:] for line in lines if line[:2] != "??" or line[3:].strip('"').startswith(CODE)]
    return {"commit": commit, "clean": not changed, "changed": changed}


def commit_time(root: str | Path = ".") -> datetime.datetime:
    """Return the time of the current commit in UTC. Raises OSError or CalledProcessError if Git cannot read it."""
    seconds = int(git("log", "-1", "--format=%ct", root=root))
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def find_author(root: str | Path = ".") -> tuple[str, str]:
    """Return the user's ORCID (as a URL) and name from Git's configuration.

    Without a valid ORCID, `#agent` is returned in its place. Without a name, `unknown` is returned in its place. To set
    the ORCID, run `git config user.orcid 0000-...`.
    """
    orcid = _setting("user.orcid", root)
    valid = re.fullmatch(r"(\d{4}-){3}\d{3}[\dX]", orcid)
    return f"https://orcid.org/{orcid}" if valid else "#agent", _setting("user.name", root) or "unknown"


def public_address(root: str | Path = ".") -> str:
    """Return the https address from which the checkout was cloned, without credentials.

    Return an empty string if there is no such address.
    """
    parts = urlsplit(_setting("remote.origin.url", root))
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}" if parts.scheme == "https" else ""


def _setting(key: str, root: str | Path) -> str:
    try:
        return git("config", key, root=root).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
