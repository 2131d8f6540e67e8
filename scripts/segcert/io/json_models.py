"""Validate JSON from untrusted files with pydantic models. Every reader of such files uses this module.

Importing pydantic takes a tenth of a second, so modules that every job imports should import this one inside functions.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segcert.io.json_files import parse_json

SHOWN, LONGEST = 3, 80  # problems in an error message, and characters of the value found


class Part(BaseModel):
    """A mapping in an untrusted file. Text is not a number, numbers are finite, and unknown keys are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def fit(document: Any, model: type[Model]) -> Model:
    """Validate a value of `parse_json`. Raises ValueError with the key, the value found and what was expected."""
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
    """Read the JSON file at `path`, check it against a model and return it unchanged.

    Raises `error` with the message "<path>: <is_none> (<reason>); <advice>".
    """
    try:
        document: dict[str, Any] = parse_json(Path(path).read_bytes())
        fit(document, model)
    except (OSError, ValueError) as refusal:
        raise error(f"{path}: {is_none} ({refusal}); {advice}") from refusal
    return document
