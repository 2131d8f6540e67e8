"""The two classes that segcert takes from diffusers.

`from diffusers import UNet2DModel` imports every transformer and scheduler of diffusers, scipy.stats and the compiler
of torch: four seconds of each job that denoises. Their own modules take one.
"""

from segcert.io.lean_imports import lean

PACKAGES = ("diffusers.models.transformers", "diffusers.models.unets", "diffusers.schedulers")

with lean(bare=PACKAGES, absent=["torch._dynamo"]):
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

__all__ = ["DDPMScheduler", "UNet2DModel"]
