"""Injects faults of S3 into runs in a bucket, one kind a run, and prints what came of each as rows of a table.

python -m tests.system.storage.s3_faults [FOLDER]    in .venv, from the top of the repository; some ten minutes

Each run makes the predictions of a fresh machine from data and a model in the bucket. A fault that passes has to be got
over; after one that stays the same command has to go on once it is gone. The predictions have to be those of a run that
nothing disturbed, and nothing may be in the bucket that is not whole.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.system.storage.flaky_store import Fault, flaky
from tests.system.storage.machines import MODEL, PREDICTIONS, bucket, contents, fresh, with_a_copy

WEIGHTS = f"{MODEL}/model.safetensors$"
FAULTS = {
    "500 to 3 uploads": Fault("500", "PUT", times=3),
    "503 Slow Down to 5 downloads": Fault("503", "GET", "models", times=5),
    "503 Slow Down to 5 questions whether a file is there": Fault("503", "HEAD", times=5),
    "4 connections reset": Fault("reset", times=4),
    "2 downloads of the weights cut off": Fault("cut", "GET", WEIGHTS, times=2),
    "a byte of the downloaded weights is another": Fault("damaged", "GET", WEIGHTS, times=1),
    "a byte of the downloaded images is another": Fault("damaged", "GET", "held.tar$", times=1),
    "a byte of a downloaded run record is another": Fault("damaged", "GET", "index.csv.record.json$", times=1),
    "3 s before each of 5 answers": Fault("slow", times=5, seconds=3),
    "503 to every upload of the result, until the run ends": Fault("503", "PUT", "predictions"),
    "500 to every download of the weights, until the run ends": Fault("500", "GET", WEIGHTS),
    "each upload reset, until the run ends": Fault("reset", "PUT"),
    "nothing answers, until the run ends": Fault("reset"),
}


def outcome(machine, fault, undisturbed):
    """How a run with a fault ended, and the run after it where that was needed."""
    store = os.environ["AWS_ENDPOINT_URL"]
    with flaky(store, fault) as endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        done = machine.snakemake(PREDICTIONS, check=False)
    os.environ["AWS_ENDPOINT_URL"] = store
    ended = "got over it"
    if done.returncode:
        made = contents(f"{machine.path.name}/results/")
        assert not made, f"left in the bucket: {list(made)}"
        machine.snakemake(PREDICTIONS)
        ended = "ended with an error, nothing of the job in the bucket; went on"
    same = contents(f"{machine.path.name}/results/")[f"{machine.path.name}/{PREDICTIONS}"] == undisturbed
    return f"{ended}; the predictions are {'the same' if same else 'OTHERS'}"


def main(folder):
    first = fresh(folder / "first")
    failed = 0
    print("| fault | injected | outcome |\n|---|---|---|", flush=True)
    with bucket(first, folder / "store", os.environ.__setitem__):
        first.snakemake(f"{MODEL}/README.md")
        plain = with_a_copy(first, folder / "plain")
        plain.snakemake(PREDICTIONS)
        undisturbed = (plain.path / PREDICTIONS).read_bytes()
        for number, (name, fault) in enumerate(FAULTS.items()):
            try:
                came = outcome(with_a_copy(first, folder / f"fault-{number}"), fault, undisturbed)
            except AssertionError as error:
                came = f"FAILED: {str(error)[-300:]}"
            failed += not fault.done or "OTHERS" in came or "FAILED" in came
            print(f"| {name} | {fault.done} | {came} |", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1]) if sys.argv[1:] else Path(temporary))
