"""Measure the time and memory that an audit takes: python -m benchmarks.audit [OUTPUT].

The audited run has 10,000 test images, which are phantoms of 64x64 pixels with three classes, prepared as in the
pipeline. Votes are simulated: each of the 10 + 100 draws is the image's mask, shifted at random by up to a pixel. From
these votes, the library's own functions make certificates, tables and run records. Like the command, the audit runs in
a separate process.
"""

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy import ndimage

from segcert.certification.certificate import certify
from segcert.data.dataset import PreparedDataset
from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.io.arrays import save_arrays
from segcert.io.atomic import atomic_file
from segcert.networks.folders import denoiser_digest, segmenter_digest
from segcert.provenance.code import code_files
from segcert.provenance.digests import array_digest, store_value
from segcert.provenance.environment import locked_environment
from segcert.provenance.recording import recorded
from segcert.results.image_rows import interval_rows, metric_rows, read_votes
from segcert.votes import Votes, save_votes

ROOT = Path(__file__).parents[1]
IMAGES, SHARDS, SIZE, N0, N = 10_000, 20, 64, 10, 100
INDEX = "data/prepared/phantom/index.csv"
SEGMENTER = "models/segmenter/phantom/unet-clean"
WILDCARDS = {"dataset": "phantom", "model": "unet", "regime": "clean", "denoiser": "none", "sigma": "0.5"}
PREDICTIONS = "results/large/predictions/phantom/unet-clean.npz"
CERTIFICATE = "results/large/certificates/phantom/unet-clean/none/sigma_0.5"
SETTINGS = {"tau": 0.75, "alpha": 0.001, "method": "segcertify", "k": 10}
DRAWN = {"n0": N0, "n": N, "seed": 0, "noise": "normal", "pool": 1}


def main() -> None:
    """Make the run and audit it; print and write the results."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        (Path(folder) / "envs").symlink_to(ROOT / "envs")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "scripts")])
        # In a separate process, so that the audit does not start with the memory of the simulation.
        subprocess.run([sys.executable, "-c", "from benchmarks.audit import simulate; simulate()"], check=True)
        start = time.monotonic()
        auditing = subprocess.Popen([sys.executable, "-m", "segcert.cli", "audit", "large"])
        _, _, usage = os.wait4(auditing.pid, 0)
        seconds = time.monotonic() - start
        audit = json.loads(Path("reports/large/audit.json").read_text())
    found = {
        "images": IMAGES,
        "size": SIZE,
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(usage.ru_maxrss / 1024),
        "passed": audit["passed"],
        "checks": {check["title"]: [check["count"], check["seconds"]] for check in audit["checks"]},
    }
    print(json.dumps(found, indent=1))
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")


def simulate() -> None:
    """Make all files from the prepared images to the tables, with run records."""
    counts = {"train": 1, "val": 1, "test": IMAGES}
    with recorded(job("prepare_phantom", [], [INDEX])) as found:
        found["holds"] = prepare(DATASET, find_phantoms(counts, SIZE), Path(INDEX).parent, Form(SIZE), workers=2)
    with recorded(job("train_segmenter", [INDEX], [f"{SEGMENTER}/model.safetensors", f"{SEGMENTER}/config.json"])):
        Path(SEGMENTER).mkdir(parents=True)
        Path(SEGMENTER, "model.safetensors").write_bytes(b"weights")
        Path(SEGMENTER, "config.json").write_text("{}")
    dataset = PreparedDataset(Path(INDEX))
    names = dataset.names("test")
    models = [f"{SEGMENTER}/model.safetensors", f"{SEGMENTER}/config.json"]
    files = [f"results/large/votes/phantom/unet-clean/none/sigma_0.5/shard_{shard}.npz" for shard in range(SHARDS)]
    for shard, file in enumerate(files):
        of_shard = job(
            "sample",
            [INDEX, *models],
            [file],
            WILDCARDS | {"shard": str(shard)},
            segmenter=SEGMENTER,
            denoiser=None,
            denoising_steps=1,
            shards=SHARDS,
            settings={"test_images": None},
            **DRAWN,
        )
        with recorded(of_shard):
            save_votes(file, {name: made_up(dataset, name, of_shard.params["code"]) for name in names[shard::SHARDS]})
    with recorded(job("predict", [INDEX, *models], [PREDICTIONS], WILDCARDS)):
        save_arrays(PREDICTIONS, {name: dataset.mask(name) for name in names})
    certify_all(dataset, files)
    collect_and_tabulate()


def made_up(dataset: PreparedDataset, name: str, code: str) -> Votes:
    """Return simulated votes of an image: each draw is the image's mask, shifted by up to a pixel."""
    mask = dataset.mask(name)
    rng = np.random.default_rng(len(name) + int(name[-4:]))
    maps = np.stack([ndimage.shift(mask, rng.integers(-1, 2, 2), order=0) for _ in range(N0 + N)])
    one_hot = maps[:, None] == np.arange(3)[:, None, None]
    networks = {"segmenter": segmenter_digest(SEGMENTER), "denoiser": denoiser_digest(None), "code": code}
    return Votes(
        selection=one_hot[:N0].sum(axis=0).astype(np.uint16),
        estimation=one_hot[N0:].sum(axis=0).astype(np.uint16),
        sigma=0.5,
        areas=one_hot.sum(axis=(2, 3)).astype(np.uint32),
        overlaps=(one_hot & (mask == np.arange(3)[:, None, None])).sum(axis=(2, 3)).astype(np.uint32),
        truth_areas=np.bincount(mask.ravel(), minlength=3).astype(np.uint32),
        origin=networks | DRAWN | {"image": array_digest(dataset.image(name))},
    )


def certify_all(dataset: PreparedDataset, files: list[str]) -> None:
    """Make the outputs of the rule `certify`, except for the forecast, which an audit does not recompute."""
    outputs = [f"{CERTIFICATE}{suffix}" for suffix in (".npz", ".parquet", ".intervals.parquet", ".budget.parquet")]
    about = {key: WILDCARDS[key] for key in ("model", "regime", "denoiser")}
    asked = {"settings": SETTINGS, "measurements": [], "thresholds": {}}
    deciding = job("certify", [INDEX, *files, PREDICTIONS], outputs, WILDCARDS, **asked)
    with recorded(deciding), np.load(PREDICTIONS) as predictions:
        drawn = read_votes(dataset, files)
        certificates = {name: certify(votes, **SETTINGS) for name, votes in drawn.items()}
        asked = {"measurements": [], "thresholds": {}, "tau": 0.75, "alpha": 0.001}
        rows, intervals = [], []
        for name, votes in drawn.items():
            rows += metric_rows(dataset, name, predictions[name], certificates[name], about)
            intervals += interval_rows(dataset, name, votes, predictions[name], about, **asked)
        save_arrays(outputs[0], {name: certificate.labels for name, certificate in certificates.items()})
        budget = [{"dataset": "phantom", **about, "sigma": 0.5, "draws": N0 + N, "certified_dice": 0.5, "abstain": 0.1}]
        for path, table in zip(outputs[1:], (rows, intervals, budget), strict=True):
            with atomic_file(path) as temporary:
                pd.DataFrame(table).to_parquet(temporary, index=False)


def collect_and_tabulate() -> None:
    """Run the scripts of the rules `collect` and `tables`."""
    results = {
        "metrics": "results/large/certificates.parquet",
        "intervals": "results/large/intervals.parquet",
        "budget": "results/large/budget.parquet",
        "attacks": "results/large/attacks.parquet",
    }
    parts = {
        "metrics": [f"{CERTIFICATE}.parquet"],
        "intervals": [f"{CERTIFICATE}.intervals.parquet"],
        "budget": [f"{CERTIFICATE}.budget.parquet"],
        "attacks": [],
    }
    run("collect", parts, results)
    names = ("main", "classes", "pairings", "measurements", "attacks", "denoisers", "budget")
    tables = {name: f"reports/large/tables/{name}.csv" for name in names}
    run("tables", results | {"scores": []}, tables)


class Files(list[str]):
    """Paths with positions and names, as Snakemake passes them to a script."""

    def __init__(self, named: dict[str, str | list[str]]) -> None:
        super().__init__(path for each in named.values() for path in ([each] if isinstance(each, str) else each))
        self.named = named

    def __getitem__(self, key: str) -> str | list[str]:  # type: ignore[override]
        return self.named[key] if isinstance(key, str) else super().__getitem__(key)

    def __getattr__(self, key: str) -> str | list[str]:
        return self.named[key]


class Params(dict[str, object]):
    """Parameters that can be read as keys or as attributes."""

    __getattr__ = dict.__getitem__


def run(rule: str, inputs: dict[str, str | list[str]], outputs: dict[str, str | list[str]], **params: object) -> None:
    """Run a rule's script as Snakemake would."""
    work = job(rule, Files(inputs), Files(outputs), **params)
    runpy.run_path(str(ROOT / f"scripts/{rule}.py"), init_globals={"snakemake": work})


def job(
    rule: str, inputs: list[str], outputs: list[str], wildcards: dict[str, str] | None = None, **params: object
) -> SimpleNamespace:
    """Return the job object that Snakemake would pass to a rule's script."""
    script = ROOT / f"scripts/{rule}.py"
    digests = {
        "code": store_value(code_files(script)),
        "environment": store_value(locked_environment(script, root=ROOT)),
    }
    return SimpleNamespace(
        rule=rule,
        wildcards=wildcards or {"dataset": "phantom"},
        params=Params(params | digests),
        input=inputs,
        output=outputs,
        threads=1,
        log=[],
        scriptdir=ROOT / "scripts",
    )


if __name__ == "__main__":
    main()
