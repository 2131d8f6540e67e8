"""Augmentation of a batch: random similarity transforms, flips, and changes of contrast, colour and brightness."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(
    images: Tensor, masks: Tensor, settings: Mapping[str, Any], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Apply the same random transforms to images and masks, then vary the images' contrast, colour and brightness.

    The transforms are those of `transformed`. `images` has shape (B, C, H, W) and values in [0, 1]. `masks` has shape
    (B, H, W) and integer values. `settings` is the configuration section `augmentation`, in which `flips` is true only
    if the data set allows flips.
    """
    both = transformed(torch.cat([images, masks[:, None].to(images)], dim=1), settings, generator, nearest=1)
    changed, labels = both[:, :-1], both[:, -1]
    contrast = 1 + settings["contrast"] * _uniform(images, generator)
    if settings["colour"]:
        contrast = contrast * (1 + settings["colour"] * _uniform(images, generator, images.shape[1]))
    brightness = settings["brightness"] * _uniform(images, generator)
    changed = ((changed - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
    return changed, labels.to(masks)


def transformed(images: Tensor, settings: Mapping[str, Any], generator: torch.Generator, nearest: int = 0) -> Tensor:
    """Randomly rotate, scale and shift each image in a batch of shape (B, C, H, W).

    If the setting `flips` is true, images are also flipped, and rotated by a multiple of 90 degrees. The last `nearest`
    channels are label maps, which are sampled at the nearest pixel. The other channels are sampled bilinearly. Beyond
    its border, an image repeats its border pixels.
    """
    grid = similarity_grid(images, settings, generator)
    smooth, labels = images.split([images.shape[1] - nearest, nearest], dim=1)  # type: ignore[no-untyped-call]
    images = torch.cat([warp(smooth, grid, "bilinear"), warp(labels, grid, "nearest")], dim=1)
    return flipped(images, generator) if settings["flips"] else images


def flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Randomly flip each square image in a batch of shape (B, C, H, H), and rotate it by 0, 90, 180 or 270 degrees."""
    ways = torch.randint(8, (len(images),), generator=generator).tolist()
    mirrored = (image.flip(-1) if way >= 4 else image for image, way in zip(images, ways, strict=True))
    return torch.stack([torch.rot90(image, way % 4, (-2, -1)) for image, way in zip(mirrored, ways, strict=True)])


def similarity_grid(images: Tensor, settings: Mapping[str, Any], generator: torch.Generator) -> Tensor:
    """Draw a rotation, scale and shift for each image in a batch, and return a sampling grid of shape (B, H, W, 2)."""
    most = (math.radians(settings["rotation"]), settings["scale"], settings["shift"], settings["shift"])
    angle, log_scale, shift_x, shift_y = (each * _uniform(images, generator)[:, 0, 0, 0] for each in most)
    cos, sin = angle.cos() * log_scale.exp(), angle.sin() * log_scale.exp()
    theta = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(-1, 2, 3)  # (B, 2, 3)
    return F.affine_grid(theta, list(images.shape), align_corners=False)


def warp(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample images at the points of a grid.

    The images have shape (B, C, H, W), and the grid has shape (B, H, W, 2). Beyond its border, an image repeats its
    border pixels.
    """
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)


def _uniform(images: Tensor, generator: torch.Generator, channels: int = 1) -> Tensor:
    """Draw numbers uniformly from [-1, 1), in a tensor of shape (B, channels, 1, 1)."""
    return 2 * torch.rand((len(images), channels, 1, 1), generator=generator) - 1
