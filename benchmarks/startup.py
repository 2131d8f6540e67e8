"""Measure the cost of jobs without their networks, for `segcert plan`: python -m benchmarks.startup CHECKOUT.

CHECKOUT is a checkout in which the default run has finished. Each time is the shortest processor time of several
rounds, so that other work on the machine has little effect. (Everything runs in one thread and reads cached files, so
on an idle machine the wall time is the same.) The results are:

- `imports`: for each rule, the seconds that a new Python process takes to import the modules of the rule's script;
- `job`: the seconds that a job takes without its imports: for its start, its record and its files. Jobs with networks
  are measured with `sample` jobs whose blocks are all stored, and other jobs with the certification of eight small
  images;
- `work`: the seconds per image and million pixels in jobs that process images without networks. They are measured by
  certifying the run's own votes and enlarged votes;
- `bytes`: the size of the run's files in bytes per value (a count, a label or a pixel).
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

import argparse
import ast
import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from segcert.certification.certificate import certify
from segcert.data.dataset import PreparedDataset
from segcert.results.budget_rows import budget_rows
from segcert.results.radius_rows import radius_levels, tau_grid
from segcert.votes import Votes, load_votes

ROUNDS = 3
ENLARGED = 4  # 64x64 images become 256x256 images
VOTES = [f"votes/phantom/unet-clean/none/sigma_{sigma}/shard_0.npz" for sigma in ("1", "0.5", "0.25")]
PAIRINGS = ("unet-clean/none", "unet-noise/none", "unet-clean/ddpm")
CERTIFICATES = [f"certificates/phantom/{pairing}/sigma_1.npz" for pairing in PAIRINGS]
SETTINGS: dict[str, Any] = {"tau": 0.75, "alpha": 0.001, "method": "segcertify", "k": 10}
DIFFUSERS = "segcert.networks.denoiser"
LAZY = {"score_denoisers": DIFFUSERS, "measure_costs": DIFFUSERS}  # other rules import it only for a denoiser


def environment() -> dict[str, str]:
    """Return environment variables that select one thread and this checkout's library."""
    return os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}


def processor_seconds(command: list[str], folder: Path) -> float:
    """Return the processor time of a process and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_seconds(modules: Iterable[str]) -> float:
    """Return the seconds that a new Python process takes to import modules."""
    command = [sys.executable, "-c", "; ".join(f"import {module}" for module in modules)]
    return round(min(processor_seconds(command, ROOT) for _ in range(ROUNDS)), 2)


def modules_of(script: Path) -> list[str]:
    """Return the modules that a script imports, and the modules that the library imports later for it."""
    found = []
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(str(node.module))
    return found + ([LAZY[script.stem]] if script.stem in LAZY else [])


def job_seconds(checkout: Path, files: list[str]) -> float:
    """Return the seconds of a job with almost no work.

    This is half the difference between the time of three such jobs, which make `files`, and the time of one.
    """
    outputs = [f"results/phantom/{file}" for file in files]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--force"]
    processor_seconds([*command, *outputs], checkout)  # draws votes that are missing
    one = min(processor_seconds([*command, outputs[0]], checkout) for _ in range(ROUNDS))
    three = min(processor_seconds([*command, *outputs], checkout) for _ in range(ROUNDS))
    return (three - one) / 2


class Enlarged(PreparedDataset):
    """A prepared data set with enlarged masks."""

    def mask(self, name: str) -> np.ndarray:
        return enlarged(super().mask(name))


def enlarged(array: np.ndarray) -> np.ndarray:
    """Return an array in which each pixel of the last two axes is repeated to fill a square."""
    return array.repeat(ENLARGED, axis=-1).repeat(ENLARGED, axis=-2)


def certify_seconds(dataset: PreparedDataset, drawn: dict[str, Votes]) -> float:
    """Return the seconds per image and million pixels that scripts/certify.py takes, without reading and writing."""
    about = {"model": "unet", "regime": "clean", "denoiser": "none"}
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for votes in drawn.values():
            certify(votes, **SETTINGS)
            radius_levels(votes, tau_grid(SETTINGS["tau"]), SETTINGS["alpha"], SETTINGS["method"])
        budget_rows(dataset, drawn, about, settings=SETTINGS)
        times.append(time.process_time() - start)
    pixels = sum(votes.selection[0].size for votes in drawn.values())
    return round(min(times) / pixels * 1e6, 2)


def bytes_per_value(checkout: Path) -> dict[str, float]:
    """Return the bytes on disk per value: per count in votes and blocks, per label in certificates and predictions."""
    kinds = {
        "votes": ("results/phantom/votes", lambda key: key.endswith(("selection", "estimation"))),
        "blocks": (".segcert/blocks", lambda key: key == "counts"),
        "certificates": ("results/phantom/certificates", lambda key: key.startswith("phantom_")),
        "predictions": ("results/phantom/predictions", lambda key: True),
        "pictures": ("results/phantom/denoised", lambda key: True),
    }
    found = {}
    for kind, (folder, counts) in kinds.items():
        files = [path for path in (checkout / folder).rglob("*.npz") if not path.name.endswith(".radii.npz")]
        values = 0
        for path in files:
            with np.load(path, allow_pickle=False) as arrays:
                values += sum(arrays[key].size for key in arrays.files if counts(key))
        found[kind] = round(sum(path.stat().st_size for path in files) / values, 4)
    radii = list((checkout / "results/phantom/certificates").rglob("*.radii.npz"))
    prepared = list((checkout / "data/prepared/phantom/images").glob("*.png"))
    pixels = 64**2
    images = len(json.loads((checkout / "data/prepared/phantom/splits.json").read_text())["test"])
    found["radii"] = round(statistics.mean(path.stat().st_size for path in radii) / images / pixels, 4)
    for kind in ("images", "masks"):
        sizes = [path.stat().st_size for path in prepared[0].parents[1].joinpath(kind).glob("*.png")]
        found[kind] = round(statistics.mean(sizes) / pixels, 4)
    return found


def main() -> None:
    """Measure and write benchmarks/results/startup-cpu.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    checkout = parser.parse_args().checkout.resolve()
    scripts = sorted((ROOT / "scripts").glob("*.py"))
    imports = {script.stem: import_seconds(modules_of(script)) for script in scripts}
    dataset = checkout / "data/prepared/phantom/index.csv"
    drawn = load_votes(checkout / f"results/phantom/{VOTES[0]}")
    large = {
        name: Votes.from_counts(enlarged(votes.selection), enlarged(votes.estimation), votes.sigma)
        for name, votes in list(drawn.items())[:2]
    }
    results = {
        "hardware": f"{platform.machine()}, one core",
        "load_average": round(os.getloadavg()[1]),  # other work on the machine, which may slow the processor down
        "python": platform.python_version(),
        "unit": "seconds of processor time, the least of rounds; bytes for a value of a phantom run at 64x64",
        "imports": imports,
        "job": {
            "networks": round(job_seconds(checkout, VOTES) - imports["sample"], 2),
            "others": round(job_seconds(checkout, CERTIFICATES) - imports["certify"], 2),
        },
        "work": {
            "certify": {
                "64": certify_seconds(PreparedDataset(dataset), drawn),
                "256": certify_seconds(Enlarged(dataset), large),
            }
        },
        "bytes": bytes_per_value(checkout),
    }
    text = json.dumps(results, indent=1) + "\n"
    print(text)
    (ROOT / "benchmarks/results/startup-cpu.json").write_text(text)


if __name__ == "__main__":
    main()
