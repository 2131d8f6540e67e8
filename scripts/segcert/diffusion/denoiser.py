"""One-shot denoising with a diffusion model (Carlini et al., ICLR 2023, section 3)."""

from pathlib import Path

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor, nn

from segcert.models.registry import ModelError


class OneShotDenoiser(nn.Module):
    """A denoiser for images in [0, 1]: one call of a diffusion model that predicts the noise.

    The diffusion model lives in [-1, 1]. With z = 2x - 1 an image noisy at sigma is noisy at sigma11 = 2 sigma,
    which is the forward process at the step t* whose (1 - abar) / abar is closest to sigma11^2, once it is scaled
    by sqrt(abar). The predicted noise gives the clean image, which is clipped and mapped back to [0, 1].
    """

    alphas_cumprod: Tensor

    def __init__(self, unet: nn.Module, alphas_cumprod: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.register_buffer("alphas_cumprod", alphas_cumprod)
        self._schedule = alphas_cumprod.detach().cpu()  # read without waiting for a GPU
        self.eval()

    @classmethod
    def load(cls, folder: str | Path) -> "OneShotDenoiser":
        """Read the diffusers folders `unet` and `scheduler` under `folder`. Raises ModelError if they are not there."""
        for name in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
            if not Path(folder, name).is_file():
                raise ModelError(f"{Path(folder, name)}: missing; a denoiser's folder holds unet/ and scheduler/")
        unet = UNet2DModel.from_pretrained(
            Path(folder) / "unet", local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
        )
        return cls(
            unet, DDPMScheduler.from_pretrained(Path(folder) / "scheduler", local_files_only=True).alphas_cumprod
        )

    def timestep(self, sigma: float) -> int:
        """t*: the step whose noise level is closest to `sigma`, which is in units of pixels in [0, 1]."""
        return closest_timestep(self._schedule, sigma)

    def forward(self, x_noisy: Tensor, sigma: float) -> Tensor:
        """x_noisy (B, C, H, W) = x + sigma * normal, x in [0, 1]; returns the estimate of x, (B, C, H, W) in [0, 1]."""
        t = self.timestep(sigma)
        abar = self.alphas_cumprod[t]
        step = torch.full((), t, device=x_noisy.device)
        z_t = abar.sqrt() * (2 * x_noisy - 1)
        epsilon = self.unet(z_t, step).sample
        z_0 = (z_t - (1 - abar).sqrt() * epsilon) / abar.sqrt()
        x: Tensor = (z_0.clamp(-1, 1) + 1) / 2
        return x


def closest_timestep(alphas_cumprod: Tensor, sigma: float) -> int:
    """The step t whose (1 - abar_t) / abar_t is closest to (2 sigma)^2. Raises ValueError above the last one."""
    noise_to_signal = (1 - alphas_cumprod.double()) / alphas_cumprod.double()
    largest = float(noise_to_signal.max().sqrt()) / 2
    if sigma > largest:
        raise ValueError(f"sigma: found {sigma}; the noise schedule of this denoiser ends at {largest:.3g}")
    return int(torch.argmin((noise_to_signal - (2 * sigma) ** 2).abs()))
