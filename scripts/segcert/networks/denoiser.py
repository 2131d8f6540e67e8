"""Denoising with a diffusion model, in one step (Carlini et al., ICLR 2023, section 3) or in several."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from segcert.networks.diffusers_parts import UNet2DModel
from segcert.networks.diffusion_unet import CHANNELS, check_unet, divisor_of, load_unet, trained_size
from segcert.networks.folders import ModelError, denoiser_files
from segcert.networks.noise_schedule import (
    PREDICTIONS,
    check_schedule,
    closest_timestep,
    noise_levels,
    read_schedule,
)

NOTABLE = 0.1  # smallest relative difference between noise levels that is worth a remark


class DiffusionDenoiser(nn.Module):
    """A denoiser for images in [0, 1]: a diffusion model that is called `steps` times per image.

    The diffusion model works on values in [-1, 1]. A noisy image x with noise level sigma is therefore mapped to the
    image z = 2x - 1, which has noise level 2 sigma. Each step of the model's noise schedule has a value abar. The
    denoiser uses the step t* at which (1 - abar) / abar is closest to (2 sigma)^2, because sqrt(abar) z is then a
    sample of the forward process. The network's prediction at this step gives an estimate of the clean image, which is
    clipped and mapped back to [0, 1].

    If `steps` is greater than 1, the predicted noise is added to the estimate again at a lower level, and the network
    makes a new estimate from the result. This is DDIM (Song et al., ICLR 2021) with eta = 0. The steps after t* are
    evenly spaced between t* and 0. No random numbers are drawn, so the result depends only on the noisy image and on
    sigma.

    Parameters
    ----------
    unet
        A diffusers UNet2DModel. If it has twice as many output channels as input channels, the second half (learned
        variances) is ignored. If it has three input channels and the image has one, the image is repeated three times
        and the three predictions are averaged.
    alphas_cumprod
        Values of abar, in a tensor of shape (T,) with one value per step of the diffusion model. The first value is
        below 1, and the values never increase from step to step.
    prediction
        Target of the network: "epsilon" (Ho et al. 2020), "v_prediction" (Salimans and Ho 2022), or "sample" (the clean
        image itself).
    steps
        Number of network calls per image, from 1 (one-shot denoising) to T.

    Raises
    ------
    ModelError
        If the schedule, the prediction, the number of steps or the network cannot be used to denoise images in this
        way.
    """

    alphas_cumprod: Tensor

    def __init__(self, unet: nn.Module, alphas_cumprod: Tensor, prediction: str = "epsilon", steps: int = 1) -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ModelError(f"prediction: found {prediction!r}; expected one of {', '.join(PREDICTIONS)}")
        check_schedule(alphas_cumprod)
        if not 1 <= steps <= len(alphas_cumprod):
            raise ModelError(
                f"steps: found {steps}; expected 1 to {len(alphas_cumprod)}, which is the number of steps in the "
                "noise schedule"
            )
        if isinstance(unet, UNet2DModel):
            check_unet(unet.config, len(alphas_cumprod))
        elif type(unet).__module__.startswith("diffusers."):
            found = type(unet).__name__
            raise ModelError(
                f"unet: found a {found}; expected a UNet2DModel, which takes an image and a diffusion step as inputs"
            )
        self.unet = unet
        self.register_buffer("alphas_cumprod", alphas_cumprod)
        self._schedule = alphas_cumprod.detach().cpu()  # can be read without waiting for a GPU
        self.prediction, self.steps = prediction, steps
        self.name = "denoiser"
        self.eval()

    @classmethod
    def load(cls, folder: str | Path, steps: int = 1) -> "DiffusionDenoiser":
        """Read the diffusers folders `unet` and `scheduler` in `folder`.

        Raises ModelError if a file is missing or damaged, or if the network or the schedule cannot be used to denoise
        images in this way. The message names the file and the key. See `load_unet` and `read_schedule`.
        """
        denoiser_files(folder)
        schedule = read_schedule(Path(folder))
        unet = load_unet(Path(folder), len(schedule.alphas_cumprod), schedule.learns_variance)
        denoiser = cls(unet, schedule.alphas_cumprod, schedule.prediction, steps)
        denoiser.name = str(folder)
        return denoiser

    def require_fit(self, shape: Sequence[int], sigma: float) -> None:
        """Raise ModelError unless images of `shape` (C, H, W) with noise level `sigma` can be denoised."""
        channels, height, width = shape
        wanted, divisor = self._channels(channels), divisor_of(self.unet)
        if wanted != channels and (channels, wanted) != CHANNELS:
            raise ModelError(
                f"{self.name}: found an image with {channels} channels; expected {wanted}. Use a denoiser that was "
                "trained on such images"
            )
        if height % divisor or width % divisor:
            raise ModelError(
                f"{self.name}: found an image of {height} x {width} pixels; expected a height and a width that are "
                f"multiples of {divisor}, because the denoiser halves the resolution several times. Choose a "
                "different image size"
            )
        self.timestep(sigma)

    def remarks(self, size: Sequence[int], sigma: float) -> list[str]:
        """Return remarks if the denoiser was not trained for images of `size` (H, W) or for the noise level `sigma`."""
        remarks = []
        trained = trained_size(self.unet)
        if trained is not None and trained != tuple(size):
            before, now = (" x ".join(map(str, each)) for each in (trained, size))
            remarks.append(f"the denoiser was trained on images of {before} pixels and gets {now}")
        level = float(noise_levels(self._schedule)[self.timestep(sigma)])
        if abs(level / sigma - 1) > NOTABLE:
            remarks.append(
                f"the denoiser gets noise of level {sigma:.3g} and treats it as {level:.3g}, the closest level of its "
                "schedule"
            )
        return remarks

    def timestep(self, sigma: float) -> int:
        """Return t*, the diffusion step whose noise level is closest to `sigma`, for pixel values in [0, 1]."""
        return closest_timestep(self._schedule, sigma)

    def timesteps(self, sigma: float) -> list[int]:
        """Return the steps at which the network is called: `timestep(sigma)` and evenly spaced steps below it."""
        first = self.timestep(sigma)
        return [round(first * (1 - number / self.steps)) for number in range(self.steps)]

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Estimate clean images x in [0, 1] from x_noisy = x + sigma * standard normal noise.

        The images have shape (B, C, H, W).
        """
        self.require_fit(x_noisy.shape[1:], sigma)
        timesteps = self.timesteps(sigma)
        z_t = self.alphas_cumprod[timesteps[0]].sqrt() * (2 * x_noisy - 1)
        z_0 = self.estimate(z_t, timesteps[0])
        for before, t in itertools.pairwise(timesteps):
            abar_before, abar = self.alphas_cumprod[before], self.alphas_cumprod[t]
            epsilon = (z_t - abar_before.sqrt() * z_0) / (1 - abar_before).sqrt()
            z_t = abar.sqrt() * z_0 + (1 - abar).sqrt() * epsilon
            z_0 = self.estimate(z_t, t)
        x: Tensor = (z_0 + 1) / 2
        return x

    def estimate(self, z_t: Tensor, t: int) -> Tensor:
        """Estimate clean images in [-1, 1] from samples z_t of the forward process at step t.

        The images have shape (B, C, H, W).
        """
        abar = self.alphas_cumprod[t]
        channels = z_t.shape[1]
        wanted = self._channels(channels)
        seen = z_t.expand(-1, wanted, -1, -1)
        output = self.unet(seen, torch.full((), t, device=z_t.device))
        predicted = getattr(output, "sample", None)
        expected, with_variances = tuple(seen.shape), (len(seen), 2 * wanted, *seen.shape[2:])
        if not isinstance(predicted, Tensor) or tuple(predicted.shape) not in (expected, with_variances):
            found = tuple(predicted.shape) if isinstance(predicted, Tensor) else f"a {type(output).__name__}"
            raise ModelError(
                f"{self.name}: its network returned {found} for images of shape {expected}; expected an object whose "
                "attribute `sample` is a tensor of this shape, as returned by a UNet2DModel"
            )
        predicted = predicted[:, :wanted]
        if wanted != channels:
            predicted = predicted.mean(dim=1, keepdim=True)
        if self.prediction == "epsilon":
            z_0 = (z_t - (1 - abar).sqrt() * predicted) / abar.sqrt()
        elif self.prediction == "v_prediction":
            z_0 = abar.sqrt() * z_t - (1 - abar).sqrt() * predicted
        else:
            z_0 = predicted
        return z_0.clamp(-1, 1)

    def _channels(self, channels: int) -> int:
        """Return the number of input channels of the network, or `channels` if the network does not state it."""
        wanted: int = getattr(getattr(self.unet, "config", None), "in_channels", channels)
        return wanted
