"""Augmentation of a batch: a random similarity transform and a random exposure."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ROTATION = math.radians(12)
SCALE = 0.12
SHIFT = 0.12
CONTRAST = 0.2
BRIGHTNESS = 0.1


def augment(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rotate, scale, shift (images and masks alike), then change contrast and brightness (images).

    images (B, C, H, W) float in [0, 1]; masks (B, H, W) integers.
    """
    grid = similarity_grid(images, generator)
    images, masks = warp(images, grid, "bilinear"), warp(masks[:, None].to(images), grid, "nearest")[:, 0].to(masks)
    contrast = 1 + CONTRAST * _uniform(images, generator)
    brightness = BRIGHTNESS * _uniform(images, generator)
    return ((images - 0.5) * contrast + 0.5 + brightness).clamp(0, 1), masks


def similarity_grid(images: Tensor, generator: torch.Generator) -> Tensor:
    """A random rotation, scale and shift for each image of the batch, as a sampling grid (B, H, W, 2)."""
    angle, log_scale, shift_x, shift_y = (
        most * _uniform(images, generator)[:, 0, 0, 0] for most in (ROTATION, SCALE, SHIFT, SHIFT)
    )
    cos, sin = angle.cos() * log_scale.exp(), angle.sin() * log_scale.exp()
    theta = torch.stack([cos, -sin, shift_x, sin, cos, shift_y], dim=1).view(-1, 2, 3)  # (B, 2, 3)
    return F.affine_grid(theta, list(images.shape), align_corners=False)


def warp(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample images (B, C, H, W) at a grid; what comes in from outside repeats the border."""
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)


def _uniform(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, 1, 1) numbers in [-1, 1)."""
    return 2 * torch.rand((len(images), 1, 1, 1), generator=generator) - 1
