"""Read-only: the place where a job writes is mounted so. Needs root."""

import contextlib
import subprocess

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.damaged_checkpoints import MODELS
from tests.tools.faults.digests import differences, left_behind
from tests.tools.faults.full_disk import mount
from tests.tools.faults.outcomes import Fault

CASES = (
    ("models", "train_segmenter", MODELS["train_segmenter"]),
    (".segcert", "sample", VOTES[0]),
    ("results", "predict", "results/tiny/predictions/phantom/unet-clean.npz"),
    ("reports", "tables", "reports/tiny/tables/main.csv"),
)
SAID = ("Read-only file system", "Write-protected output files")  # by a job, and by Snakemake where files are there


def read_only(_base, plain, work, _random, _count, say):
    """Let a job write to a folder that is read-only, then make it writable and run the same command again."""
    run, faults = plain.copy(work), []
    for place, stage, target in CASES:
        if place == ".segcert":
            for block in run.files(".segcert/blocks/*/*.npz"):
                block.unlink()
        with contextlib.ExitStack() as mounted:
            mount(mounted, run.path / place, "--bind", run.path / place)
            subprocess.run(["mount", "-o", "remount,ro,bind", run.path / place], check=True)
            failed = run.run("--force", target)
        said = [words for words in SAID if words in run.output]
        fault = Fault(f"read-only {place}/", [stage], f"error says {said} and where, went on; digests equal")
        if not failed or not said or f"{place}/" not in run.output.partition(said[0])[2]:
            fault.wrong.append(f"no clear error: {run.output[-3000:]}")
        if run.go_on("--force", target):
            fault.wrong.append(f"does not go on: {run.output[-3000:]}")
        faults.append(fault)
    wrong = [*differences(run, plain), *(f"left: {name}" for name in left_behind(run))]
    for fault in faults:
        fault.wrong += wrong
        fault.outcome = fault.outcome if not fault.wrong else "wrong"
        say(fault)
    return faults
