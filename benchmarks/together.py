"""Compare denoisers with noise training: python -m benchmarks.together RUN DATASET.

RUN is the folder in which config/models-xray.yaml (for montgomery) or config/models-colour.yaml (for other data sets)
has run. The run's networks are trained further in four variants, for the same number of steps on the same noisy images,
whose noise levels are the run's sigmas:

- noise_on: the noise-trained segmenter without a denoiser, as a control.
- tuned: the noise-trained segmenter, trained on the frozen denoiser's outputs.
- joint: the noise-trained segmenter and the denoiser, trained together; gradients of the segmentation loss reach the
  denoiser.
- joint_consistent: like joint, but with two noisy copies of each image and a penalty if their predictions differ (Jeong
  and Shin, NeurIPS 2020).

Each variant is certified with the run's settings (segcertify, n0 = 10, n = 100, tau = 0.75, alpha = 0.001).
benchmarks/results/together-DATASET.json contains each image's certified Dice for the variants and for the run's own
pairings on the same draws.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
import yaml
from monai.losses import DiceCELoss
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from segcert.certification.certificate import certify
from segcert.certification.metrics import class_metrics
from segcert.config import Config
from segcert.data.dataset import PreparedDataset
from segcert.data.raster import resize_mask
from segcert.io.atomic import atomic_file
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.registry import load_segmenter
from segcert.networks.runtime import set_up_torch
from segcert.results.confidence import mean_interval
from segcert.smoothing.sampler import SmoothedSegmenter
from segcert.training.augment import augment
from segcert.training.schedule import batch_indices, stream

ROOT = Path(__file__).parents[1]
STEPS, BATCH, RATE, CONSISTENCY = 400, 8, 5e-4, 2.0


class Pairing(nn.Module):
    """A segmenter with or without a denoiser in front; all images in a batch have the same noise level."""

    def __init__(self, segmenter: nn.Module, denoiser: DiffusionDenoiser | None) -> None:
        super().__init__()
        self.segmenter, self.denoiser = segmenter, denoiser

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        logits: Tensor = self.segmenter(self.denoiser(x, sigma) if self.denoiser else x)
        return logits


def config_of(dataset: str) -> Config:
    """Return the configuration of the run that contains a data set."""
    name = "models-xray" if dataset == "montgomery" else "models-colour"
    return Config.read(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))


def tune(pairing: Pairing, data: PreparedDataset, trained: list[nn.Module], consistency: float, config: Config) -> None:
    """Train the parameters of `trained` for STEPS steps, with one noise level per step."""
    augmentation = config.segmenter.augmentation.model_dump()
    augmentation["flips"] &= data.about["name"] != "montgomery"
    images, masks = data.stack("train")
    x = F.avg_pool2d(torch.from_numpy(images), config.pool)
    y = torch.from_numpy(np.stack([resize_mask(mask, x.shape[-1], 2) for mask in masks])).long()
    parameters = [each for module in trained for each in module.parameters()]
    for module in trained:
        module.train()
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=1e-2)
    criterion = DiceCELoss(softmax=True, include_background=False)
    for step in range(1, STEPS + 1):
        generator = stream(0, step, 0)
        index = batch_indices(step, len(x), BATCH, 0)
        clean, truth = augment(x[index], y[index], augmentation, generator)
        sigma = config.sigmas[step % len(config.sigmas)] / config.pool
        copies = 2 if consistency else 1
        noisy = clean.repeat(copies, 1, 1, 1)
        noisy = noisy + sigma * torch.randn(noisy.shape, generator=generator)
        logits = pairing(noisy.contiguous(memory_format=torch.channels_last), sigma)
        one_hot = F.one_hot(truth, 2).permute(0, 3, 1, 2).float().repeat(copies, 1, 1, 1)
        loss = criterion(logits, one_hot)
        if consistency:
            log_p = logits.log_softmax(dim=1).view(copies, len(clean), *logits.shape[1:])
            mean = log_p.exp().mean(dim=0)
            loss = loss + consistency * sum(
                (mean * (mean.clamp_min(1e-8).log() - each)).sum(dim=1).mean() for each in log_p
            )
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - (step - 1) / STEPS)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    pairing.eval()


def certified_dice(
    pairing: Pairing, data: PreparedDataset, names: list[str], sigma: float, config: Config
) -> list[float]:
    """Return the certified Dice of class 1 for each image."""
    smoothed = SmoothedSegmenter(pairing.segmenter, sigma, 2, pairing.denoiser, 10, pool=config.pool)
    scores = []
    for name in names:
        votes = smoothed.sample(data.image(name), config.n0, config.n)
        certificate = certify(votes, tau=config.tau, alpha=config.alpha)
        metrics = class_metrics(data.mask(name), certificate.labels, certificate.labels, 1)
        scores.append(metrics["certified_dice"])
    return scores


VARIANTS = ("noise_on", "joint_consistent", "tuned", "joint")


def variant_of(variant: str, run: Path, dataset: str, data: PreparedDataset, config: Config) -> Pairing:
    """Return a variant; train it unless its weights are stored in RUN/together."""
    noise, _ = load_segmenter(run / "models" / "segmenter" / dataset / "unet-noise")
    alone = variant == "noise_on"
    pairing = Pairing(noise, None if alone else DiffusionDenoiser.load(run / "models" / "denoiser" / dataset))
    path = run / "together" / dataset / f"{variant}.safetensors"
    if path.exists():
        pairing.load_state_dict(load_file(path))
        return pairing
    trained: list[nn.Module] = [pairing.segmenter]
    if variant.startswith("joint") and pairing.denoiser:
        trained.append(pairing.denoiser.unet)
    print(dataset, variant, flush=True)
    tune(pairing, data, trained, CONSISTENCY if variant == "joint_consistent" else 0.0, config)
    with atomic_file(path) as temporary:
        save_file({name: value.contiguous() for name, value in pairing.state_dict().items()}, temporary)
    return pairing


def main(run: Path, dataset: str) -> None:
    """Train the variants, certify them, and write the table."""
    set_up_torch("cpu", 1)
    data = PreparedDataset(run / "data" / "prepared" / dataset / "index.csv")
    config = config_of(dataset)
    variants = {variant: variant_of(variant, run, dataset, data, config) for variant in VARIANTS}
    rows = pd.read_parquet(run / "results" / config.run / "certificates.parquet")
    rows = rows[rows["dataset"] == dataset]
    names = list(rows["image"].unique())
    results: dict[str, dict[str, list[float]]] = {}
    for (regime, front, sigma), group in rows.groupby(["regime", "denoiser", "sigma"]):
        by_image = group.set_index("image")["certified_dice"]
        results.setdefault(f"{regime}, {front}", {})[f"{sigma:g}"] = by_image.reindex(names).tolist()
    for variant, pairing in variants.items():
        results[variant] = {}
        for sigma in config.sigmas:
            scores = certified_dice(pairing, data, names, sigma, config)
            results[variant][f"{sigma:g}"] = scores
            gains = np.subtract(scores, results["noise, none"][f"{sigma:g}"])
            mean, low, high = mean_interval(gains, [data.group(name) for name in names])
            print(
                f"{dataset} {variant} {sigma:g}: {np.mean(scores):.4f}, {mean:+.4f} [{low:+.4f}, {high:+.4f}]",
                flush=True,
            )
        path = ROOT / "benchmarks" / "results" / f"together-{dataset}.json"
        path.write_text(json.dumps({"images": len(names), "certified_dice": results}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
