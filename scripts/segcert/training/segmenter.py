"""Train a segmenter: Dice and cross-entropy, on clean images or with Gaussian noise."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import Tensor

from segcert.data.images import resize_mask
from segcert.data.loading import PreparedDataset
from segcert.models.registry import build_segmenter, save_segmenter
from segcert.training.augment import augment
from segcert.training.loop import shuffled_batches, train

EVALUATION_BATCH = 32


def train_segmenter(
    index: str | Path,
    folder: str | Path,
    *,
    architecture: str,
    regime: str,
    settings: dict[str, Any],
    pool: int = 1,
    seed: int,
    device: torch.device,
) -> None:
    """Train on the split `train` of a prepared data set; keep the weights with the best Dice on `val`.

    `settings` are the keys of the section `segmenter` of the configuration. In the regime `noise` each training
    image gets Gaussian noise of a level drawn uniformly from [0, sigma_max], and so does each validation image
    (fixed noise). With `pool` the network learns on images averaged over pool x pool pixels, where noise of the level
    sigma is noise of the level sigma / pool. Writes model.safetensors, config.json and history.csv to `folder`.
    """
    dataset = PreparedDataset(Path(index))
    dataset.check()
    classes = dataset.about["classes"]
    images, masks = _tensors(dataset, "train", pool)
    val_images, val_masks = _tensors(dataset, "val", pool)
    arguments = {
        "in_channels": dataset.about["channels"],
        "num_classes": len(classes),
        "width": settings["width"],
        "depth": settings["depth"],
    }
    torch.manual_seed(seed)
    model = build_segmenter(architecture, arguments).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    criterion = DiceCELoss(softmax=True, include_background=False)
    class_ids = torch.arange(len(classes)).view(1, -1, 1, 1)
    generator = torch.Generator().manual_seed(seed)
    sigma_max = settings["sigma_max"] if regime == "noise" else 0.0
    sigma_seen = sigma_max / pool
    val_noisy = add_noise(val_images, sigma_seen, torch.Generator().manual_seed(seed + 1))

    def loss_of(batch: Tensor) -> Tensor:
        x, y = augment(images[batch], masks[batch], generator)
        logits = model(add_noise(x, sigma_seen, generator).to(device, memory_format=torch.channels_last))
        one_hot = (y[:, None] == class_ids).to(logits)  # of ids, cross-entropy is not deterministic on CUDA
        loss: Tensor = criterion(logits, one_hot)
        return loss

    def score_of() -> dict[str, float]:
        batches = val_noisy.split(EVALUATION_BATCH)  # type: ignore[no-untyped-call]
        labels = torch.cat([model(batch.to(device)).argmax(dim=1).cpu() for batch in batches])
        return {"val_dice": mean_dice(labels, val_masks, len(classes))}

    train(
        model,
        loss_of,
        score_of,
        shuffled_batches(len(images), settings["batch_size"], generator),
        what=f"training {architecture} ({regime}) on {dataset.about['name']}",
        steps=settings["steps"],
        learning_rate=settings["learning_rate"],
        weight_decay=settings["weight_decay"],
        evaluate_every=settings["evaluate_every"],
        history=Path(folder) / "history.csv",
    )
    about = {
        "architecture": architecture,
        "arguments": arguments,
        "classes": classes,
        "image_size": dataset.about["image_size"],
        "pool": pool,
        "pixel_range": [0, 1],
        "dataset": dataset.about["name"],
        "regime": regime,
        "sigma_max": sigma_max,
    }
    save_segmenter(folder, model, about)


def add_noise(images: Tensor, sigma_max: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise, each image's level drawn uniformly from [0, sigma_max]."""
    if sigma_max == 0:
        return images
    sigma = sigma_max * torch.rand((len(images), 1, 1, 1), generator=generator)
    return images + sigma * torch.randn(images.shape, generator=generator)


def mean_dice(labels: Tensor, masks: Tensor, num_classes: int) -> float:
    """Dice of each foreground class over all pixels of the set, averaged over classes. labels, masks: (N, H, W)."""
    scores = []
    for class_id in range(1, num_classes):
        predicted, true = labels == class_id, masks == class_id
        scores.append(2 * (predicted & true).sum().item() / max(1, (predicted.sum() + true.sum()).item()))
    return sum(scores) / len(scores)


def _tensors(dataset: PreparedDataset, split: str, pool: int) -> tuple[Tensor, Tensor]:
    images, masks = dataset.stack(split)
    small = [resize_mask(mask, mask.shape[0] // pool, len(dataset.about["classes"])) for mask in masks]
    return F.avg_pool2d(torch.from_numpy(images), pool), torch.from_numpy(np.stack(small)).long()
