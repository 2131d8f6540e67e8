"""Pydantic models for JSON that other people may have written: run records, packed metadata and votes file headers."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel

from segcert.io.json_models import Part


def _versions_and_digests(packages: str) -> str:
    if not all(entry.split() for entry in packages.split(", ")):
        raise ValueError("expected versions and digests")
    return packages


Text = dict[str, str]
Files = dict[Annotated[str, Field(pattern=r"^[^\x00]*$")], str]  # maps paths to SHA-256
Packages = dict[str, Annotated[str, AfterValidator(_versions_and_digests)]]  # see provenance.environment


class Params(Part):
    code: str | None = None
    environment: str | None = None


class Git(Part):
    commit: str | None = Field(pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$")
    clean: bool | None
    changed: list[str]


class Record(Part):
    format: Literal["segcert-record-2"]
    rule: str
    wildcards: Text
    params: Params
    inputs: Files
    outputs: Files = Field(min_length=1)
    code: Text
    environment: Packages
    locks: Text
    packages: Packages
    git: Git
    started: str
    ended: str
    seconds: float
    peak_memory_mib: float
    threads: float
    holds: Files = Field({})
    decisions: dict[str, int] = Field({})
    device: str = ""
    processor: str = ""


class PackedMetadata(RootModel[dict[str, Annotated[list[str], Field(min_length=3, max_length=3)]]]):
    """Index of the packed Snakemake records: a dict with artifacts as keys.

    Each value contains the artifact's SHA-256, the SHA-256 of its Snakemake record, and the path of the packed record.
    """


class ImageVotes(Part):
    sigma: float
    digest: str
    measurements: list[str]
    origin: dict[str, Any]


class VotesHeader(Part):
    format: Literal["segcert-votes-2"]
    images: dict[str, ImageVotes]
