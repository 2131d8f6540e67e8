"""Denoising with a diffusion model, in one step (Carlini et al., ICLR 2023, section 3) or in k."""

import itertools
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from segcert.io.json_files import parse_json
from segcert.io.lean_imports import lean
from segcert.networks.folders import DENOISER_FILES, ModelError

# `from diffusers import UNet2DModel` imports every transformer and scheduler of diffusers, scipy.stats and the compiler
# of torch: four seconds of each job that denoises. Their own modules take one.
PACKAGES = ("diffusers.models.transformers", "diffusers.models.unets", "diffusers.schedulers")
with lean(bare=PACKAGES, absent=["torch._dynamo"]):
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

__all__ = ["DDPMScheduler", "DiffusionDenoiser", "UNet2DModel", "closest_timestep", "noise_levels"]
PREDICTIONS = ("epsilon", "v_prediction")


class DiffusionDenoiser(nn.Module):
    """A denoiser for images in [0, 1]: a diffusion model, called once or `steps` times.

    The diffusion model lives in [-1, 1]. With z = 2x - 1 an image noisy at sigma is noisy at sigma11 = 2 sigma,
    which is the forward process at the step t* whose (1 - abar) / abar is closest to sigma11^2, once it is scaled
    by sqrt(abar). The network's prediction gives the clean image, which is clipped and mapped back to [0, 1].

    With more `steps` the estimate is put back to a lower noise level with the noise that was predicted (DDIM, Song et
    al., ICLR 2021, eta = 0) and estimated again, from t* down to step 0: still a function of the noisy image alone.

    Parameters
    ----------
    unet
        A diffusers UNet2DModel. If it has twice as many output channels as input channels, the second half (learned
        variances) is not used. If it has three and the image one, it gets the gray image three times, and the mean of
        its three estimates counts.
    alphas_cumprod
        (T,) abar of each step.
    prediction
        What the network predicts: "epsilon" (Ho et al. 2020) or "v_prediction" (Salimans and Ho 2022).
    steps
        Network calls per image; 1 is one-shot denoising.
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
        """Read the diffusers folders `unet` and `scheduler` under `folder`. Raises ModelError if they are not there."""
        for name in ("unet/config.json", *DENOISER_FILES):  # what a folder of something else lacks first
            if not Path(folder, name).is_file():
                raise ModelError(f"{Path(folder, name)}: missing; a denoiser's folder holds unet/ and scheduler/")
        try:
            unet = _load_unet(Path(folder, "unet"))
            scheduler = DDPMScheduler.from_pretrained(Path(folder) / "scheduler", local_files_only=True)
        except Exception as error:  # diffusers builds what the files say, and fails as that does
            raise ModelError(f"{folder}: holds no denoiser ({error}); train it again") from error
        return cls(unet, scheduler.alphas_cumprod, scheduler.config.prediction_type, steps)

    def timestep(self, sigma: float) -> int:
        """t*: the step whose noise level is closest to `sigma`, which is in units of pixels in [0, 1]."""
        return closest_timestep(self._schedule, sigma)

    def timesteps(self, sigma: float) -> list[int]:
        """The steps at which the network is called: t*, and the others spread evenly below it."""
        first = self.timestep(sigma)
        return [round(first * (1 - number / self.steps)) for number in range(self.steps)]

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """x_noisy (B, C, H, W) = x + sigma * normal, x in [0, 1]; returns the estimate of x, (B, C, H, W) in [0, 1]."""
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
        """The clean image in [-1, 1] (B, C, H, W) behind z_t (B, C, H, W), the forward process at step t."""
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
    """The noise level of each step of a schedule (T,), sigma in units of pixels in [0, 1]."""
    return ((1 - alphas_cumprod.double()) / alphas_cumprod.double()).sqrt() / 2


def closest_timestep(alphas_cumprod: Tensor, sigma: float) -> int:
    """The step t whose (1 - abar_t) / abar_t is closest to (2 sigma)^2. Raises ValueError above the last one."""
    levels = noise_levels(alphas_cumprod)
    if sigma > levels.max():
        raise ValueError(f"sigma: found {sigma}; the noise schedule of this denoiser ends at {float(levels.max()):.3g}")
    return int(torch.argmin((levels**2 - sigma**2).abs()))


def _load_unet(folder: Path) -> UNet2DModel:
    """A UNet2DModel as `from_pretrained` reads it, which imports the compiler of torch for it: for seconds."""
    config = parse_json((folder / "config.json").read_bytes())
    if not isinstance(config, dict):  # diffusers takes a text for the address of a model, and asks for it
        raise ValueError(f"unet/config.json: found {type(config).__name__}, expected a mapping")
    unet = UNet2DModel.from_config(config)
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    if weights.keys() != unet.state_dict().keys():  # older versions of diffusers gave layers other names
        return UNet2DModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False)
    unet.load_state_dict(weights)
    return unet
