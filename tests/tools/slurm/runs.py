"""Snakemake on the cluster of the tests, through the profile that users take."""

import contextlib
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.tools.slurm.cluster import Cluster

from segcert.provenance.digests import file_digest

ROOT = Path(__file__).parents[3]
SNAKEMAKE = ROOT / ".venv-cluster/bin/snakemake"
# The cluster of the tests has no accounting and nodes of one core; its file system is this machine's.
HERE = ["--default-resources", "slurm_partition=main", "--slurm-status-command", "squeue", "--latency-wait", "5"]
HERE += ["--slurm-init-seconds-before-status-checks", "1", "--max-threads", "1"]
COMPARED = ("models/*", "results/*/votes/*", "results/*/certificates*", "reports/*/tables/*")
TIMES = ("reports/*/tables/stages.csv", "*.record.json")


@contextlib.contextmanager
def run_on(cluster: Cluster, checkout: Path, *arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Snakemake in a checkout, its jobs going to the cluster; it appends to `log`. Killed where the block fails.

    Targets stand before options in `arguments`, which may take all that follows.
    """
    command = [SNAKEMAKE, "--workflow-profile", "profiles/slurm", *HERE, *arguments]
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=checkout, env=cluster.environment, stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def made(checkout: Path) -> dict[str, str]:
    """SHA-256 of models, votes, certificates and tables of a checkout, but of what holds times."""
    files = [path for top in ("models", "results", "reports") for path in (checkout / top).rglob("*") if path.is_file()]
    names = {path.relative_to(checkout).as_posix(): path for path in files}
    return {
        name: file_digest(path)
        for name, path in names.items()
        if any(fnmatch(name, pattern) for pattern in COMPARED) and not any(fnmatch(name, pattern) for pattern in TIMES)
    }


def differing(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """Names of the files that one lacks or that are not the same."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
