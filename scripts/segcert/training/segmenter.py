"""Training of a segmenter, with Dice and cross-entropy loss, on clean, noisy or denoised images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segcert.data.dataset import PreparedDataset
from segcert.data.raster import resize_mask
from segcert.io.lean_imports import lean
from segcert.networks.architectures import ARCHITECTURES
from segcert.networks.folders import Preprocessing
from segcert.networks.probe import check_output, require_finite
from segcert.networks.registry import build_segmenter, load_segmenter, save_segmenter
from segcert.training.augment import augment
from segcert.training.launch import accelerator_on
from segcert.training.loop import memory_explained, train
from segcert.training.state import Checkpoint

with lean(absent=["matplotlib", "pandas", "scipy.signal", "scipy.stats", "skimage"]):  # their imports take two seconds
    from monai.losses import DiceCELoss

Corrupt = Callable[[Tensor, torch.Generator], Tensor]


def train_segmenter(
    index: str | Path,
    folder: str | Path,
    *,
    architecture: str,
    arguments: Mapping[str, Any],
    target_code: str | None = None,
    regime: str,
    settings: Mapping[str, Any],
    start: str | Path | None = None,
    denoiser: str | Path | None = None,
    denoising_steps: int = 1,
    sigmas: Sequence[float] = (),
    pool: int = 1,
    seed: int,
    device: torch.device,
    checkpoint: str | Path,
    code: str = "",
) -> None:
    """Train a segmenter on the `train` split of a prepared data set, and keep the weights with the best Dice on `val`.

    Writes model.safetensors, last.safetensors, config.json and history.csv to `folder`.

    Parameters
    ----------
    architecture, arguments
        See segcert.networks.registry.build_segmenter.
    target_code
        Digest of a user-supplied architecture's code. It is written to config.json, so that votes from different code
        are not reused.
    regime
        With "clean", no noise is added. With "noise", Gaussian noise is added to each training image, at a level that
        is drawn uniformly from [0, sigma_max]. With "denoised", the segmenter `start` is fine-tuned on denoised images:
        noise at one of the levels `sigmas` is added to each image, and `denoiser` removes the noise. Validation images
        are treated in the same way, but with fixed noise.
    settings
        The configuration section `segmenter`.
    start, denoiser
        Folders of the initial segmenter and of the denoiser, for the regime "denoised".
    pool
        Images are averaged over blocks of pool x pool pixels, which reduces the noise level from sigma to sigma / pool.
    checkpoint
        File from which interrupted training resumes.
    code
        Digest of the training code.

    Raises
    ------
    ModelError
        If the network cannot be built or does not fit the data, or if its logits of a validation image are not finite.
    TrainingError
        In the same cases as segcert.training.loop.train.
    """
    dataset = PreparedDataset(Path(index))
    classes, side = dataset.about["classes"], dataset.about["image_size"] // pool
    accelerator = accelerator_on(device, settings["precision"])

    # The network is built first, so a mistyped target or argument is reported before thousands of images are read.
    torch.manual_seed(seed)
    model = load_segmenter(start)[0] if start else build_segmenter(architecture, dict(arguments)).eval()
    shape = (dataset.about["channels"], side, side)
    check_output(model, f"architecture {architecture!r} with {dict(arguments)}", shape, classes)
    dataset.check()
    images, masks = _tensors(dataset, "train", pool)
    val_images, val_masks = _tensors(dataset, "val", pool)
    layout = memory_layout(architecture, accelerator.device)
    model = model.to(accelerator.device, memory_format=layout)  # type: ignore[call-overload]
    if regime == "denoised":
        corrupt = denoised_at(sigmas, denoiser, denoising_steps, pool, accelerator.device)
    else:
        corrupt = noisy_up_to(settings["sigma_max"] / pool if regime == "noise" else 0.0)
    criterion = DiceCELoss(softmax=True, include_background=False)
    class_ids = torch.arange(len(classes)).view(1, -1, 1, 1)

    def loss_of(model: nn.Module, batch: Tensor, generator: torch.Generator) -> Tensor:
        x, y = augment(images[batch], masks[batch], settings["augmentation"], generator)
        logits = model(corrupt(x, generator).to(accelerator.device, memory_format=layout))
        one_hot = (y[:, None] == class_ids).to(logits)  # cross-entropy of class ids is not deterministic on CUDA
        loss: Tensor = criterion(logits, one_hot)
        return loss

    what = f"training {Path(folder).name} on {dataset.about['name']}"
    generator = torch.Generator().manual_seed(seed + 1)
    with memory_explained(what, "segmenter", settings["batch_size"]):
        seen = torch.cat([corrupt(x, generator).cpu() for x in val_images.split(settings["batch_size"])])  # type: ignore[no-untyped-call]

    def score_of(kept: nn.Module) -> dict[str, float]:
        labels = []
        for batch in seen.split(settings["batch_size"]):  # type: ignore[no-untyped-call]
            logits = kept(batch.to(accelerator.device))
            require_finite(logits, kept, what, "a validation image")
            labels.append(logits.argmax(dim=1).cpu())
        return {"val_dice": mean_dice(torch.cat(labels), val_masks, len(classes))}

    networks = [path for each in (start, denoiser) if each for path in sorted(Path(each).rglob("*.safetensors"))]
    saved = Checkpoint.of(
        checkpoint,
        [index, *networks],
        architecture=architecture,
        arguments=arguments,
        regime=regime,
        settings=settings,
        sigmas=sigmas,
        denoising_steps=denoising_steps,
        pool=pool,
        seed=seed,
        code=[code, target_code],
    )
    train(
        model,
        loss_of,
        score_of,
        dataset.names("train"),
        what=what,
        section="segmenter",
        settings=settings,
        seed=seed,
        accelerator=accelerator,
        folder=folder,
        checkpoint=saved,
    )
    if accelerator.is_main_process:
        about = {
            "architecture": architecture,
            "arguments": arguments,
            "target_code": target_code,
            "classes": classes,
            "in_channels": dataset.about["channels"],
            "image_size": dataset.about["image_size"],
            "preprocessing": Preprocessing.model_validate(dataset.about).stated(),
            "pool": pool,
            "pixel_range": [0, 1],
            "dataset": dataset.about["name"],
            "regime": regime,
            "sigma_max": settings["sigma_max"] if regime == "noise" else max(sigmas, default=0.0),
        }
        save_segmenter(folder, model, about)
        saved.discard()


def memory_layout(architecture: str, device: torch.device) -> torch.memory_format:
    """Return the faster memory layout, channels_last, except for user-supplied networks on a CPU.

    On a CPU, the backward pass of strided 1x1 convolutions with few channels is wrong or crashes (uxlfoundation/oneDNN,
    issue 6035). The built-in networks avoid such convolutions.
    """
    trusted = device.type != "cpu" or architecture in ARCHITECTURES
    return torch.channels_last if trusted else torch.contiguous_format


def noisy_up_to(sigma_max: float) -> Corrupt:
    """Return a function that adds Gaussian noise to each image, at a level drawn uniformly from [0, sigma_max]."""

    def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
        if sigma_max == 0:
            return images
        sigma = sigma_max * torch.rand((len(images), 1, 1, 1), generator=generator)
        return images + sigma * torch.randn(images.shape, generator=generator)

    return corrupt


def denoised_at(
    sigmas: Sequence[float], denoiser: str | Path | None, steps: int, pool: int, device: torch.device
) -> Corrupt:
    """Return a function that adds noise to each image, at a level drawn from `sigmas`, and denoises the images.

    `sigmas` contains noise levels at full resolution; the denoiser sees sigma / pool.
    """
    from segcert.networks.denoiser import DiffusionDenoiser

    if denoiser is None or not sigmas:
        raise ValueError("regime: found `denoised`, which needs a denoiser and `sigmas`")
    denoise = DiffusionDenoiser.load(denoiser, steps).to(device)

    @torch.no_grad()
    def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
        levels = torch.randint(len(sigmas), (len(images),), generator=generator)
        noise = torch.randn(images.shape, generator=generator)
        denoised = torch.empty_like(images, device=device)
        for number, sigma in enumerate(sigmas):
            chosen = levels == number
            if chosen.any():
                noisy = images[chosen] + sigma / pool * noise[chosen]
                denoised[chosen.to(device)] = denoise(noisy.to(device), sigma / pool)
        return denoised

    return corrupt


def mean_dice(labels: Tensor, masks: Tensor, num_classes: int) -> float:
    """Return the Dice score over the pixels of all images, averaged over the foreground classes.

    `labels` and `masks` have shape (N, H, W).
    """
    scores = []
    for class_id in range(1, num_classes):
        predicted, true = labels == class_id, masks == class_id
        scores.append(2 * (predicted & true).sum().item() / max(1, (predicted.sum() + true.sum()).item()))
    return sum(scores) / len(scores)


def _tensors(dataset: PreparedDataset, split: str, pool: int) -> tuple[Tensor, Tensor]:
    images, masks = dataset.stack(split)
    small = [resize_mask(mask, mask.shape[0] // pool, len(dataset.about["classes"])) for mask in masks]
    return F.avg_pool2d(torch.from_numpy(images), pool), torch.from_numpy(np.stack(small)).long()
