"""The schema of certificate files. A file that does not match the schema is rejected."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from segcert.certification.methods import METHODS
from segcert.io.json_models import Part, read_document

FORMAT = "segcert-certificate-1"
LABELS, OVERLAY, VOTES, RADII = "labels.png", "overlay.png", "votes.npz", "radius.tif"  # endings of file names
ON_ORIGINAL_GRID = "original-nearest"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Millimetres = Annotated[float, Field(gt=0)]
Pair = Annotated[list[Positive], Field(min_length=2, max_length=2)]
Sibling = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", description="Name of a file in the certificate's folder")]


class DocumentError(ValueError):
    """Error raised for a certificate file that cannot be used."""


def on_original_grid(kind: str) -> str:
    """Return the file-name ending for a map on the grid of the image file, such as labels.original-nearest.png."""
    name, suffix = kind.split(".")
    return f"{name}.{ON_ORIGINAL_GRID}.{suffix}"


class Grid(Part):
    original: Pair
    padding: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=2, max_length=2)]
    padded: Pair
    size: Pair
    squeeze: float = Field(gt=0)


class Image(Part):
    path: str
    path_withheld: bool = False
    sha256: Digest
    shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    grid: Grid | None = None
    bits: Annotated[int, Field(ge=1, le=16)]
    length_unit: str = ""
    applied: list[str] = Field([])
    window: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    frame: Positive | None = None
    pixel_size_set: Annotated[list[Millimetres], Field(min_length=2, max_length=2)] | None = None


class Network(Part):
    path: str
    digest: Digest
    steps: Positive = 1


class Networks(Part):
    segmenter: Network
    denoiser: Network | None


class Sampling(Part):
    sigma: float = Field(gt=0)
    n0: Annotated[int, Field(ge=0, lt=2**31)]
    n: Positive
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    precision: Literal["float32", "bfloat16"]
    noise: Literal["normal", "exact"]
    device: str


class Settings(Part):
    radius: float
    sigma: float
    tau: float
    alpha: float
    n0: int
    n: int
    method: Literal[tuple(METHODS)]  # type: ignore[valid-type]  # METHODS is the only list of names
    k: int
    looks: list[Positive] = Field([])
    guarantee: str


class Decided(Part):
    model_config = ConfigDict(extra="forbid")
    sigma: float
    n0: int
    n: int
    seed: int
    noise: str
    tau: float
    alpha: float
    method: str
    k: int
    looks: list[Positive] = Field([])


class Decisions(Part):
    """The number of the decision, and the earlier decisions. Other keys are rejected, because nothing checks them."""

    model_config = ConfigDict(extra="forbid")
    number: Positive
    earlier: list[Decided]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.earlier) < self.number - 1 or (self.number == 1 and self.earlier):
            raise ValueError(
                f"found the number {self.number} with {len(self.earlier)} earlier decisions, which contradict each "
                "other"
            )
        return self


class Structure(Part):
    id: int
    name: str
    area_low: int | None  # null under a method with a weaker guarantee
    area_high: int | None


class Interval(Part):
    name: str
    unit: str
    low: float | None
    high: float | None
    alpha: float
    threshold: float = 0.0
    decision: Literal["above", "below", "open"] = "open"


class File(Part):
    path: Sibling
    sha256: Digest


class Certificate(Part):
    """The complete content of a certificate file."""

    format: Literal["segcert-certificate-1"]
    image: Image
    networks: Networks
    sampling: Sampling
    certificate: Settings
    radius_gray_levels: float
    abstain: float
    classes: list[Structure]
    measurements: list[Interval]
    files: dict[str, File]
    runtime: dict[str, str | int | bool] = Field({})
    decisions: Decisions | None = None
    remarks: list[str] = Field([])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        expected = {LABELS, VOTES}
        if self.image.grid is not None:  # earlier versions wrote neither the grid nor maps on it
            expected |= {on_original_grid(kind) for kind in (LABELS, RADII) if kind in self.files}
        if lacking := expected - self.files.keys():
            raise ValueError(f"files: {min(lacking)} is missing")
        return self


def read_certificate(path: str | Path) -> dict[str, Any]:
    """Read a certificate that was written by `segcert certify`. Raises DocumentError for any other file."""
    if not Path(path).exists():
        raise DocumentError(f"{path}: no such file; expected a NAME.certificate.json that `segcert certify` wrote")
    advice = "expected a file that `segcert certify` wrote; if it was edited, certify the image again"
    document = read_document(path, Certificate, DocumentError, "is not a certificate", advice)
    if twice := _repeated_key(Path(path).read_bytes()):
        raise DocumentError(f"{path}: is not a certificate (the key {twice} appears twice); {advice}")
    return document


def _repeated_key(text: bytes) -> str | None:
    """Return a key that appears twice in a JSON object, or None. Different JSON readers use different values."""
    repeated: list[str] = []

    def without_values(pairs: list[tuple[str, Any]]) -> None:
        repeated.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)

    json.loads(text, object_pairs_hook=without_values)
    return repeated[0] if repeated else None
