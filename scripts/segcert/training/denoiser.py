"""Training of the denoiser: a DDPM (Ho et al., NeurIPS 2020) that predicts noise or velocity, in diffusers' format."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcert.data.dataset import PreparedDataset
from segcert.data.errors import DataError
from segcert.io.atomic import atomic_folder
from segcert.networks.denoiser import DiffusionDenoiser
from segcert.networks.diffusers_parts import DDPMScheduler, UNet2DModel
from segcert.networks.noise_schedule import noise_levels
from segcert.training.augment import transformed
from segcert.training.launch import accelerator_on
from segcert.training.loop import train
from segcert.training.state import Checkpoint

TIMESTEPS = 1000
NORM_GROUPS = 8
SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
VALIDATION_LEVELS = 3


def train_denoiser(
    indexes: Sequence[str | Path],
    folder: str | Path,
    *,
    settings: Mapping[str, Any],
    pool: int = 1,
    seed: int,
    device: torch.device,
    checkpoint: str | Path,
    code: str = "",
) -> None:
    """Train a denoiser on the `train` split of prepared data sets, and keep the weights with the best PSNR on `val`.

    Writes last.safetensors, history.csv, and the diffusers folders `unet` and `scheduler` to `folder`.

    `settings` is the configuration section `denoiser`. Images are averaged over blocks of pool x pool pixels, which
    reduces the noise level from sigma to sigma / pool. `checkpoint` is the file from which interrupted training
    resumes, and `code` is the digest of the training code.

    Raises DataError if the data sets have different numbers of channels, and TrainingError in the same cases as
    segcert.training.loop.train.
    """
    datasets = [PreparedDataset(Path(index)) for index in indexes]
    for dataset in datasets:
        dataset.check()
    found = {dataset.about["name"]: int(dataset.about["channels"]) for dataset in datasets}
    channels = next(iter(found.values()))
    if len(set(found.values())) > 1:
        raise DataError(
            f"`denoiser.shared`: found data sets with different numbers of channels ({found}); a shared denoiser "
            "requires the same number in all of them. In `denoiser.shared`, list only data sets with the same "
            "number of channels"
        )
    names, images = _scaled(datasets, "train", pool)
    _, val_images = _scaled(datasets, "val", pool)
    accelerator = accelerator_on(device, settings["precision"])
    torch.manual_seed(seed)
    unet = build_unet(settings, channels, images.shape[-1])
    unet = unet.to(accelerator.device, memory_format=torch.channels_last)
    scheduler = build_scheduler(settings)
    draw_steps = steps_drawer(settings, scheduler.alphas_cumprod, pool)

    def loss_of(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        z_0 = transformed(images[batch], settings["augmentation"], generator)
        t = draw_steps(len(batch), generator)
        epsilon = torch.randn(z_0.shape, generator=generator)
        of_velocity = settings["prediction"] == "v_prediction"
        target = scheduler.get_velocity(z_0, epsilon, t) if of_velocity else epsilon
        z_t = scheduler.add_noise(z_0, epsilon, t).to(accelerator.device, memory_format=torch.channels_last)
        predicted = model(z_t, t.to(accelerator.device), return_dict=False)[0]
        return F.mse_loss(predicted, target.to(accelerator.device))

    levels = np.geomspace(settings["sigma_min"], settings["sigma_max"], VALIDATION_LEVELS) / pool
    noise = torch.randn(val_images.shape, generator=torch.Generator().manual_seed(seed + 1))

    def score_of(kept: nn.Module) -> dict[str, float]:
        denoiser = DiffusionDenoiser(kept, scheduler.alphas_cumprod.to(accelerator.device), settings["prediction"])
        x = (val_images + 1) / 2
        scores = {}
        for sigma in levels:
            batches = zip(x.split(settings["batch_size"]), noise.split(settings["batch_size"]), strict=True)  # type: ignore[no-untyped-call]
            denoised = torch.cat(
                [denoiser((each + sigma * epsilon).to(accelerator.device), sigma).cpu() for each, epsilon in batches]
            )
            scores[f"val_psnr_{sigma * pool:.3g}"] = mean_psnr(denoised, x)
        return {"val_psnr": sum(scores.values()) / len(scores), **scores}

    saved = Checkpoint.of(checkpoint, indexes, settings=settings, pool=pool, seed=seed, code=code)
    train(
        unet,
        loss_of,
        score_of,
        names,
        what=f"training the denoiser on {', '.join(dataset.about['name'] for dataset in datasets)}",
        section="denoiser",
        settings=settings,
        seed=seed,
        accelerator=accelerator,
        folder=folder,
        checkpoint=saved,
    )
    if accelerator.is_main_process:
        for name, part in (("unet", unet), ("scheduler", scheduler)):
            with atomic_folder(Path(folder) / name) as new:
                part.save_pretrained(new)
        saved.discard()


def build_unet(settings: Mapping[str, Any], channels: int, image_size: int) -> UNet2DModel:
    """Build the diffusion model's network, a U-Net of residual blocks without attention, for small images."""
    levels = settings["channels"]
    return UNet2DModel(
        sample_size=image_size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=tuple(levels),
        layers_per_block=settings["layers_per_block"],
        down_block_types=("DownBlock2D",) * len(levels),
        up_block_types=("UpBlock2D",) * len(levels),
        add_attention=False,
        norm_num_groups=NORM_GROUPS,
    )


def build_scheduler(settings: Mapping[str, Any]) -> DDPMScheduler:
    """Build the diffusers scheduler, which contains the noise schedule and the prediction target."""
    return DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_schedule=SCHEDULES[settings["noise_schedule"]],
        prediction_type=settings["prediction"],
    )


def steps_drawer(
    settings: Mapping[str, Any], alphas_cumprod: Tensor, pool: int
) -> Callable[[int, torch.Generator], Tensor]:
    """Return a function that draws a step of the noise schedule for each image in a batch.

    If the setting `levels` is "all", steps are drawn uniformly. If it is "range", sigma is drawn log-uniformly between
    `sigma_min` and `sigma_max`, and the nearest step is taken. Both bounds are noise levels at full resolution, whereas
    the network sees images with noise level sigma / pool. With "range", the network is trained only on the noise levels
    that one-shot denoising needs.
    """
    if settings["levels"] == "all":
        return lambda count, generator: torch.randint(TIMESTEPS, (count,), generator=generator)
    lowest, highest = (math.log(settings[key] / pool) for key in ("sigma_min", "sigma_max"))
    log_levels = noise_levels(alphas_cumprod).log()

    def draw(count: int, generator: torch.Generator) -> Tensor:
        log_sigma = lowest + (highest - lowest) * torch.rand(count, generator=generator, dtype=torch.float64)
        return (log_levels[None] - log_sigma[:, None]).abs().argmin(dim=1)

    return draw


def mean_psnr(x: Tensor, truth: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio of images `x` compared with the images `truth`, in dB.

    Both tensors have shape (N, C, H, W) and values in [0, 1].
    """
    return float((-10 * ((x - truth) ** 2).mean(dim=(1, 2, 3)).log10()).mean())


def _scaled(datasets: Sequence[PreparedDataset], split: str, pool: int) -> tuple[list[str], Tensor]:
    """Return the names of a split's images, and the images themselves, scaled to [-1, 1].

    The images have shape (N, C, H / pool, W / pool).
    """
    names = [name for dataset in datasets for name in dataset.names(split)]
    images = np.concatenate([dataset.stack(split)[0] for dataset in datasets])
    return names, F.avg_pool2d(torch.from_numpy(2 * images - 1), pool)
