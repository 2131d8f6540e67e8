"""What the certificate of an image has to hold, before anything in it is believed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Beside = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", description="A file in the folder of the certificate")]


class Part(BaseModel):
    """A mapping of a certificate; what later versions may add is passed over."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Image(Part):
    path: str
    sha256: Digest
    shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    bits: Annotated[int, Field(ge=1, le=16)]


class Network(Part):
    path: str
    digest: Digest
    steps: Positive = 1


class Networks(Part):
    segmenter: Network
    denoiser: Network | None


class Sampling(Part):
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    n0: Annotated[int, Field(ge=0, lt=2**31)]
    n: Positive
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    precision: Literal["float32", "bfloat16"]
    noise: Literal["normal", "exact"]
    device: str


class Settings(Part):
    radius: Number
    sigma: Number
    tau: Number
    alpha: Number
    n0: int
    n: int
    method: Literal["segcertify", "holm", "kfwer", "by"]
    k: int
    earlier_n: list[int]
    guarantee: str


class Structure(Part):
    id: int
    name: str
    area_low: int
    area_high: int


class Interval(Part):
    name: str
    unit: str
    low: Number | None
    high: Number | None
    alpha: Number
    threshold: Number = 0.0
    decision: Literal["above", "below", "open"] = "open"


class File(Part):
    path: Beside
    sha256: Digest


class Certificate(Part):
    """The whole document."""

    image: Image
    networks: Networks
    sampling: Sampling
    certificate: Settings
    radius_gray_levels: Number
    abstain: Number
    classes: list[Structure]
    measurements: list[Interval]
    files: dict[str, File]

    @field_validator("files")
    @classmethod
    def _whole(cls, files: dict[str, File]) -> dict[str, File]:
        if lacking := {"labels.png", "votes.npz"} - files.keys():
            raise ValueError(f"names no {min(lacking)}")
        return files
