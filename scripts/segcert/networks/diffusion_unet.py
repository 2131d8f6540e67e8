"""Load a diffusion model's network (diffusers' UNet2DModel) from a folder, and check it."""

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, PositiveInt
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from segcert.io.json_files import parse_json
from segcert.io.json_models import Part, fit
from segcert.networks.diffusers_parts import UNet2DModel
from segcert.networks.folders import UNET_CONFIG, UNET_WEIGHTS, ModelError
from segcert.networks.weights import fill, first_of, not_finite

UNET = "UNet2DModel"
CHANNELS = (1, 3)
ALWAYS = 1 << 24  # number of weights that may always be allocated, regardless of the size of their file
# Keys that diffusers' EMAModel adds to config.json when it saves a moving average of weights
AVERAGING = {"decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"}
# Parts of tensor names in attention layers that diffusers 0.15 replaced, and their replacements
OLD_LAYERS = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
Size = Annotated[int, Field(ge=1, le=65_536)]


class UNetConfig(Part):
    """Keys of a UNet2DModel's config.json that determine the inputs, the size and the function of the network."""

    in_channels: PositiveInt = 3
    out_channels: PositiveInt = 3
    sample_size: Size | Annotated[list[Size], Field(min_length=2, max_length=2)] | None = None
    block_out_channels: Annotated[list[Size], Field(min_length=1, max_length=16)] = Field([224, 448, 672, 896])
    layers_per_block: Annotated[int, Field(ge=1, le=64)] = 2
    attention_head_dim: Size | None = 8
    act_fn: str = "silu"
    add_attention: bool = True
    norm_eps: Annotated[float, Field(ge=0)] = 1e-5
    mid_block_scale_factor: Annotated[float, Field(gt=0)] = 1.0
    flip_sin_to_cos: bool = True
    freq_shift: float = 0.0
    time_embedding_dim: Size | None = None
    time_embedding_type: str = "positional"
    num_train_timesteps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    center_input_sample: bool = False
    class_embed_type: str | None = None
    num_class_embeds: int | None = None


def load_unet(folder: Path, steps: int, learns_variance: bool) -> UNet2DModel:
    """Read the network in a denoiser's folder. Its weights must be exactly the tensors that the network needs.

    Parameters
    ----------
    folder
        Folder that contains unet/config.json and unet/diffusion_pytorch_model.safetensors.
    steps
        Number of steps in the noise schedule.
    learns_variance
        True if the network has a second output per channel, according to its noise schedule.

    Raises
    ------
    ModelError
        If the network is not a UNet2DModel for gray or colour images, or needs inputs other than the image and the
        step; or if weights are missing, unexpected, of the wrong shape or type, or not finite.
    """
    about, weights = Path(folder, UNET_CONFIG), Path(folder, UNET_WEIGHTS)
    try:
        config = parse_json(about.read_bytes())
        fit(config, UNetConfig)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{about}: does not describe the network of a denoiser ({error}). Write the file with unet.save_pretrained"
        ) from error
    if (name := config.get("_class_name")) != UNET:
        raise ModelError(
            f"{about}: `_class_name`: found {name!r}; expected {UNET}, which takes an image and a diffusion step as "
            "inputs"
        )
    try:
        check_unet(config, steps, learns_variance)
        unet = _built(config, weights)
    except ModelError as error:
        raise ModelError(f"{about}: {error}") from error
    try:
        state = _with_new_names(load_file(weights))
        fill(unet, state)
    except (ModelError, SafetensorError) as error:
        raise ModelError(
            f"{weights}: does not match {about} ({error}). Copy both files again; they must belong to the same network"
        ) from error
    if names := not_finite(unet.state_dict()):
        raise ModelError(
            f"{weights}: found NaN or infinity in {first_of(names)}; expected finite weights. Copy the file again, or "
            "use weights from before the training diverged"
        )
    return unet.eval()


def check_unet(config: Mapping[str, Any], steps: int, learns_variance: bool | None = None) -> None:
    """Check that a UNet2DModel can denoise gray or colour images in [-1, 1].

    `config` contains arguments of UNet2DModel. Arguments that it does not contain have their default values. `steps` is
    the number of steps in the noise schedule. `learns_variance` has the same meaning as in `load_unet`, or is None if
    it is unknown.

    Raises ModelError if the network works on latents, on two images or on images in [0, 1]; if it has a further input,
    such as a class; or if the effect of a key is unknown. The message names the key.
    """
    stated = fit({key: list(each) if isinstance(each, tuple) else each for key, each in config.items()}, UNetConfig)
    channels = stated.in_channels
    if channels not in CHANNELS:
        raise ModelError(
            f"`in_channels`: found {channels}; expected 1 (gray) or 3 (colour). A network that processes latents, or "
            "that takes a second image, cannot denoise an image"
        )
    outputs = {None: [channels, 2 * channels], False: [channels], True: [2 * channels]}[learns_variance]
    if stated.out_channels not in outputs:
        raise ModelError(
            f"`out_channels`: found {stated.out_channels}; expected {' or '.join(map(str, outputs))} for {channels} "
            f"input channels. A network that also learns variances has {2 * channels} output channels, and its "
            'scheduler_config.json contains "variance_type": "learned_range"'
        )
    for key in ("class_embed_type", "num_class_embeds"):
        if (found := getattr(stated, key)) is not None:
            raise ModelError(
                f"`{key}`: found {found!r}, which means that the network takes a class as input; expected null. Use "
                "a denoiser that was trained without classes"
            )
    if stated.center_input_sample:
        raise ModelError(
            "`center_input_sample`: found true, which means that the network expects images in [0, 1]; expected "
            "false. Use a denoiser that was trained on images in [-1, 1]"
        )
    if stated.time_embedding_type not in {"positional", "learned"}:
        raise ModelError(
            f"`time_embedding_type`: found {stated.time_embedding_type!r}; expected 'positional' or 'learned'. A "
            "network with 'fourier' embeddings (a variance-exploding model) takes a noise level instead of a "
            "diffusion step"
        )
    if stated.num_train_timesteps not in (steps, None):
        raise ModelError(
            f"`num_train_timesteps`: found {stated.num_train_timesteps}; expected {steps}, the number of steps in the "
            "noise schedule. Use both files from the same network"
        )
    known = {*inspect.signature(UNet2DModel.__init__).parameters, *AVERAGING}
    for key, value in config.items():
        if key not in known and not key.startswith("_") and value not in (None, False):
            raise ModelError(
                f"`{key}`: found {value!r}, but {UNET} has no such key, so the effect of the key on the network is "
                "unknown. If the key has no effect, delete it"
            )


def divisor_of(unet: Any) -> int:
    """Return the network's downsampling factor, by which the height and the width of images must be divisible."""
    levels = getattr(getattr(unet, "config", None), "block_out_channels", (1,))
    return int(2 ** (len(levels) - 1))


def trained_size(unet: Any) -> tuple[int, int] | None:
    """Return the height and width of the images on which a network was trained; None if they are unknown."""
    size = getattr(getattr(unet, "config", None), "sample_size", None)
    if size is None:
        return None
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    return height, width


def _built(config: dict[str, Any], weights: Path) -> UNet2DModel:
    """Build the network without its weights.

    The network is first built and called on torch's meta device, which uses no memory. Therefore, a network that is
    larger than its file, or that fails on images, is rejected before any memory is allocated.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            sketch = UNet2DModel.from_config(config).eval()
            side = 2 * divisor_of(sketch)
            sketch(torch.zeros(1, sketch.config.in_channels, side, side), torch.zeros((), dtype=torch.long))
        size = sum(math.prod(tensor.shape) for tensor in sketch.state_dict().values())
        if size > max(weights.stat().st_size, ALWAYS):  # a weight takes at least one byte
            raise ValueError(f"the network has {size} weights, which is more than {weights.name} can contain")
        return UNet2DModel.from_config(config)
    except Exception as error:  # diffusers raises many kinds of errors for bad values
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"a {UNET} for images cannot be built from this file ({type(error).__name__}: {reason}). Restore the "
            "file that unet.save_pretrained wrote"
        ) from error


def _with_new_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors of attention layers from the names used before diffusers 0.15 to the current names."""
    renamed = {}
    for name, tensor in state.items():
        new = name
        for old_layer, new_layer in OLD_LAYERS.items():
            new = new.replace(old_layer, new_layer) if ".attentions." in name else new
        renamed[name if new in state else new] = tensor
    return renamed
