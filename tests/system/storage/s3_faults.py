"""Inject faults of S3 into runs in a bucket, one kind per run, and print a table of the outcomes.

python -m tests.system.storage.s3_faults [FOLDER]    in .venv, from the top of the repository; some ten minutes

Each run predicts on a fresh machine from data and a model in the bucket. It must recover from a temporary fault. After
a permanent fault, the same command must resume. The predictions must equal those of a run without faults, and the
bucket must contain no incomplete file.
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
    "503 Slow Down to 5 checks for a file": Fault("503", "HEAD", times=5),
    "4 connections reset": Fault("reset", times=4),
    "2 downloads of the weights cut off": Fault("cut", "GET", WEIGHTS, times=2),
    "a changed byte in the downloaded weights": Fault("damaged", "GET", WEIGHTS, times=1),
    "a changed byte in the downloaded images": Fault("damaged", "GET", "held.tar$", times=1),
    "a changed byte in a downloaded run record": Fault("damaged", "GET", "index.csv.record.json$", times=1),
    "3 s before each of 5 answers": Fault("slow", times=5, seconds=3),
    "503 to every upload of the result, until the run ends": Fault("503", "PUT", "predictions"),
    "500 to every download of the weights, until the run ends": Fault("500", "GET", WEIGHTS),
    "each upload reset, until the run ends": Fault("reset", "PUT"),
    "nothing answers, until the run ends": Fault("reset"),
}


def outcome(machine, fault, expected):
    """Return how a run with a fault ended, and a second run if it failed."""
    store = os.environ["AWS_ENDPOINT_URL"]
    with flaky(store, fault) as endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        done = machine.snakemake(PREDICTIONS, check=False)
    os.environ["AWS_ENDPOINT_URL"] = store
    ended = "recovered"
    if done.returncode:
        made = contents(f"{machine.path.name}/results/")
        assert not made, f"left in the bucket: {list(made)}"
        machine.snakemake(PREDICTIONS)
        ended = "ended with an error, nothing of the job in the bucket; resumed"
    same = contents(f"{machine.path.name}/results/")[f"{machine.path.name}/{PREDICTIONS}"] == expected
    return f"{ended}; the predictions are {'the same' if same else 'OTHERS'}"


def main(folder):
    first = fresh(folder / "first")
    failed = 0
    print("| fault | injected | outcome |\n|---|---|---|", flush=True)
    with bucket(first, folder / "store", os.environ.__setitem__):
        first.snakemake(f"{MODEL}/README.md")
        plain = with_a_copy(first, folder / "plain")
        plain.snakemake(PREDICTIONS)
        expected = (plain.path / PREDICTIONS).read_bytes()
        for number, (name, fault) in enumerate(FAULTS.items()):
            try:
                came = outcome(with_a_copy(first, folder / f"fault-{number}"), fault, expected)
            except AssertionError as error:
                came = f"FAILED: {str(error)[-300:]}"
            failed += not fault.done or "OTHERS" in came or "FAILED" in came
            print(f"| {name} | {fault.done} | {came} |", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1]) if sys.argv[1:] else Path(temporary))
