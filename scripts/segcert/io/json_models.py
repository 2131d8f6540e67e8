"""JSON from files of others, checked against pydantic models: the one way in which a reader believes such a file.

Importing pydantic takes a tenth of a second, so modules that every job imports take this one where they need it.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segcert.io.json_files import parse_json

SHOWN, LONGEST = 3, 80  # problems that an error names, and characters of what it found


class Part(BaseModel):
    """A mapping in a file of others: no text for a number, numbers finite; what later versions may add is ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def fit(document: Any, model: type[Model]) -> Model:
    """A value of `parse_json` as a model. Raises ValueError: what was found under which key, and what was expected."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = []
        for problem in error.errors()[:SHOWN]:
            key = ".".join(map(str, problem["loc"]))
            if problem["type"] == "missing":
                problems.append(f"lacks {key}")
            else:
                found = repr(problem["input"])[:LONGEST]
                problems.append(f"{key}: found {found}; {problem['msg']}".removeprefix(": "))
        raise ValueError("; ".join(problems)) from None


def read_document(
    path: str | Path, model: type[BaseModel], error: type[ValueError], is_none: str, advice: str
) -> dict[str, Any]:
    """The JSON file at `path` as it stands, once it fits a model.

    Raises `error`, which says: "<path>: <is_none> (<why>); <advice>".
    """
    try:
        document: dict[str, Any] = parse_json(Path(path).read_bytes())
        fit(document, model)
    except (OSError, ValueError) as refusal:
        raise error(f"{path}: {is_none} ({refusal}); {advice}") from refusal
    return document
