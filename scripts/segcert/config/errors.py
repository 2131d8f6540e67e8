"""Error messages for invalid configurations. Each message suggests the configuration line to write instead."""

import difflib
from typing import Any

import yaml
from pydantic import BaseModel

from segcert.config.networks import OwnModel
from segcert.config.sections import OwnData

OWN: dict[str, type[BaseModel]] = {"own_data": OwnData, "own_models": OwnModel}


class ConfigError(ValueError):
    """Error for an invalid configuration. The message names the key and suggests the configuration line to write."""


def explain(config: type[BaseModel], problem: dict[str, Any]) -> str:
    """Return a one-line message about a problem that pydantic found.

    It contains the key, the problem, and the text to write instead.
    """
    keys = [key for key in problem["loc"] if isinstance(key, str)]
    if problem["type"] == "value_error":
        return f"{'.'.join(keys)}: {problem['msg']}".removeprefix(": ").replace("Value error, ", "")
    where = ".".join(map(str, problem["loc"]))
    found = f"`{where}`: found {problem['input']!r}; expected {problem['msg'].removeprefix('Input should be ')}"
    if keys[0] in OWN:
        fields, key = OWN[keys[0]].model_fields, keys[min(2, len(keys) - 1)]
        if problem["type"] != "extra_forbidden":
            return found + (f" ({fields[key].description})" if key in fields else "")
        near = difflib.get_close_matches(key, fields, n=1)
        instead = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(fields)}"
        return f"`{where}`: there is no such key; {instead}"
    model = config
    for depth, key in enumerate(keys):
        if key not in model.model_fields:
            return _unknown(config, model, keys[: depth + 1])
        annotation = model.model_fields[key].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
        else:
            break
    if problem["type"] == "list_type" and problem["input"] not in (None, {}):
        return f"`{where}`: found {problem['input']!r}; expected a list. {_list_help(keys, problem['input'])}"
    return f"{found}. {_field_help(config, keys)}"


def _list_help(keys: list[str], value: Any) -> str:
    """Suggest how to write a single value, or values separated by commas, as a list."""
    entries = ", ".join(part.strip() for part in str(value).split(","))
    entries = f"[{entries}]"
    for key in reversed(keys[1:]):
        entries = f"{{{key}: {entries}}}"
    return f"Write `{keys[0]}: {entries}`, or on the command line: --config '{keys[0]}={entries}'"


def _unknown(config: type[BaseModel], model: type[BaseModel], keys: list[str]) -> str:
    near = difflib.get_close_matches(keys[-1], model.model_fields, n=1)
    if not near:
        return f"`{'.'.join(keys)}`: there is no such key; delete it (known keys: {', '.join(model.model_fields)})"
    line = _field_help(config, [*keys[:-1], near[0]])
    return f"`{'.'.join(keys)}`: there is no such key; did you mean `{near[0]}`? {line}"


def _field_help(config: type[BaseModel], keys: list[str]) -> str:
    defaults: Any = config().model_dump()
    for key in keys:
        defaults = defaults[key] if isinstance(defaults, dict) and key in defaults else None
    line = in_yaml(defaults)
    for key in reversed(keys[1:]):
        line = f"{{{key}: {line}}}"
    return f"Write, for example: `{keys[0]}: {line}`"


def in_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("\n").removesuffix("\n...")
