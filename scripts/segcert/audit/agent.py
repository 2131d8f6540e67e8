"""Who runs segcert in a checkout, and where the checkout comes from in public: what git is set to."""

import dataclasses
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from segcert.provenance.git import git


@dataclasses.dataclass(frozen=True)
class Agent:
    """A person: the ORCID as a URL, or #agent without one; and the name, or unknown."""

    identifier: str
    name: str


def find_agent(root: str | Path = ".") -> Agent:
    """The person that git names; `git config user.orcid 0000-...` adds the ORCID."""
    orcid = _setting("user.orcid", root)
    known = re.fullmatch(r"(\d{4}-){3}\d{3}[\dX]", orcid)
    return Agent(f"https://orcid.org/{orcid}" if known else "#agent", _setting("user.name", root) or "unknown")


def public_address(root: str | Path = ".") -> str:
    """Where the checkout was cloned from, if that is an https address; credentials left out. Else empty."""
    parts = urlsplit(_setting("remote.origin.url", root))
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}" if parts.scheme == "https" else ""


def _setting(key: str, root: str | Path) -> str:
    try:
        return git("config", key, root=root).strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
