"""Generate config/default.yaml, config/schema.json and docs/reference/configuration.md from the configuration model.

The Markdown page lists every key with its type, range, default and description.
"""

import json
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from segcert.config.errors import OWN, in_yaml
from segcert.config.schema import Config
from segcert.config.sections import Section

FOLDER = Path(__file__).parents[3] / "config"


def default_yaml() -> str:
    """Return the text of config/default.yaml: every key with its description and default."""
    return (
        "# The default run, on the built-in synthetic phantom, takes minutes on two cores. `make config` generates\n"
        "# this file from scripts/segcert/config/. Other configurations list only the keys that differ from it:\n"
        "# snakemake --configfile config/...\n"
    ) + _render(Config(), "")


def schema_json() -> str:
    """Return the text of config/schema.json: the JSON schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def _render(section: Section, indent: str) -> str:
    text = ""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        text += "\n" if isinstance(value, Section) or not indent else ""
        comment = textwrap.wrap(str(field.description), 110 - len(indent), break_on_hyphens=False)
        text += "".join(f"{indent}# {line}\n" for line in comment)
        below = f"\n{_render(value, indent + '  ')}" if isinstance(value, Section) else f" {in_yaml(value)}\n"
        text += f"{indent}{name}:{below}"
    return text


REFERENCE = Path(__file__).parents[3] / "docs/reference/configuration.md"

HEAD = """\
# Configuration

This page lists every key of a configuration file with its allowed values, default and meaning. `make config` generates
the page from `scripts/segcert/config/`. `config/default.yaml` contains all keys with their defaults, ready to copy.
Editors can check a configuration with the JSON schema `config/schema.json`. A configuration file needs only the keys
whose values differ from the defaults:

```yaml
run: mine
sigmas: [0.25, 0.5]
segmenter: {width: 16}
```

On Snakemake's command line, write a key of a section as `--config 'segmenter={width: 16}'`. Write `draws` instead of
`n`, because Snakemake does not accept one-letter keys. Unknown keys and values out of range are rejected; the error
message shows what to write instead. The page [Change a run](../how-to/change.md) explains which steps run again after a
change.
"""

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def configuration_page() -> str:
    """Return docs/reference/configuration.md (Markdown, with an anchor for each key, such as #segmenter.width)."""
    parts = [HEAD, "## Top level\n", _table(Config, "")]
    for path, section in _sections(Config, ""):
        parts += [f"{'#' * (2 + path.count('.'))} `{path}`\n", f"{section.__doc__}\n", _table(section, f"{path}.")]
    for key, entry in OWN.items():
        parts += [f"## An entry of `{key}`\n", f"{entry.__doc__}\n", _table(entry, f"{key}.NAME.")]
    return "\n".join(parts)


def _sections(model: type[Section], prefix: str) -> Iterator[tuple[str, type[Section]]]:
    """Yield the dotted path and the model of each section inside a model, depth first."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield f"{prefix}{name}", field.annotation
            yield from _sections(field.annotation, f"{prefix}{name}.")


def _table(model: type[BaseModel], prefix: str) -> str:
    """Return a Markdown table of the keys that are not sections, in the order of the model."""
    schema = model.model_json_schema()
    rows = ['<div class="keys" markdown>\n', "| key | values | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            continue
        values = _kind(schema["properties"][name])
        rows.append(
            f'| <span id="{prefix}{name}">`{name}`</span> | {values} | `{in_yaml(field.default)}` '
            f"| {_meaning(str(field.description))} |"
        )
    return "\n".join([*rows, "\n</div>\n"])


def _kind(schema: Mapping[str, Any]) -> str:
    """Describe the allowed values of a key as text: the type, the choices and the range in the key's JSON schema."""
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        (key,) = [key for key, section in OWN.items() if section.__name__ == name]
        return f"[entry](#an-entry-of-{key})"
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f"`{value}`" for value in choices)
    if schema.get("type") in ("array", "object"):
        return _collection(schema)
    if "type" not in schema:
        return "any value"
    bounds = []
    for key, sign in BOUNDS.items():
        if key in schema:  # large bounds are shown as powers of two
            bound = f"{schema[key]:g}" if schema[key] < 10**9 else f"2^{math.log2(schema[key]):g}"
            bounds.append(f"{sign} {bound}")
    if "multipleOf" in schema:
        bounds.append(f"multiple of {schema['multipleOf']}")
    return ", ".join([TYPES[schema["type"]], *bounds])


def _collection(schema: Mapping[str, Any]) -> str:
    """Describe the allowed values of a key that takes a list or a mapping."""
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} numbers"
    if schema["type"] == "array":
        least = f" ({schema['minItems']} or more)" if "minItems" in schema else ""
        return f"list of: {_kind(schema['items'])}{least}"
    values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return f"mapping to: {_kind(values[0])}" if isinstance(values[0], dict) else "mapping"


def _meaning(text: str) -> str:
    """Return a description as Markdown for a table cell. The names of pages in docs/ become links."""
    quoted = text.split("`")
    quoted[::2] = [part.replace("<", "&lt;").replace("|", "\\|") for part in quoted[::2]]
    return re.sub(r"docs/([\w/-]+)\.md", lambda page: f"[{page[1].split('/')[-1]}](../{page[1]}.md)", "`".join(quoted))
