"""Configuration sections for networks and their training."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from segcert.config.sections import Count, Name, Section, Sigma

Channels = Annotated[int, Field(ge=8, multiple_of=8)]
# Keys whose defaults differ between the networks
Steps = Annotated[Count, Field(description="Number of optimiser steps")]
BatchSize = Annotated[Count, Field(description="Number of images per step, in total over all GPUs")]
WeightDecay = Annotated[float, Field(ge=0, le=1, description="Weight decay")]
EmaDecay = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Decay of the exponential moving average of the weights. The averaged weights are saved. 0: no "
        "averaging",
    ),
]
EvaluateEvery = Annotated[
    Count,
    Field(
        description="Number of steps between validations; a checkpoint is saved after each validation, and the best "
        "weights are kept"
    ),
]

SIZES: dict[str, tuple[list[int], int]] = {
    "tiny": ([16, 32, 64], 1),
    "small": ([32, 64, 128, 128], 1),
    "base": ([64, 128, 256, 256], 2),
    "large": ([128, 128, 256, 256, 512, 512], 2),
}


class Movement(Section):
    """Random geometric transformations of training images."""

    rotation: float = Field(12, ge=0, le=180, description="Largest rotation, in degrees")
    scale: float = Field(0.12, ge=0, le=1, description="Largest change in the logarithm of the scale")
    shift: float = Field(0.12, ge=0, le=1, description="Largest shift, as a share of half the image size")
    flips: bool = Field(
        True,
        description="Mirror images and rotate them by quarter turns. This applies only to data sets in which such "
        "images are plausible: skin lesions and polyps, but not chest X-rays (for your own data, set "
        "`any_orientation`)",
    )


class Augmentation(Movement):
    """Random changes in the geometry and the intensity of training images. Masks get the same geometric changes."""

    contrast: float = Field(0.2, ge=0, lt=1, description="Largest deviation of the contrast factor from 1")
    brightness: float = Field(0.1, ge=0, le=1, description="Largest change in brightness, for pixel values in [0, 1]")
    colour: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Largest deviation from 1 of a second contrast factor, which is drawn separately for each channel",
    )


class Training(Section):
    """Settings for training a network."""

    steps: Steps = 200
    epochs: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Number of training epochs, instead of `steps`"
    )
    batch_size: BatchSize = 16
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="Optimiser (sgd uses a Nesterov momentum of 0.9)"
    )
    learning_rate: float = Field(2e-3, gt=0, le=10, description="Peak learning rate")
    weight_decay: WeightDecay = 0.0
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Learning-rate schedule after the warm-up")
    warm_up: float = Field(
        0.05, ge=0, le=1, description="Share of the training steps during which the learning rate rises to its peak"
    )
    ema_decay: EmaDecay = 0.0
    evaluate_every: EvaluateEvery = 50
    patience: Count | None = Field(
        None, description="Stop after this many validations without improvement; null: never stop early"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="Training precision. bfloat16 and float16 mean mixed precision. float16 requires a GPU. bfloat16 "
        "also runs on a CPU, but without native support it is far slower there than float32",
    )


class Segmenter(Training):
    """Settings of the segmentation networks and of their training."""

    width: int = Field(
        8, ge=4, description="Number of channels at full resolution; it doubles at each lower resolution"
    )
    depth: int = Field(
        3,
        ge=1,
        le=6,
        description="Number of times the U-Net halves the resolution (the other networks halve it five times)",
    )
    weight_decay: WeightDecay = 1e-2
    sigma_max: Sigma = Field(
        1.0,
        description="For regime `noise`: largest noise level in training, for pixel values in [0, 1]. The noise level "
        "of each training image is drawn uniformly from 0 to this value. Set it to the largest of `sigmas`",
    )
    fine_tuning: float = Field(
        0.5, gt=0, le=10, description="For regime `denoised`: length of fine-tuning, as a share of `steps` or `epochs`"
    )
    augmentation: Augmentation = Field(Augmentation(), description=str(Augmentation.__doc__))


class Denoiser(Training):
    """Settings of the diffusion model that denoises images for the segmenters, and of its training."""

    size: Literal["tiny", "small", "base", "large"] | None = Field(
        None, description="Predefined size of the network, which replaces `channels` and `layers_per_block`"
    )
    channels: list[Channels] = Field(
        [16, 32, 64],
        min_length=1,
        description="Number of channels in each level of diffusers' UNet2DModel; each level after the first halves the "
        "resolution",
    )
    layers_per_block: int = Field(1, ge=1, le=4, description="Number of residual layers per level")
    noise_schedule: Literal["linear", "cosine"] = Field(
        "linear", description="Noise schedule of the 1000 diffusion steps"
    )
    prediction: Literal["epsilon", "v_prediction"] = Field(
        "v_prediction",
        description="Quantity that the network predicts. epsilon: the noise; v_prediction: the velocity (Salimans and "
        "Ho 2022)",
    )
    levels: Literal["all", "range"] = Field(
        "range",
        description="Noise levels in training. all: uniformly distributed over the steps of the schedule; range: "
        "log-uniformly distributed between `sigma_min` and `sigma_max`",
    )
    sigma_min: Sigma = Field(0.2, description="Lowest noise level for `levels: range`, for pixel values in [0, 1]")
    sigma_max: Sigma = Field(
        1.1, description="Highest noise level for `levels: range`. All `sigmas` should be within this range"
    )
    shared: list[Name] = Field(
        [],
        description="Data sets that share one denoiser, which is trained on all of them. Every other data set has a "
        "separate denoiser",
    )
    steps: Steps = 500
    batch_size: BatchSize = 4
    evaluate_every: EvaluateEvery = 100
    ema_decay: EmaDecay = 0.99
    augmentation: Movement = Field(Movement(), description=str(Movement.__doc__))

    @property
    def layout(self) -> tuple[list[int], int]:
        """Number of channels in each level, and number of residual layers per level."""
        return SIZES[self.size] if self.size else (self.channels, self.layers_per_block)


class OwnModel(Section):
    """A user-supplied network. It is either pretrained, or built by a factory and trained by the pipeline."""

    target: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")] | None = Field(
        None,
        description="Factory that builds a torch network, as package.module:factory, such as monai.networks.nets:UNet",
    )
    arguments: dict[str, Any] = Field(
        {},
        description="Keyword arguments of `target`; $in_channels, $num_classes and $image_size are replaced by the "
        "values of the data set",
    )
    weights: str | None = Field(
        None,
        description="File with pretrained weights for `target`, written by safetensors or torch.save, such as a "
        "Lightning checkpoint; the network is not trained further",
    )
    weights_key: str | None = Field(
        None,
        description="Key of the weights to use, such as `ema`, if the file in `weights` contains several sets of "
        "weights that fit the network. For nested dictionaries, join the keys with dots, and append the prefix of "
        "the tensor names",
    )
    program: str | None = Field(
        None, description="File with an exported network, instead of `target`: TorchScript, or torch.export (.pt2)"
    )

    @property
    def pretrained(self) -> str | None:
        """Path of the file with the pretrained network, or None if the pipeline trains the network."""
        return self.program or self.weights

    def filled(self, **values: int) -> dict[str, Any]:
        """Return `arguments` with each $name replaced by its value. Raises ValueError for an unknown $name."""
        return {key: _filled(value, values) for key, value in self.arguments.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.target is None) == (self.program is None):
            raise ValueError(
                "found both `target` and `program`, or neither of them; expected exactly one. Write, for example: "
                "`{target: monai.networks.nets:UNet, arguments: {...}}` or `{program: network.pt2}`"
            )
        if self.program and (self.weights or self.arguments):
            raise ValueError("`program` already contains the network and its weights. Delete `weights` and `arguments`")
        if self.weights_key is not None and not self.weights:
            raise ValueError(
                "`weights_key` selects a set of weights from the file in `weights`. Delete "
                "`weights_key`, or add `weights`"
            )
        return self


def _filled(value: Any, values: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_filled(each, values) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    if value[1:] not in values:
        known = ", ".join(f"${name}" for name in values)
        raise ValueError(f"`own_models`: found {value!r} in `arguments`; expected one of {known}")
    return values[value[1:]]
