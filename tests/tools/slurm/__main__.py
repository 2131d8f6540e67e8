"""`python -m tests.tools.slurm`: compare a run on a cluster with a run without one, or inject faults into runs."""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.support.checkout import make_checkout
from tests.support.digests import differing
from tests.tools.slurm.cluster import cluster
from tests.tools.slurm.faults import CONFIGURATION, FAULTS, VOTES, inject_fault
from tests.tools.slurm.runs import made, run_on


def compare(configfile: str, local: Path | None, folder: Path) -> bool:
    """Run a configuration on the cluster and without it, and compare the files. Return True if all are identical.

    `local` is a checkout in which the run without a cluster has already finished; None: run it.
    """
    there = make_checkout(folder / "cluster")
    with cluster(folder / "slurm") as found:
        started = time.monotonic()
        with run_on(found, there.path, "--configfile", configfile, log=folder / "cluster.log") as process:
            process.wait()
        seconds = time.monotonic() - started
    said = (folder / "cluster.log").read_text()
    if process.returncode:
        print(said)
        return False
    print(f"On the cluster: {seconds:.0f} s, {said.count('submitted with SLURM jobid')} SLURM jobs", flush=True)
    if not local:
        here = make_checkout(folder / "local")
        local, started = here.path, time.monotonic()
        here.snakemake(configfile=configfile)
        print(f"On this machine: {time.monotonic() - started:.0f} s")
    first, second = made(local), made(there.path)
    different = differing(first, second)
    print(f"{len(second)} files (models, votes, certificates, tables); {len(different)} differ", *different)
    return not different


def inject(names: list[str], folder: Path) -> bool:
    """Inject each fault into a run of its own and print the outcomes as a table. Return True if every run recovers."""
    finished = make_checkout(folder / "finished")
    finished.snakemake(VOTES, configfile=CONFIGURATION)  # without a cluster
    print("| Fault | Jobs | Outcome | Their logs | Time |\n|---|---|---|---|---|", flush=True)
    outcomes = []
    for number, name in enumerate(names):
        with cluster(folder / f"slurm-{number}") as found:
            outcomes.append(inject_fault(found, name, finished.path, folder / f"run-{number}"))
        print(outcomes[-1], flush=True)
    return all(each.finished and not each.differing and len(each.jobs) == 2 for each in outcomes)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.tools.slurm", description=__doc__)
    parser.add_argument("--configfile", default="config/default.yaml")
    parser.add_argument("--local", type=Path, help="checkout of the same commit in which this run has finished")
    parser.add_argument("--faults", nargs="*", metavar="WORD", help="inject the faults that contain WORD; default: all")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with tempfile.TemporaryDirectory(prefix="segcert-slurm-") as name:
        if options.faults is None:
            well = compare(options.configfile, options.local, Path(name))
        else:
            chosen = [fault for fault in FAULTS if not options.faults or any(word in fault for word in options.faults)]
            well = inject(chosen, Path(name))
    sys.exit(not well)
