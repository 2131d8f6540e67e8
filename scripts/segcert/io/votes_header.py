"""The header of a file of votes, as pydantic checks it. Votes are drawn, written and decided without this module."""

from typing import Any, Literal

from segcert.io.json_models import Part


class OfImage(Part):
    sigma: float
    digest: str
    measurements: list[str]
    origin: dict[str, Any]


class Header(Part):
    format: Literal["segcert-votes-2"]
    images: dict[str, OfImage]
