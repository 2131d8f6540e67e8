"""Model folders: their files, and the digests that identify the networks. This module does not import torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, PositiveInt, model_validator

from segcert.io.json_models import Part, read_document
from segcert.provenance.digests import file_digest, value_digest


class ModelError(ValueError):
    """Error for a network or a model folder that cannot be used."""


# A segmenter folder contains CONFIG and one of the other two files.
WEIGHTS, PROGRAM, CONFIG = "model.safetensors", "program.pt", "config.json"
UNET_WEIGHTS, UNET_CONFIG = "unet/diffusion_pytorch_model.safetensors", "unet/config.json"
SCHEDULER_CONFIG = "scheduler/scheduler_config.json"
PIPELINE = "model_index.json"
DENOISER_FILES = (UNET_WEIGHTS, UNET_CONFIG, SCHEDULER_CONFIG)


class Preprocessing(Part):
    """Steps that convert an image file to an input of the segmenter, both during and after training.

    Attributes
    ----------
    bits
        Bit depth of the training images. It is assumed for a 16-bit file that does not state its bit depth.
    window
        Stored values that map to black and to white. None means the display range that each file states.
    keep_aspect
        True if images are padded to a square before they are resized; otherwise they are stretched.
    lossy
        True if the images were compressed lossily, as in JPEG files. This key does not affect how images are processed;
        see segcert.single_image.inputs.Networks.remark_on_compression.
    """

    bits: Annotated[int, Field(ge=1, le=16)] = 8
    window: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    keep_aspect: bool = False
    lossy: bool = False

    def stated(self) -> dict[str, Any]:
        """Return the keys and values for a config.json. `lossy` is included only if it is true."""
        return self.model_dump(exclude=None if self.lossy else {"lossy"})


class SegmenterConfig(Part):
    """Content of a segmenter's config.json: the kind of network and the images that it expects.

    An exported network has the key `program`. Any other network is built from `architecture` and `arguments`. Keys with
    a default may be missing.
    """

    program: str = ""
    architecture: str = ""
    arguments: dict[str, Any] = Field({})
    image_size: PositiveInt = 1
    in_channels: PositiveInt = 1
    pool: PositiveInt = 1
    classes: list[str] = Field(["background"], min_length=1)
    preprocessing: Preprocessing = Preprocessing()

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        lacking = {"architecture", "arguments"} - self.model_fields_set
        if lacking and "program" not in self.model_fields_set:
            raise ValueError(f"{min(lacking)} is missing")
        return self


def segmenter_files(folder: str | Path) -> list[Path]:
    """Return the paths of a segmenter's weights (or exported network) and config.json.

    Raises ModelError if one of these files is missing.
    """
    folder = Path(folder)
    files = [folder / (PROGRAM if is_exported(folder) else WEIGHTS), folder / CONFIG]
    for path in files:
        if not path.is_file():
            kinds = f"{WEIGHTS} and {CONFIG}, or {PROGRAM} and {CONFIG}"
            raise ModelError(f"{path}: missing; a segmenter folder contains {kinds}")
    return files


def read_config(path: Path) -> dict[str, Any]:
    """Read the config.json of a segmenter. Raises ModelError if the file is missing or invalid."""
    return read_document(path, SegmenterConfig, ModelError, "does not describe a segmenter", "train it again")


def preprocessing_of(config: Mapping[str, Any]) -> Preprocessing:
    """Return the preprocessing that a segmenter's config.json contains, or the defaults if an older file has none."""
    return Preprocessing.model_validate(config.get("preprocessing", {}))


def is_exported(folder: str | Path) -> bool:
    """Return True if the segmenter in a folder is an exported network, which is code.

    Raises ModelError for a damaged config.json.
    """
    config = Path(folder) / CONFIG
    return config.is_file() and "program" in read_config(config)


def segmenter_digest(folder: str | Path) -> str:
    """Return the SHA-256 of a segmenter: its weights (or exported network) and configuration."""
    return value_digest({path.name: file_digest(path) for path in segmenter_files(folder)})


def denoiser_files(folder: str | Path) -> list[Path]:
    """Return the paths of a denoiser's files: the configuration and weights of its network, and its noise schedule.

    Raises ModelError if a file is missing, or if the folder contains a pipeline with a further network, such as a VAE.
    The denoiser of such a pipeline works on latents, not on images.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ModelError(f"{folder}: is a file; expected a folder that contains unet/ and scheduler/")
    files = [folder / name for name in (UNET_CONFIG, UNET_WEIGHTS, SCHEDULER_CONFIG)]
    for path in files:
        if not path.is_file():
            raise ModelError(f"{path}: missing; a denoiser folder contains unet/ and scheduler/{_advice_on(path)}")
    if others := _other_networks(folder):
        raise ModelError(
            f"{folder}: found {', '.join(others)}; expected only unet/ and scheduler/. A pipeline with further "
            "networks does not denoise images. Use a pipeline that was trained on the images themselves, such as a "
            "DDPMPipeline"
        )
    return files


def _advice_on(missing: Path) -> str:
    """Return advice about a missing file if the file exists in a different place or form, and "" otherwise."""
    folder = missing.parent
    if (folder.parent / missing.name).is_file():
        return f". Move {missing.name} and the files that belong to it from {folder.parent} to {folder}"
    others = sorted(path.name for path in folder.glob(f"{missing.stem}*"))
    if others:
        return (
            f". Found {others[0]}: read the network with UNet2DModel.from_pretrained (`variant`, if the name has one), "
            f'and write it with unet.save_pretrained("{folder}", max_shard_size="100GB")'
        )
    return ""


def _other_networks(folder: Path) -> list[str]:
    """Return the names of the parts of a diffusers pipeline, apart from `unet` and `scheduler`."""
    parts = {path.parent.name for path in folder.glob("*/config.json")}
    index = folder / PIPELINE
    if index.is_file():
        stated = read_document(
            index, Part, ModelError, "not the index of a pipeline", "download it again, or delete it"
        )
        parts |= {name for name, part in stated.items() if isinstance(part, list) and any(part)}
    return sorted(name for name in parts if name != "scheduler" and not name.startswith(("unet", "_")))


def denoiser_digest(folder: str | Path | None, steps: int = 1) -> str | None:
    """Return the SHA-256 of a denoiser's weights, configuration, schedule and number of steps.

    Returns None if `folder` is None, which means that there is no denoiser.

    Raises ModelError if a file is missing.
    """
    if folder is None:
        return None
    denoiser_files(folder)
    return value_digest({name: file_digest(Path(folder, name)) for name in DENOISER_FILES} | {"steps": steps})
