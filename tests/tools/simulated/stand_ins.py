"""Stand-ins for the rules with networks: one function per rule, called with the job's `snakemake` object."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file
from scipy import ndimage
from tests.tools.simulated.images import find_images, seed_of
from tests.tools.simulated.votes import label_maps

from segcert.certification.certificate import ABSTAIN, certified_radius
from segcert.data import catalogue
from segcert.data.catalogue import SplitRule
from segcert.data.dataset import PreparedDataset
from segcert.data.manifest import write_manifest
from segcert.data.prepare import Form, prepare
from segcert.io.arrays import save_arrays
from segcert.io.atomic import atomic_file
from segcert.measurements import measurements_of
from segcert.networks.folders import denoiser_digest, segmenter_digest
from segcert.provenance.digests import array_digest
from segcert.votes import Votes, narrow, pack_labels, save_votes

COUNTS = {"train": 6, "val": 3}
PARAMETERS = {"unet": 121_051, "resunetpp": 288_404, "deeplabv3plus": 22_437_000}


def fetch(job: Any, found: dict[str, Any]) -> None:
    folder = Path(job.params.folder)
    write_manifest(folder, job.wildcards.dataset, [], {})


def prepare_release(job: Any, found: dict[str, Any]) -> None:
    """Prepare synthetic images that resemble the data set. `sampling.test_images` is the number of test images."""
    about = catalogue.dataset(job.wildcards.dataset)
    rule = SplitRule("made up: the images' names say it", lambda named: named.part or "")
    about = catalogue.dataclasses.replace(about, splits={"made up": rule}, images=None)
    form = Form(**job.params.form)
    counts = COUNTS | {"test": job.config["sampling"]["test_images"]}
    found["holds"] = prepare(about, find_images(about, counts, form.image_size), job.params.folder, form)


def train_segmenter(job: Any, found: dict[str, Any]) -> None:
    network, settings = job.params.network, job.params.settings
    _weights(job.output[:2], network["architecture"])
    about = {"in_channels": network["arguments"]["in_channels"], "image_size": job.config["image_size"], "pool": 1}
    about |= {"dataset": job.wildcards.dataset, "classes": list(job.params.classes), "pixel_range": [0, 1]}
    about |= {"regime": job.wildcards.regime, "sigma_max": settings.get("sigma_max", 0.0)}
    _write_json(job.output[2], network | about)
    scores = {"val_dice": lambda share, rng: 0.92 - 0.5 * math.exp(-4 * share) + rng.normal(0, 0.01)}
    _history(job.output[3], settings, scores)


def train_denoiser(job: Any, found: dict[str, Any]) -> None:
    settings, about = job.params.settings, PreparedDataset(Path(job.input[0])).about
    weights, unet, scheduler, last, history = job.output
    _weights([weights, last], "denoiser")
    network = {"block_out_channels": settings["channels"], "layers_per_block": settings["layers_per_block"]}
    channels = {"in_channels": about["channels"], "out_channels": about["channels"]}
    _write_json(unet, network | channels | {"sample_size": about["image_size"]})
    schedule = {"num_train_timesteps": 1000, "beta_schedule": settings["noise_schedule"]}
    _write_json(scheduler, schedule | {"prediction_type": settings["prediction"]})
    scores = {
        f"val_psnr{level}": lambda share, rng, best=best: best - 8 * math.exp(-3 * share) + rng.normal(0, 0.1)
        for level, best in (("", 25), ("_0.2", 29), ("_0.469", 25), ("_1.1", 21))
    }
    _history(history, settings, scores)


def sample(job: Any, found: dict[str, Any]) -> None:
    params, dataset = job.params, PreparedDataset(Path(job.input.index))
    names = dataset.names("test", params.settings["test_images"])[int(job.wildcards.shard) :: params.shards]
    identity = {
        "segmenter": segmenter_digest(params.segmenter),
        "denoiser": denoiser_digest(params.denoiser, params.denoising_steps),
        "code": params["drawing_code"],
        **{key: params[key] for key in ("n0", "n", "seed", "noise", "pool")},
    }
    save_votes(job.output[0], {name: _votes(job, dataset, name, identity) for name in names})


def predict(job: Any, found: dict[str, Any]) -> None:
    dataset = PreparedDataset(Path(job.input.index))
    about = {"model": job.wildcards.model, "regime": job.wildcards.regime, "denoiser": "none", "sigma": 0.0}
    names = dataset.names("test", job.params.test_images)
    save_arrays(job.output[0], {name: label_maps(dataset, name, 1, **about)[0] for name in names})


def denoise_examples(job: Any, found: dict[str, Any]) -> None:
    dataset = PreparedDataset(Path(job.input.index))
    for sigma, output in zip(job.params.sigmas, job.output, strict=True):
        pictures = {}
        for name in dataset.names("test", job.params.examples):
            image = dataset.image(name)
            height, width = (size // job.params.pool for size in image.shape[1:])
            image = image.reshape(len(image), height, job.params.pool, width, job.params.pool).mean(axis=(2, 4))
            noisy = image + sigma * np.random.default_rng(seed_of("noisy", name)).normal(size=image.shape)
            blurred = ndimage.gaussian_filter(image, (0, 2 * sigma, 2 * sigma))
            seen = [noisy, blurred] if job.params.denoiser else [noisy]
            pictures[name] = np.round(255 * np.clip(seen, 0, 1)).astype(np.uint8)
        save_arrays(output, pictures)


def score_denoisers(job: Any, found: dict[str, Any]) -> None:
    gains = {"noisy": 0, "nl_means": 8, "wavelet": 7} | dict.fromkeys(job.params.denoisers, 12)
    rows = []
    for sigma in job.params.sigmas:
        for method, gain in gains.items():
            about = {"dataset": job.wildcards.dataset, "sigma": sigma, "method": method, "images": COUNTS["val"]}
            scores = {"psnr": gain - 20 * math.log10(sigma), "ssim": (0.2 + gain / 20) / (1 + sigma)}
            rows.append(about | scores)
    _write_table(job.output[0], rows)


def measure_costs(job: Any, found: dict[str, Any]) -> None:
    costs, seconds = [], []
    for (model, regime, denoiser), _ in job.params.pairings:
        about = {"dataset": job.wildcards.dataset, "model": model, "regime": regime, "denoiser": denoiser}
        calls = 1 + job.params.denoising_steps * (denoiser != "none")
        parameters = PARAMETERS.get(model, 50_000) + 620_000 * (calls > 1)
        costs.append(about | {"evaluations": calls, "parameters": parameters, "gflop": parameters * 1.07e-6})
        seconds.append(about | {"seconds": parameters * 8.5e-9})
    _write_table(job.output.costs, costs)
    _write_table(job.output.seconds, seconds)


def attack(job: Any, found: dict[str, Any]) -> None:
    dataset, rows = PreparedDataset(Path(job.input.index)), []
    about = {key: job.wildcards[key] for key in ("model", "regime", "denoiser")}
    for sigma, path in zip(job.params.sigmas, job.input.certificates, strict=True):
        radius = certified_radius(sigma, job.params.tau)
        with np.load(path) as labels:
            for name in list(labels)[: job.params.settings["images"]]:
                certified = int((labels[name] != ABSTAIN).sum())
                for factor in job.params.settings["factors"]:
                    changed = int(certified * max(0.0, factor - 1) / 20)
                    place = {"dataset": dataset.about["name"], "image": name, **about, "sigma": sigma}
                    place |= {"tau": job.params.tau, "radius": radius, "factor": factor, "norm": factor * radius}
                    shares = {"clean_draws": 360, "clean_share": 0.94, "draws": 100, "share": 0.4, "least_share": 0.2}
                    found = {"strength": 0.9, "power": 0.3, "refuted": 0}
                    rows.append(place | {"noise": sigma, "certified": certified, "changed": changed} | shares | found)
    with atomic_file(job.output[0]) as path:
        pd.DataFrame(rows).to_parquet(path, index=False)


TRAINING = (fetch, prepare_release, train_segmenter, train_denoiser, denoise_examples, score_denoisers)
STAND_INS = {rule.__name__: rule for rule in (*TRAINING, sample, predict, measure_costs, attack)}


def _votes(job: Any, dataset: PreparedDataset, name: str, identity: dict[str, Any]) -> Votes:
    params, sigma, mask = job.params, float(job.wildcards.sigma), dataset.mask(name)
    about = {key: job.wildcards[key] for key in ("model", "regime", "denoiser")}
    maps = label_maps(dataset, name, params.n0 + params.n, **about, sigma=sigma)
    ids = np.arange(len(dataset.about["classes"]))
    chosen = maps[:, None] == ids[:, None, None]  # (draws, classes, H, W)
    asked = measurements_of(params.measurements, dataset.about["classes"], *dataset.pixel_scale(name))
    return Votes(
        selection=narrow(chosen[: params.n0].sum(axis=0), params.n0),
        estimation=narrow(chosen[params.n0 :].sum(axis=0), params.n),
        sigma=sigma,
        areas=chosen.sum(axis=(2, 3)).astype(np.uint32),
        overlaps=(chosen & (mask == ids[:, None, None])).sum(axis=(2, 3)).astype(np.uint32),
        truth_areas=np.bincount(mask.ravel(), minlength=len(ids)).astype(np.uint32),
        measurements={each.name: np.array([each.function(labels) for labels in maps], float) for each in asked},
        **({"draws": pack_labels(maps, len(ids))} if params.keep_draws else {}),
        origin=identity | {"image": array_digest(dataset.image(name))},
    )


def _weights(paths: list[str], name: str) -> None:
    for path in paths:
        with atomic_file(path) as temporary:
            save_file({"weight": np.random.default_rng(seed_of(name, path)).normal(size=(3, 4))}, temporary)


def _history(path: str, settings: dict[str, Any], scores: dict[str, Any]) -> None:
    steps, rng = settings["steps"], np.random.default_rng(seed_of(path))
    rows = []
    for step in range(settings["evaluate_every"], steps + 1, settings["evaluate_every"]):
        share = step / steps
        row = {"step": step, "learning_rate": settings["learning_rate"] * (1 - share)}
        row["train_loss"] = 0.2 + math.exp(-3 * share) + abs(rng.normal(0, 0.02))
        rows.append(row | {name: score(share, rng) for name, score in scores.items()})
    _write_table(path, rows)


def _write_table(path: str, rows: list[dict[str, Any]]) -> None:
    with atomic_file(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False)


def _write_json(path: str, value: object) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")
