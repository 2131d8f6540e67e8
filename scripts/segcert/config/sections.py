"""The sections of the configuration: unknown keys are refused, and every key has a description."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
Sigma = Annotated[float, Field(gt=0, le=10)]
Count = Annotated[int, Field(ge=1)]
Measure = Annotated[str, StringConstraints(pattern=r"^(area|diameter|cardiothoracic_ratio|[\w.]+:[\w.]+)$")]


class Section(BaseModel):
    """A mapping of the configuration: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Phantom(Section):
    """The embedded synthetic data set: how many images of each split."""

    train: int = Field(96, ge=2, description="Training images")
    val: int = Field(16, ge=1, description="Validation images")
    test: int = Field(8, ge=1, description="Test images: the ones that are certified")


class OwnData(Section):
    """A data set of one's own: a folder of images and one of masks, or a table that lists them."""

    kind: Literal["folder"] = Field("folder", description="Image files in folders: PNG, JPEG, TIFF, GIF, BMP or DICOM")
    images: str | None = Field(None, description="Folder of the images")
    masks: str | None = Field(
        None, description="Folder of the masks; a mask has the name of its image, but for the suffixes"
    )
    image_suffix: str = Field(
        "", description="What an image's file name has after its name, such as .png; empty: any ending"
    )
    mask_suffix: str = Field("", description="What a mask's file name has after the image's name, such as _mask.png")
    table: str | None = Field(
        None,
        description="CSV with a row per image and the columns image, mask (paths, relative to the folders above or to "
        "the table), and where known name, a group column and split (train, val, test)",
    )
    values: dict[Annotated[int, Field(ge=0, le=65535)], Name] = Field(
        {0: "background", 255: "foreground"},
        min_length=2,
        max_length=254,
        description="Class of each value in the masks; JPEG masks take the nearest value",
    )
    group_column: str | None = Field(
        None, description="Column of the table with the patient, so that none is split up; null: group, if there is one"
    )
    group_pattern: str | None = Field(
        None, description="Instead: a regular expression that finds the patient in an image's name, such as ^(\\d+)_"
    )
    channels: Literal[1, 3] = Field(1, description="1 for gray images, 3 for colour")
    bits: int = Field(8, ge=1, le=16, description="Depth that is kept, such as 12 for most DICOM X-rays")
    window: tuple[float, float] | None = Field(
        None, description="Stored values that are spread from black to white; null: all that the depth can hold"
    )
    pixel_size: tuple[float, float] | None = Field(
        None, description="Height and width of a pixel in mm, where the files do not say (DICOM does)"
    )
    allow_empty: bool = Field(False, description="Whether a mask may hold nothing but background")
    any_orientation: bool = Field(
        False, description="Whether a mirrored or turned image could be one of this set (skin yes, chest X-rays no)"
    )
    left_out_limit: float = Field(0.05, ge=0, le=1, description="Share of images and masks that may lack a partner")
    title: str = Field("", description="What the report calls it; empty: its name")
    modality: str = Field("image", description="Modality, for the report")
    licence: str = Field("not stated", description="Licence, for the report")
    citation: str = Field("none", description="Citation, for the report")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.table and not (self.images and self.masks):
            raise ValueError("found neither folders nor a table; expected `images` and `masks`, or `table`")
        if "background" not in self.values.values():
            raise ValueError("`values` names no background. Write, for example: `values: {0: background, 255: lesion}`")
        if self.bits > 8 and self.channels == 3:
            raise ValueError("`bits`: colour images keep 8 bits. Write `bits: 8`")
        if self.window and self.window[0] >= self.window[1]:
            raise ValueError(f"`window`: found {list(self.window)}; expected [low, high] with low below high")
        if self.pixel_size and min(self.pixel_size) <= 0:
            raise ValueError(f"`pixel_size`: found {list(self.pixel_size)}; expected mm, above 0")
        if self.group_pattern and not _has_group(self.group_pattern):
            raise ValueError(
                f"`group_pattern`: found {self.group_pattern!r}; expected a regular expression with a (group)"
            )
        return self


def _has_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups > 0
    except re.error:
        return False


class Sampling(Section):
    """How votes are drawn: a matter of speed and resumption, not of what a vote means."""

    batch_size: Count = Field(10, description="Noisy copies per network call; the last batch is padded to this size")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="Arithmetic of the networks; bfloat16 is for GPUs (a CPU without it is far slower)"
    )
    compile: bool = Field(False, description="Run the networks through torch.compile (CUDA graphs on a GPU)")
    block_size: Count = Field(50, description="Draws per block: the unit of resumption and of reuse")
    shard_size: Count | None = Field(
        None,
        description="Test images per job, about: those of a segmenter, a denoiser and a sigma are dealt out among so "
        "many jobs as the images that the data set is known for call for; null: one job. Results do not depend on it",
    )
    test_images: Count | None = Field(None, description="Certify only the first so many test images; null: all")


class Attack(Section):
    """The attack that tries the certificates: PGD on the smoothed model, inside and outside the radius."""

    images: int = Field(1, ge=0, description="Test images that are attacked, per data set; 0: none")
    factors: list[Annotated[float, Field(gt=0, le=100)]] = Field(
        [1.0, 2.0, 4.0], min_length=1, description="l2 norms of the attacks, as multiples of the certified radius"
    )
    steps: Count = Field(10, description="Steps of projected gradient ascent")
    copies: Count = Field(4, description="Noisy copies per step, over which the gradient is averaged")
    draws: Count = Field(100, description="Noisy copies of the attacked image that decide whether a pixel has changed")


class Report(Section):
    """What the report shows."""

    examples: int = Field(3, ge=1, le=20, description="Test images in the gallery, per data set")
    viewer: int = Field(
        60,
        ge=1,
        description="Test images in the viewer, per data set; those with the least and most certified Dice join",
    )
    bootstrap: int = Field(2000, ge=100, description="Bootstrap resamples over images behind each 95% interval")
