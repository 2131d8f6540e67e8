"""Small denoisers, saved by diffusers, and changes to their files."""

import json

import torch
from diffusers import DDPMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

UNET, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


def tiny_unet(**changes):
    """Return a UNet2DModel of gray 16 x 16 images with random weights, which halves images once."""
    torch.manual_seed(0)
    arguments = {
        "sample_size": 16,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "add_attention": False,
    }
    return UNet2DModel(**arguments | changes).eval()


def saved(folder, unet=None, scheduler=None):
    """Write a denoiser's folder."""
    (unet or tiny_unet()).save_pretrained(folder / "unet")
    (scheduler or DDPMScheduler()).save_pretrained(folder / "scheduler")
    return folder


def with_keys(folder, name, *dropped, **keys):
    """Change keys of one of a folder's JSON files."""
    config = json.loads((folder / name).read_text()) | keys
    (folder / name).write_text(json.dumps({key: value for key, value in config.items() if key not in dropped}))
    return folder


def with_weights(folder, change):
    """Replace the tensors of a folder by `change(tensors)`."""
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)
    return folder
