"""Measure the cost of jobs in addition to their networks, for `segcert plan`: python -m benchmarks.startup CHECKOUT.

CHECKOUT is one in which the default run has finished. Times are processor times, the least of some rounds, so that
other work on the machine matters little. (Everything runs in one thread and reads files in memory, so on an idle
machine wall time is the same.) It measures:

- `imports`: by rule, seconds in which a fresh Python imports the modules of the rule's script;
- `job`: seconds of a job without its imports: its start, its record and its files. For jobs with networks, this is a
  sample job whose blocks are all stored; for the others, the certification of eight small images at three noise levels;
- `work`: seconds per image and million pixels, in jobs that process images without networks, on images of two sizes:
  the certification of the run's own votes, and of enlarged votes;
- `bytes`: bytes of the run's files per value (a count, a label, a pixel).
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
ENLARGED = 4  # images of 64x64 become images of 256x256
VOTES = [f"votes/phantom/unet-clean/none/sigma_{sigma}/shard_0.npz" for sigma in ("1", "0.5", "0.25")]
PAIRINGS = ("unet-clean/none", "unet-noise/none", "unet-clean/ddpm")
CERTIFICATES = [f"certificates/phantom/{pairing}/sigma_1.npz" for pairing in PAIRINGS]
SETTINGS: dict[str, Any] = {"tau": 0.75, "alpha": 0.001, "method": "segcertify", "k": 10}
DIFFUSERS = "segcert.networks.denoiser"
LAZY = {"score_denoisers": DIFFUSERS, "measure_costs": DIFFUSERS}  # among the others, jobs with a denoiser only


def environment() -> dict[str, str]:
    """Return environment variables for one thread and the library of this checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "OMP_NUM_THREADS": "1"}


def processor_seconds(command: list[str], folder: Path) -> float:
    """Return the processor time of a process and all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def import_seconds(modules: Iterable[str]) -> float:
    """Return the seconds in which a fresh Python imports some modules."""
    command = [sys.executable, "-c", "; ".join(f"import {module}" for module in modules)]
    return round(min(processor_seconds(command, ROOT) for _ in range(ROUNDS)), 2)


def modules_of(script: Path) -> list[str]:
    """Return the modules that a script imports, and those that its library imports later."""
    found = []
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(str(node.module))
    return found + ([LAZY[script.stem]] if script.stem in LAZY else [])


def job_seconds(checkout: Path, files: list[str]) -> float:
    """Return the seconds of a job with almost no work: half of what three such jobs, which make `files`, add to one."""
    outputs = [f"results/phantom/{file}" for file in files]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--force"]
    processor_seconds([*command, *outputs], checkout)  # may draw
    one = min(processor_seconds([*command, outputs[0]], checkout) for _ in range(ROUNDS))
    three = min(processor_seconds([*command, *outputs], checkout) for _ in range(ROUNDS))
    return (three - one) / 2


class Enlarged(PreparedDataset):
    """A prepared data set with masks enlarged."""

    def mask(self, name: str) -> np.ndarray:
        return enlarged(super().mask(name))


def enlarged(array: np.ndarray) -> np.ndarray:
    """Return an array with every pixel of the last two axes repeated as a square."""
    return array.repeat(ENLARGED, axis=-1).repeat(ENLARGED, axis=-2)


def certify_seconds(dataset: PreparedDataset, drawn: dict[str, Votes]) -> float:
    """Return seconds per image and million pixels: the work of scripts/certify.py without reading and writing."""
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
    """Return bytes on disk per value: a count in votes and blocks, a pixel's label in certificates and predictions."""
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
        "load_average": round(os.getloadavg()[1]),  # other work on the machine; much of it slows a processor down
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
