"""Train the denoiser: a DDPM (Ho et al., NeurIPS 2020) that predicts the noise, saved in diffusers' format."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from segcert.data.loading import PreparedDataset
from segcert.provenance.atomic import atomic_folder
from segcert.training.augment import similarity_grid, warp
from segcert.training.loop import shuffled_batches, train

TIMESTEPS = 1000
NORM_GROUPS = 8


def train_denoiser(
    index: str | Path, folder: str | Path, *, settings: dict[str, Any], pool: int = 1, seed: int, device: torch.device
) -> None:
    """Train on the split `train` of a prepared data set; keep the averaged weights that are best on `val`.

    `settings` are the keys of the section `denoiser` of the configuration; with `pool` the images are averaged over
    pool x pool pixels. Writes the diffusers folders `unet`
    and `scheduler`, and history.csv, to `folder`.
    """
    dataset = PreparedDataset(Path(index))
    dataset.check()
    images, val_images = (_scaled(dataset, split, pool) for split in ("train", "val"))
    torch.manual_seed(seed)
    unet = build_unet(settings, dataset.about["channels"], dataset.about["image_size"] // pool)
    unet = unet.to(device, memory_format=torch.channels_last)
    scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="linear", prediction_type="epsilon")
    average = AveragedModel(unet, multi_avg_fn=get_ema_multi_avg_fn(settings["ema_decay"]))  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)

    def epsilon_loss(model: torch.nn.Module, z_0: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
        z_t = scheduler.add_noise(z_0, epsilon, t).to(device, memory_format=torch.channels_last)
        return F.mse_loss(model(z_t, t.to(device)).sample, epsilon.to(device))

    def draw(z_0: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        t = torch.randint(TIMESTEPS, (len(z_0),), generator=generator)
        return t, torch.randn(z_0.shape, generator=generator)

    def loss_of(batch: Tensor) -> Tensor:
        z_0 = warp(images[batch], similarity_grid(images[batch], generator), "bilinear")
        return epsilon_loss(unet, z_0, *draw(z_0, generator))

    t_val, epsilon_val = draw(val_images, torch.Generator().manual_seed(seed + 1))

    def score_of() -> dict[str, float]:
        parts = torch.arange(len(val_images)).tensor_split(math.ceil(len(val_images) / settings["batch_size"]))
        losses = (epsilon_loss(average, val_images[i], t_val[i], epsilon_val[i]).item() * len(i) for i in parts)
        return {"negative_val_loss": -sum(losses) / len(val_images)}

    train(
        unet,
        loss_of,
        score_of,
        shuffled_batches(len(images), settings["batch_size"], generator),
        what=f"training the denoiser on {dataset.about['name']}",
        steps=settings["steps"],
        learning_rate=settings["learning_rate"],
        weight_decay=0.0,
        evaluate_every=settings["evaluate_every"],
        history=Path(folder) / "history.csv",
        after_step=lambda: average.update_parameters(unet),
        keep=average,
    )
    unet.load_state_dict(average.module.state_dict())
    for name, part in (("unet", unet), ("scheduler", scheduler)):
        with atomic_folder(Path(folder) / name) as new:
            part.save_pretrained(new)


def build_unet(settings: dict[str, Any], channels: int, image_size: int) -> UNet2DModel:
    """The diffusion model's network: residual blocks at each level, no attention (small images, few levels)."""
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


def _scaled(dataset: PreparedDataset, split: str, pool: int) -> Tensor:
    """Images of a split in [-1, 1], the diffusion model's range: (N, C, H / pool, W / pool)."""
    images, _ = dataset.stack(split)
    return F.avg_pool2d(torch.from_numpy(2 * images - 1), pool)
