"""Start two runs at the same time: in one checkout without a lock, and in two checkouts that share blocks of draws.

tests/system/survival tests that a second run in a locked checkout is refused.
"""

import shutil
import time

from tests.tools.faults.damaged_blocks import VOTES
from tests.tools.faults.outcomes import Fault, differences
from tests.tools.faults.runs import PATIENCE, Run


def two_runs_at_once(_base, plain, work, _random, _count):
    """Inject both kinds of simultaneous runs."""
    return [without_lock(plain, work), *shared_blocks(plain, work)]


def without_lock(plain, work):
    """Let two runs with --nolock make the same files at the same time."""
    run = plain.copy(work)
    for block in run.files(".segcert/blocks/*/*.npz"):
        block.unlink()
    second = Run(run.path, run.configfile)
    second.said = run.said.with_suffix(".second")
    processes = [each.start("--nolock", "--force", *VOTES) for each in (run, second)]
    ended = [process.wait(PATIENCE) for process in processes]
    said = "one of them said that files were missing, " if any(ended) else ""
    fault = Fault("two runs at once in one checkout with --nolock", ["sample"])
    return fault.judge(differences(run, plain, run.resume()), f"{said}resumed")


def shared_blocks(plain, work):
    """Let two checkouts with different settings draw the same votes at the same time and share one block store."""
    runs = [plain.copy(work), plain.copy(work.with_name(f"{work.name}-second"))]
    store = work.with_name(f"{work.name}-blocks")
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir()
    for run in runs:
        shutil.rmtree(run.path / ".segcert/blocks")
        (run.path / ".segcert/blocks").symlink_to(store)
    settings = (), ("--config", "tau=0.7", "attack={images: 0}")
    processes = [run.start("--force", *VOTES, *more) for run, more in zip(runs, settings, strict=True)]
    while any(process.poll() is None for process in processes):
        time.sleep(0.1)
    faults = []
    for run, process in zip(runs, processes, strict=True):
        fault = Fault("two checkouts at once with one store of blocks", ["sample"])
        faults.append(fault.judge(differences(run, plain, process.returncode), "both complete"))
    return faults
