"""Inject faults into small runs: python -m tests.tools.faults --seed 0."""

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.support.checkout import make_checkout
from tests.tools.faults.clock import clock_jumps
from tests.tools.faults.damaged_blocks import damaged_blocks
from tests.tools.faults.damaged_state import damaged_state
from tests.tools.faults.disks import full_disk, read_only
from tests.tools.faults.kills import kills
from tests.tools.faults.outcomes import Fault, save, say, text
from tests.tools.faults.runs import Run
from tests.tools.faults.twice import two_runs_at_once

DAMAGES, DISKS = (damaged_blocks, damaged_state), (full_disk, read_only)
KINDS = {each.__name__: each for each in (kills, *DAMAGES, *DISKS, clock_jumps, two_runs_at_once)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed for the times, kinds and places of the faults")
    parser.add_argument("--kills", type=int, default=30, help="number of kills")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--folder", type=Path, help="folder for the checkouts; default: a temporary folder")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="segcert-faults-"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes and their children ignore it
    folder.mkdir(parents=True, exist_ok=True)
    base, plain = reference_runs(folder)
    faults: list[Fault] = []
    for kind in options.kinds:
        found = KINDS[kind](base, plain, folder / kind, random.Random(f"{options.seed} {kind}"), options.kills)
        for fault in found:
            say(fault)
        faults += found
        if options.output:
            save(options.output, faults, seed=options.seed, configuration="tests/tools/faults/small.yaml")
    print(text(faults))
    sys.exit(any(fault.wrong for fault in faults))


def reference_runs(folder):
    """Return a fresh checkout, and a checkout with a finished run without faults. Reuse existing ones in `folder`."""
    base, plain = Run(folder / "base"), Run(folder / "plain")
    if not base.path.exists():
        make_checkout(base.path).commit_everything()
    if not (plain.path / "results.dvc").exists():
        base.copy(plain.path)
        assert plain.run() == 0, plain.output
    return base, plain


if __name__ == "__main__":
    main()
