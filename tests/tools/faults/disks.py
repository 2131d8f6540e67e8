"""Run on disks that cannot be written: a small disk that a large file fills, and folders that are mounted read-only.

Mounting requires root.
"""

import contextlib
import shutil
import subprocess
import threading
import time

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.outcomes import Fault, differences, left_behind, say
from tests.tools.faults.runs import PATIENCE, wait_for_job

PLACES = ("models", "results", "reports", ".segcert")
MODELS = {
    "train_segmenter": "models/segmenter/phantom/unet-clean/model.safetensors",
    "train_denoiser": "models/denoiser/phantom/unet/diffusion_pytorch_model.safetensors",
}
CERTIFICATES = "results/tiny/certificates/phantom/unet-clean"
# Jobs in one level do not depend on each other, so each of them fails on the full disk. Each level needs the previous
# ones.
LEVELS = (
    MODELS,
    {
        "sample": VOTES[1],
        "predict": "results/tiny/predictions/phantom/unet-clean.npz",
        "score_denoisers": "results/tiny/denoiser_scores/phantom.csv",
    },
    {
        "certify": f"{CERTIFICATES}/none/sigma_0.5.parquet",
        "attack": "results/tiny/attacks/phantom/unet-clean/ddpm.parquet",
    },
    {"tables": "reports/tiny/tables/main.csv"},
    {"summary": "reports/tiny/summary.pdf"},
    {"page": "reports/tiny/index.html"},
)
FULL = "No space left on device"
PLACES_OF_JOBS = (
    ("models", "train_segmenter", MODELS["train_segmenter"]),
    (".segcert", "sample", VOTES[0]),
    ("results", "predict", "results/tiny/predictions/phantom/unet-clean.npz"),
    ("reports", "tables", "reports/tiny/tables/main.csv"),
)
# Messages from a job, and from Snakemake if the file exists
READ_ONLY = ("Read-only file system", "Write-protected output files")


def full_disk(_base, plain, work, _random, _count):
    """Run the jobs in each level on a full disk; then free the space and run the same command again."""
    run, faults = plain.copy(work), []
    with small_disk(run) as disk:
        for level in LEVELS:
            targets = level.values()
            process = run.start("--keep-going", "--force", *targets)
            wait_for_job(process, set(), 1)
            with filled(disk):
                failed = process.wait(PATIENCE)
            said, left = run.output, left_behind(run)
            again = run.run(*targets)
            for stage, target in level.items():
                fault = Fault("disk full", [stage], f"error names it: {FULL!r}, resumed")
                lines = [line for line in said.splitlines() if f"segcert: rule {stage}:" in line and FULL in line]
                if not failed or not lines:
                    fault.wrong.append(f"{stage}: no clear error: {said[-3000:]}")
                fault.wrong += [f"left: {name}" for name in left]
                if again or not (run.path / target).exists():
                    fault.wrong.append(f"{stage}: does not resume: {run.output[-3000:]}")
                say(f"{stage}: {lines[:1]}")
                faults.append(fault)
        wrong = differences(run, plain, run.resume())
    return [fault.judge(wrong, fault.outcome) for fault in faults]


def read_only(_base, plain, work, _random, _count):
    """Let a job write to a read-only folder; then make the folder writable and run the same command again."""
    run, faults = plain.copy(work), []
    for place, stage, target in PLACES_OF_JOBS:
        if place == ".segcert":
            for block in run.files(".segcert/blocks/*/*.npz"):
                block.unlink()
        with contextlib.ExitStack() as mounted:
            mount(mounted, run.path / place, "--bind", run.path / place)
            subprocess.run(["mount", "-o", "remount,ro,bind", run.path / place], check=True)
            failed = run.run("--force", target)
        said = [words for words in READ_ONLY if words in run.output]
        fault = Fault(f"read-only {place}/", [stage], f"error says {said} and where, resumed")
        if not failed or not said or f"{place}/" not in run.output.partition(said[0])[2]:
            fault.wrong.append(f"no clear error: {run.output[-3000:]}")
        if run.resume("--force", target):
            fault.wrong.append(f"does not resume: {run.output[-3000:]}")
        faults.append(fault)
    wrong = [*differences(run, plain), *(f"left: {name}" for name in left_behind(run))]
    return [fault.judge(wrong, fault.outcome) for fault in faults]


@contextlib.contextmanager
def small_disk(run, size="64m"):
    """Copy a run's files to a file system of 64 MiB and mount it in their place; yield its mount point."""
    disk = run.path.with_name(f"{run.path.name}-disk")
    disk.mkdir(exist_ok=True)
    with contextlib.ExitStack() as mounted:
        mount(mounted, disk, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")
        for place in PLACES:
            shutil.copytree(run.path / place, disk / place, symlinks=True)
            mount(mounted, run.path / place, "--bind", disk / place)
        yield disk


def mount(stack, place, *arguments):
    """Mount a file system at a path until the stack is closed."""
    subprocess.run(["mount", *arguments, place], check=True)
    stack.callback(subprocess.run, ["umount", "--lazy", place], check=True)


@contextlib.contextmanager
def filled(disk):
    """Fill a disk with a large file while the block runs. Space that is freed during the block is filled too."""
    ballast, ended = disk / "ballast", threading.Event()

    def fill():
        with ballast.open("wb", buffering=0) as file:
            while not ended.is_set():
                try:
                    file.write(bytes(2**16))
                except OSError:
                    with contextlib.suppress(OSError):
                        file.write(bytes(2**12))
                        continue
                    time.sleep(0.002)

    filler = threading.Thread(target=fill)
    filler.start()
    try:
        yield
    finally:
        ended.set()
        filler.join()
        ballast.unlink()
