"""Denoising with a diffusion model, in one step (Carlini et al., ICLR 2023, section 3) or in several."""

import itertools
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from segcert.io.json_files import parse_json
from segcert.io.lean_imports import lean
from segcert.networks.folders import DENOISER_FILES, ModelError

# `from diffusers import UNet2DModel` imports every transformer and scheduler of diffusers, scipy.stats and torch's
# compiler. That takes four seconds in each job that denoises; importing the two modules directly takes one second.
PACKAGES = ("diffusers.models.transformers", "diffusers.models.unets", "diffusers.schedulers")
with lean(bare=PACKAGES, absent=["torch._dynamo"]):
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

__all__ = ["DDPMScheduler", "DiffusionDenoiser", "UNet2DModel", "closest_timestep", "noise_levels"]
PREDICTIONS = ("epsilon", "v_prediction")


class DiffusionDenoiser(nn.Module):
    """A denoiser for images in [0, 1]: a diffusion model that is called `steps` times per image.

    The diffusion model works in [-1, 1]. An image x with noise level sigma becomes z = 2x - 1, with noise level 2
    sigma. Each step of the model's noise schedule has a value abar. At the step t* whose (1 - abar) / abar is closest
    to (2 sigma)^2, sqrt(abar) z is a sample of the forward process. The network's prediction at this step gives an
    estimate of the clean image, which is clipped and mapped back to [0, 1].

    With more than one step, the predicted noise is added again at a lower level, and a new estimate follows (DDIM, Song
    et al., ICLR 2021, eta = 0). The steps are evenly spaced below t*. The result depends only on the noisy image.

    Parameters
    ----------
    unet
        A diffusers UNet2DModel. If it has twice as many output channels as input channels, the second half (learned
        variances) is ignored. If it has three input channels and the image has one, the image is repeated three times
        and the three predictions are averaged.
    alphas_cumprod
        (T,) values of abar, one per step of the diffusion model.
    prediction
        Target of the network: "epsilon" (Ho et al. 2020) or "v_prediction" (Salimans and Ho 2022).
    steps
        Number of network calls per image; 1 is one-shot denoising.
    """

    alphas_cumprod: Tensor

    def __init__(self, unet: nn.Module, alphas_cumprod: Tensor, prediction: str = "epsilon", steps: int = 1) -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ModelError(f"prediction: found {prediction!r}; expected one of {', '.join(PREDICTIONS)}")
        self.unet = unet
        self.register_buffer("alphas_cumprod", alphas_cumprod)
        self._schedule = alphas_cumprod.detach().cpu()  # read without waiting for a GPU
        self.prediction, self.steps = prediction, steps
        self.eval()

    @classmethod
    def load(cls, folder: str | Path, steps: int = 1) -> "DiffusionDenoiser":
        """Read the diffusers folders `unet` and `scheduler` in `folder`. Raises ModelError if one is missing."""
        for name in ("unet/config.json", *DENOISER_FILES):  # the config first: folders of other kinds lack it
            if not Path(folder, name).is_file():
                raise ModelError(f"{Path(folder, name)}: missing; a denoiser folder contains unet/ and scheduler/")
        try:
            unet = _load_unet(Path(folder, "unet"))
            scheduler = DDPMScheduler.from_pretrained(Path(folder) / "scheduler", local_files_only=True)
        except Exception as error:  # diffusers raises many kinds of errors for bad files
            raise ModelError(f"{folder}: cannot be loaded as a denoiser ({error}); train it again") from error
        return cls(unet, scheduler.alphas_cumprod, scheduler.config.prediction_type, steps)

    def timestep(self, sigma: float) -> int:
        """Return t*, the diffusion step whose noise level is closest to `sigma`, for pixel values in [0, 1]."""
        return closest_timestep(self._schedule, sigma)

    def timesteps(self, sigma: float) -> list[int]:
        """Return the steps at which the network is called: `timestep(sigma)` and evenly spaced steps below it."""
        first = self.timestep(sigma)
        return [round(first * (1 - number / self.steps)) for number in range(self.steps)]

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """Estimate the clean images x, (B, C, H, W) in [0, 1], from x_noisy = x + sigma * standard normal noise."""
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
        """Estimate clean images in [-1, 1] from samples z_t of the forward process at step t. Both are (B, C, H, W)."""
        abar = self.alphas_cumprod[t]
        channels = z_t.shape[1]
        wanted = getattr(getattr(self.unet, "config", None), "in_channels", channels)
        predicted: Tensor = self.unet(z_t.expand(-1, wanted, -1, -1), torch.full((), t, device=z_t.device)).sample
        predicted = predicted[:, :wanted]
        if wanted != channels:
            predicted = predicted.mean(dim=1, keepdim=True)
        if self.prediction == "epsilon":
            z_0 = (z_t - (1 - abar).sqrt() * predicted) / abar.sqrt()
        else:
            z_0 = abar.sqrt() * z_t - (1 - abar).sqrt() * predicted
        return z_0.clamp(-1, 1)


def noise_levels(alphas_cumprod: Tensor) -> Tensor:
    """Return the noise level of each step of a noise schedule, (T,), for pixel values in [0, 1]."""
    return ((1 - alphas_cumprod.double()) / alphas_cumprod.double()).sqrt() / 2


def closest_timestep(alphas_cumprod: Tensor, sigma: float) -> int:
    """Return the step of a noise schedule whose noise level is closest to sigma, for pixel values in [0, 1].

    Raises ValueError if sigma is above the noise level of the last step.
    """
    levels = noise_levels(alphas_cumprod)
    if sigma > levels.max():
        raise ValueError(
            f"sigma: found {sigma}; expected at most {float(levels.max()):.3g}, this denoiser's highest noise level"
        )
    return int(torch.argmin((levels**2 - sigma**2).abs()))


def _load_unet(folder: Path) -> UNet2DModel:
    """Read a UNet2DModel without `from_pretrained`, which would import torch's compiler and take seconds longer."""
    config = parse_json((folder / "config.json").read_bytes())
    if not isinstance(config, dict):  # diffusers would treat a string as a model name and download the model
        raise ValueError(f"unet/config.json: found a {type(config).__name__}; expected a mapping")
    unet = UNet2DModel.from_config(config)
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    if weights.keys() != unet.state_dict().keys():  # older versions of diffusers used different layer names
        return UNet2DModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False)
    unet.load_state_dict(weights)
    return unet
