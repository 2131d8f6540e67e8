"""Run Snakemake on the test cluster with profiles/slurm, the profile that users have."""

import contextlib
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.digests import reproducible
from tests.tools.slurm.cluster import Cluster

SNAKEMAKE = ROOT / ".venv-cluster/bin/snakemake"
# Options for the test cluster, which has no accounting, one core per node, and a local file system
HERE = ["--default-resources", "slurm_partition=main", "--slurm-status-command", "squeue", "--latency-wait", "5"]
HERE += ["--slurm-init-seconds-before-status-checks", "1", "--max-threads", "1"]
COMPARED = ("models/*", "results/*/votes/*", "results/*/certificates*", "reports/*/tables/*")


@contextlib.contextmanager
def run_on(cluster: Cluster, checkout: Path, *arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start Snakemake in a checkout, with its jobs on the cluster; append its output to `log`.

    Snakemake is killed if it still runs when the block ends. `arguments` must list targets before options, because some
    options consume all words after them.
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
    """Return the SHA-256 of a checkout's models, votes, certificates and tables, except files that contain times."""
    everything = reproducible(checkout)
    return {name: everything[name] for name in everything if any(fnmatch(name, pattern) for pattern in COMPARED)}
