"""Schema of certificate files. A file that does not match the schema is rejected."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from segcert.certification.methods import METHODS
from segcert.io.json_models import Part, read_document

FORMAT = "segcert-certificate-1"
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Positive = Annotated[int, Field(ge=1, lt=2**31)]
Sibling = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", description="Name of a file in the certificate's folder")]


class DocumentError(ValueError):
    """Error for a certificate file that cannot be used."""


class Image(Part):
    path: str
    sha256: Digest
    shape: Annotated[list[Positive], Field(min_length=3, max_length=3)]
    bits: Annotated[int, Field(ge=1, le=16)]
    applied: list[str] = Field([])
    window: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    frame: Positive | None = None


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
    method: Literal[tuple(METHODS)]  # type: ignore[valid-type]  # the names are listed only there
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
    remarks: list[str] = Field([])

    @field_validator("files")
    @classmethod
    def _whole(cls, files: dict[str, File]) -> dict[str, File]:
        if lacking := {"labels.png", "votes.npz"} - files.keys():
            raise ValueError(f"{min(lacking)} is missing")
        return files


def read_certificate(path: str | Path) -> dict[str, Any]:
    """Read a certificate that `segcert certify` wrote. Raises DocumentError for any other file."""
    if not Path(path).exists():
        raise DocumentError(f"{path}: no such file; expected a NAME.certificate.json that `segcert certify` wrote")
    advice = "expected a file that `segcert certify` wrote; if it was edited, certify the image again"
    return read_document(path, Certificate, DocumentError, "is not a certificate", advice)
