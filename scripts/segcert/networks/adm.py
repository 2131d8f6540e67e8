"""Conversion of OpenAI's ADM diffusion models (Dhariwal and Nichol, NeurIPS 2021) to the format of diffusers.

The checkpoints of https://github.com/openai/guided-diffusion are state dicts of the UNetModel defined there. diffusers'
UNet2DModel computes the same function from the same weights, but uses different tensor names. ADM stores the
projections to queries, keys and values in one tensor, which is split here.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segcert.io.atomic import atomic_folder
from segcert.networks.diffusers_parts import DDPMScheduler, UNet2DModel
from segcert.networks.folders import ModelError
from segcert.networks.weights import first_of, not_finite

TIMESTEPS = 1000
PLAIN_MODULES = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET_LAYERS = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION_LAYERS = {"group_norm": "norm", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv", "to_out.0": "proj_out"}


@dataclass(frozen=True)
class ADMLayout:
    """Sizes of an ADM network. The defaults are those of 256x256_diffusion_uncond.pt.

    Level i processes feature maps of image_size / 2^i pixels a side with model_channels * channel_mult[i] channels,
    where channel_mult[0] is 1. A level has attention layers if the side of its feature maps is in
    `attention_resolutions`. Each attention head has `num_head_channels` channels.
    """

    image_size: int = 256
    in_channels: int = 3
    model_channels: int = 256
    channel_mult: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (32, 16, 8)
    num_head_channels: int = 64
    norm_groups: int = 32

    @property
    def attends(self) -> list[bool]:
        """A flag for each level, in order of decreasing resolution, that is True if the level has attention."""
        return [self.image_size // 2**level in self.attention_resolutions for level in range(len(self.channel_mult))]


ADM_256 = ADMLayout()


def adm_config(layout: ADMLayout = ADM_256) -> dict[str, Any]:
    """Return the arguments of the UNet2DModel that computes the same function as an ADM network.

    The network takes images in [-1, 1], of shape (B, C, H, W), and a diffusion step from 0 to 999. Its output has shape
    (B, 2C, H, W). The first C channels are the predicted noise. The other channels determine the noise variance, by
    interpolation between the bounds of Nichol and Dhariwal (ICML 2021, section 3.1).
    """
    return {
        "sample_size": layout.image_size,
        "in_channels": layout.in_channels,
        "out_channels": 2 * layout.in_channels,
        "block_out_channels": [layout.model_channels * mult for mult in layout.channel_mult],
        "layers_per_block": layout.num_res_blocks,
        "down_block_types": ["AttnDownBlock2D" if attends else "ResnetDownsampleBlock2D" for attends in layout.attends],
        "up_block_types": ["AttnUpBlock2D" if attends else "ResnetUpsampleBlock2D" for attends in layout.attends[::-1]],
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "time_embedding_type": "positional",
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "attention_head_dim": layout.num_head_channels,
        "norm_num_groups": layout.norm_groups,
        "attn_norm_num_groups": layout.norm_groups,
        "norm_eps": 1e-5,
    }


def import_adm(checkpoint: str | Path, folder: str | Path, layout: ADMLayout = ADM_256) -> None:
    """Convert a guided-diffusion checkpoint to the diffusers folders `unet` and `scheduler` in `folder`.

    Code in the checkpoint is not run. If the checkpoint is a zip file, which is torch's default format, its tensors are
    memory-mapped instead of being read into memory. Raises ModelError for a checkpoint that cannot be read, has a
    different layout, or contains weights that are not finite.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint))
    except OSError:
        raise
    except Exception as error:  # torch's unpickler raises many kinds of errors for other kinds of files
        raise ModelError(
            f"{checkpoint}: cannot be read as a file of tensors (it is damaged, is not a torch checkpoint, or "
            "contains code); download it again"
        ) from error
    unet = _unet_without_weights(layout)
    try:
        weights = adm_to_diffusers(state, layout)
    except ModelError as error:
        raise ModelError(f"{checkpoint}: {error}") from error
    if names := not_finite(state):
        raise ModelError(
            f"{checkpoint}: found NaN or infinity in {first_of(names)}; expected finite weights. Download the file "
            "again"
        )
    unet.load_state_dict(weights, assign=True)
    scheduler = DDPMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        prediction_type="epsilon",
        variance_type="learned_range",
    )
    for name, part in (("unet", unet), ("scheduler", scheduler)):
        with atomic_folder(Path(folder) / name) as new:
            part.save_pretrained(new)


def adm_to_diffusers(state: dict[str, Tensor], layout: ADMLayout = ADM_256) -> dict[str, Tensor]:
    """Convert a guided-diffusion state dict to the weights of UNet2DModel(**adm_config(layout)).

    Raises ModelError unless the state dict contains exactly the tensors of `layout`, with the right shapes.
    """
    modules = _adm_modules(layout)
    sources: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in _unet_without_weights(layout).state_dict().items():
        module, _, kind = name.rpartition(".")
        sources[name] = f"{modules[module]}.{kind}"
        shape = tuple(tensor.shape)  # ADM's attention layers are convolutions; q, k and v share one of them
        if module.endswith((".to_q", ".to_k", ".to_v")):
            shape = (3 * shape[0], *shape[1:])
        shapes[sources[name]] = (*shape, 1) if ".to_" in module and kind == "weight" else shape
    _check(state, shapes)
    return {name: _converted(name, state[source], layout.num_head_channels) for name, source in sources.items()}


def _unet_without_weights(layout: ADMLayout) -> UNet2DModel:
    with torch.device("meta"):
        return UNet2DModel(**adm_config(layout))


def _adm_modules(layout: ADMLayout) -> dict[str, str]:
    """Return a dict that maps the names of modules in diffusers to their names in ADM.

    The dict also contains modules that the network does not have, such as unused shortcuts. ADM numbers its input
    blocks and its output blocks consecutively. In the input part, a level consists of its residual blocks, each with
    its attention layer, followed by a block for downsampling. In the output part, upsampling is part of the last block
    of a level.
    """
    per_level = layout.num_res_blocks + 1
    resnets = {"mid_block.resnets.0": "middle_block.0", "mid_block.resnets.1": "middle_block.2"}
    attentions = {"mid_block.attentions.0": "middle_block.1"}
    for level in range(len(layout.attends)):
        first, last = 1 + level * per_level, (level + 1) * per_level
        for i in range(layout.num_res_blocks):
            resnets[f"down_blocks.{level}.resnets.{i}"] = f"input_blocks.{first + i}.0"
            attentions[f"down_blocks.{level}.attentions.{i}"] = f"input_blocks.{first + i}.1"
        resnets[f"down_blocks.{level}.downsamplers.0"] = f"input_blocks.{last}.0"
    for level, attends in enumerate(reversed(layout.attends)):
        first, last = level * per_level, (level + 1) * per_level - 1
        for i in range(per_level):
            resnets[f"up_blocks.{level}.resnets.{i}"] = f"output_blocks.{first + i}.0"
            attentions[f"up_blocks.{level}.attentions.{i}"] = f"output_blocks.{first + i}.1"
        resnets[f"up_blocks.{level}.upsamplers.0"] = f"output_blocks.{last}.{2 if attends else 1}"
    modules = dict(PLAIN_MODULES)
    for blocks, layers in ((resnets, RESNET_LAYERS), (attentions, ATTENTION_LAYERS)):
        for block, adm_block in blocks.items():
            modules |= {f"{block}.{layer}": f"{adm_block}.{adm_layer}" for layer, adm_layer in layers.items()}
    return modules


def _converted(name: str, tensor: Tensor, head_channels: int) -> Tensor:
    """Convert one of ADM's tensors to the shape that diffusers uses.

    The rows of ADM's `qkv` tensor, which has shape (heads * 3 * head_channels, ...), are ordered by head. Within each
    head, the queries come first, then the keys, and then the values (QKVAttentionLegacy). The queries, the keys and the
    values each become a tensor of shape (heads * head_channels, ...).
    """
    if tensor.ndim == 3:
        tensor = tensor.squeeze(-1)  # (out, in, 1) -> (out, in)
    for part, layer in enumerate((".to_q.", ".to_k.", ".to_v.")):
        if layer in name:
            return torch.cat(torch.split(tensor, head_channels)[part::3])
    return tensor


def _check(state: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ModelError unless `state` contains exactly the tensors with these names and shapes."""
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ModelError("the file contains no state dict; expected named tensors, as guided-diffusion saves them")
    misshaped = [
        f"{name} of shape {tuple(state[name].shape)} instead of {shape}"
        for name, shape in shapes.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    not_float = [
        f"{name} of type {state[name].dtype}"
        for name in shapes
        if name in state and not (state[name].is_floating_point() and state[name].element_size() >= 2)
    ]
    problems = {
        "missing": [name for name in shapes if name not in state],
        "unexpected": [name for name in state if name not in shapes],
        "misshaped": misshaped,
        "not floating-point": not_float,
    }
    if any(problems.values()):
        found = "; ".join(f"{len(names)} {problem} (first: {names[0]})" for problem, names in problems.items() if names)
        raise ModelError(
            f"the tensors of the checkpoint do not fit the architecture, which has {len(shapes)} tensors: {found}. "
            "Use 256x256_diffusion_uncond.pt of openai/guided-diffusion, or pass the layout of this checkpoint"
        )
