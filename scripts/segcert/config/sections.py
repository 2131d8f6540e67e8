"""Sections of the configuration. Unknown keys are rejected, and every key has a description."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=60)]
Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Sigma = Annotated[float, Field(gt=0, le=10)]
Count = Annotated[int, Field(ge=1)]
Measure = Annotated[str, StringConstraints(pattern=r"^(area|diameter|cardiothoracic_ratio|[\w.]+:[\w.]+)$")]


class Section(BaseModel):
    """A section of the configuration. Unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class Phantom(Section):
    """Numbers of images in the splits of the synthetic data set `phantom`."""

    train: int = Field(96, ge=2, description="Number of training images")
    val: int = Field(16, ge=1, description="Number of validation images")
    test: int = Field(
        8, ge=1, description="Number of test images; all are certified unless `sampling.test_images` is set"
    )


class OwnData(Section):
    """A user-supplied data set: an image folder and a mask folder, or a table that lists the files."""

    kind: Literal["folder"] = Field(
        "folder", description="Source of the images. folder: PNG, JPEG, TIFF, GIF, BMP or DICOM files in folders"
    )
    images: str | None = Field(None, description="Folder that contains the images")
    masks: str | None = Field(
        None, description="Folder that contains the masks; a mask has the same name as its image, except for the suffix"
    )
    image_suffix: str = Field(
        "",
        description="Suffix of the image files, which follows the name of the image, such as .png; empty: any suffix",
    )
    mask_suffix: str = Field(
        "", description="Suffix of the mask files, which follows the name of the image, such as _mask.png"
    )
    table: str | None = Field(
        None,
        description="CSV table with one row per image. Columns: image and mask (paths relative to `images` and "
        "`masks`, or to the table); optional columns: name, a group column, and split (train, val or test)",
    )
    values: dict[Annotated[int, Field(ge=0, le=65535)] | Colour, Name] = Field(
        {0: "background", 255: "foreground"},
        min_length=2,
        max_length=254,
        description="Class name for each value or colour (such as '#ff0000') in the masks",
    )
    mask_threshold: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Smallest mask value that belongs to the structure, for masks with soft edges, such as JPEG files; "
        "null: masks contain only the values in `values`",
    )
    mask_orientation: Literal["displayed", "stored"] | None = Field(
        None,
        description="Orientation of masks without an orientation tag (EXIF) whose images have such a tag. "
        "displayed: the masks were drawn on the images as displayed; stored: the masks were drawn on the images as "
        "stored; null: the orientation is inferred from the sizes of the mask and the image",
    )
    group_column: str | None = Field(
        None,
        description="Column of the table that identifies the patient of each image, so that all images of a patient "
        "are in the same split; null: the column `group`, if the table has this column",
    )
    group_pattern: str | None = Field(
        None,
        description="Regular expression with a capture group that matches the patient in the name of an image, such "
        "as ^(\\d+)_; an alternative to `group_column`",
    )
    channels: Literal[1, 3] = Field(1, description="Number of channels: 1 for gray images, 3 for colour images")
    bits: int = Field(8, ge=1, le=16, description="Bit depth of the prepared images, such as 12 for most DICOM X-rays")
    window: tuple[float, float] | None = Field(
        None,
        description="Lowest and highest stored pixel value to display, which become black and white; for DICOM, "
        "values after the modality LUT (such as Hounsfield units); null: the display range of each file",
    )
    pixel_size: tuple[float, float] | None = Field(
        None,
        description="Physical height and width of a pixel, in mm; null: the pixel size that each file states, as "
        "DICOM files do",
    )
    allow_empty: bool = Field(False, description="Accept masks that contain only background")
    any_orientation: bool = Field(
        False,
        description="Allow mirrored and rotated images in training; set this to true for images without a fixed "
        "orientation, such as photographs of skin, but not for chest X-rays",
    )
    left_out_limit: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Largest accepted share of files without a counterpart, which are images without a mask and "
        "masks without an image",
    )
    title: str = Field("", description="Title in the report; empty: the name of the data set")
    modality: str = Field("image", description="Imaging modality, shown in the report")
    licence: str = Field("not stated", description="Licence of the data set, shown in the report")
    citation: str = Field("none", description="Reference to cite for the data set, shown in the report")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.table and not (self.images and self.masks):
            raise ValueError(
                "found neither two folders nor a table; expected the keys `images` and `masks`, or the key `table`"
            )
        if "background" not in self.values.values():
            raise ValueError(
                "`values`: found no class named background. Write, for example: `values: {0: background, 255: lesion}`"
            )
        if self.mask_threshold and len(set(self.values.values())) != 2:
            raise ValueError(
                "`mask_threshold`: found more than one structure in `values`; expected a single structure. If the "
                "masks contain only the values in `values`, write `mask_threshold: null`"
            )
        if self.bits > 8 and self.channels == 3:
            raise ValueError(f"`bits`: found {self.bits}; expected 8 for colour images. Write `bits: 8`")
        if self.window and self.window[0] >= self.window[1]:
            raise ValueError(f"`window`: found {list(self.window)}; expected [low, high] with low below high")
        if self.pixel_size and min(self.pixel_size) <= 0:
            raise ValueError(
                f"`pixel_size`: found {list(self.pixel_size)}; expected the height and width of a pixel in mm, both "
                "above 0"
            )
        try:
            groups = re.compile(self.group_pattern or "()").groups
        except re.error:
            groups = 0
        if not groups:
            raise ValueError(
                f"`group_pattern`: found {self.group_pattern!r}; expected a regular expression with a group in "
                "parentheses"
            )
        return self


class Sampling(Section):
    """Settings for drawing votes. They affect speed, memory and storage, but not the guarantee."""

    batch_size: Count = Field(
        10, description="Number of noisy copies per network call; the last batch is padded to this size"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Precision of the networks; bfloat16 is for GPUs: on a CPU without native support, it is far "
        "slower than float32",
    )
    compile: bool = Field(False, description="Run the networks with torch.compile (CUDA graphs on a GPU)")
    block_size: Count = Field(50, description="Number of draws per block; draws are stored and reused in blocks")
    shard_size: Count | None = Field(
        None,
        description="Approximate number of test images per job. For each combination of segmenter, denoiser and sigma, "
        "the test images are split across jobs; null: one job. The number of jobs is computed from the expected number "
        "of test images, before the data are prepared. Results do not depend on this key",
    )
    test_images: Count | None = Field(
        None, description="Number of test images to certify, starting with the first; null: all"
    )


class Attack(Section):
    """Attack that tests the certificates: projected gradient descent on each image's weakest certified pixel."""

    images: int = Field(1, ge=0, description="Number of test images per data set to attack; 0: none")
    factors: list[Annotated[float, Field(gt=0, le=100)]] = Field(
        [1.0, 3.0],
        min_length=1,
        description="l2 norms of the attacks, as multiples of the certified radius; the test is most powerful near 3",
    )
    steps: Count = Field(10, description="Number of steps of projected gradient descent")
    copies: Count = Field(4, description="Number of noisy copies per step, over which the gradient is averaged")
    draws: int = Field(
        800,
        ge=10,
        description="Largest number of noisy copies for testing the certificate of an image, including the copies "
        "without an attack and the copies under every attack; a larger number gives the test more power",
    )


class Report(Section):
    """Contents of the report."""

    examples: int = Field(3, ge=1, le=20, description="Number of test images per data set in the gallery")
    viewer: int = Field(
        60,
        ge=1,
        description="Number of test images per data set in the viewer, in addition to those with the lowest and "
        "highest certified Dice",
    )
