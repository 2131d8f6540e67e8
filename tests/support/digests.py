"""Compute the digests of files made by runs, so that runs can be compared with each other."""

import re
from pathlib import Path

from segcert.provenance.digests import file_digest

# Files that contain measured times, including copies of Snakemake's and segcert's records
TIMES = re.compile(
    r"results/(\.trail|[^/]+/seconds)/|reports/([^/]+\.dvc|[^/]+/(index\.html|(tables|figures)/stages\.))"
    r"|.*\.record\.json$"
)


def digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in data, models, results and reports, by its path in the checkout."""
    paths = (path for top in ("data", "models", "results", "reports") for path in (root / top).rglob("*"))
    return {path.relative_to(root).as_posix(): file_digest(path) for path in paths if path.is_file()}


def reproducible(root: Path) -> dict[str, str]:
    """Return the digests of the files that are identical in every run of a configuration: those without times."""
    return {name: digest for name, digest in digests(root).items() if not TIMES.match(name)}


def differing(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """Return the names of the files that differ or are missing on one side."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
