"""Import single classes of diffusers without the rest of the library.

`from diffusers import UNet2DModel` imports every transformer and scheduler of diffusers, scipy.stats and torch's
compiler. That takes four seconds in each job that uses a denoiser, whereas importing two modules directly takes one
second.
"""

import importlib
from typing import Any

from segcert.io.lean_imports import lean

BARE = ("diffusers.models.transformers", "diffusers.models.unets", "diffusers.schedulers")
ABSENT = ("torch._dynamo",)
with lean(bare=BARE, absent=ABSENT):
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

# Schedulers with a variance-preserving forward process in discrete steps, and their modules. They draw samples in
# different ways, but their networks get the same inputs: sqrt(abar_t) z_0 + sqrt(1 - abar_t) noise, and t.
SCHEDULERS = {
    "DDPMScheduler": "ddpm",
    "DDPMParallelScheduler": "ddpm_parallel",
    "DDIMScheduler": "ddim",
    "DDIMParallelScheduler": "ddim_parallel",
    "PNDMScheduler": "pndm",
    "LMSDiscreteScheduler": "lms_discrete",
    "EulerDiscreteScheduler": "euler_discrete",
    "EulerAncestralDiscreteScheduler": "euler_ancestral_discrete",
    "HeunDiscreteScheduler": "heun_discrete",
    "KDPM2DiscreteScheduler": "k_dpm_2_discrete",
    "KDPM2AncestralDiscreteScheduler": "k_dpm_2_ancestral_discrete",
    "DEISMultistepScheduler": "deis_multistep",
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "DPMSolverSinglestepScheduler": "dpmsolver_singlestep",
    "UniPCMultistepScheduler": "unipc_multistep",
}
__all__ = ["SCHEDULERS", "DDPMScheduler", "UNet2DModel", "scheduler_class"]


def scheduler_class(name: str) -> Any:
    """Import and return the scheduler class with the given name, which must be a key of SCHEDULERS."""
    with lean(bare=BARE, absent=ABSENT):
        return getattr(importlib.import_module(f"diffusers.schedulers.scheduling_{SCHEDULERS[name]}"), name)
