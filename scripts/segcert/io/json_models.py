"""Validate JSON from untrusted files with pydantic models. Every reader of such files uses this module.

Importing pydantic takes 0.1 s, so modules that every job imports should import this module inside functions.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from segcert.io.json_files import parse_json

# Maximum number of problems in an error message, and maximum number of characters shown of an invalid value
SHOWN, LONGEST = 3, 80


class Part(BaseModel):
    """Base class of models for mappings in untrusted files. A subclass declares the keys; other keys are ignored.

    Text is not accepted as a number, and numbers must be finite.
    """

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def fit(document: Any, model: type[Model]) -> Model:
    """Validate a value that `parse_json` returned.

    Raises ValueError for invalid values. The message names the first SHOWN invalid keys. For each key, it states what
    was found and what was expected.
    """
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
    """Read the JSON file at `path`, validate it against a model and return it unchanged.

    If the file is unreadable or invalid, raises `error` with the message "<path>: <is_none> (<reason>); <advice>".
    """
    try:
        document: dict[str, Any] = parse_json(Path(path).read_bytes())
        fit(document, model)
    except (OSError, ValueError) as refusal:
        raise error(f"{path}: {is_none} ({refusal}); {advice}") from refusal
    return document
