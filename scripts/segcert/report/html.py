"""What the pages share: their templates, numbers with their exact values, figures that travel inside the file."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from segcert.io.atomic import atomic_file
from segcert.report.format import STYLES, file_size, written

TEMPLATES = Path(__file__).parent / "templates"


def render(output: str | Path, template: str, **values: Any) -> None:
    """Render a template of the folder `templates` to one HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(STYLES, cell=cell, file_size=file_size)
    environment.globals["asset"] = asset
    text = environment.get_template(template).render(**values)
    with atomic_file(output) as path:
        path.write_text(text, encoding="utf-8")


def asset(name: str) -> Markup:
    """A style or script of the folder `templates`, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def cell(row: Mapping[str, Any], column: str, style: str = "number", decimals: int | None = None) -> Markup:
    """A number of a table as a page shows it, with its column and exact value, so that an audit can compare them.

    In a sentence the number says itself where it stands: `row` has its table and number under `_table` and `_row`.
    """
    place = Markup(' data-table="{}" data-row="{}"').format(row["_table"], row["_row"]) if "_table" in row else ""
    text = written(row[column], style, decimals)
    return Markup('<data value="{}" data-column="{}"{}>{}</data>').format(row[column], column, place, text)


def inline_svg(path: Path, prefix: int | str) -> str:
    """The SVG element of a file, its ids made different from those of other figures on the page."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    return re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>f{prefix}-", text)


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """What a file holds as an address, of a picture or a download."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def script_value(value: Any) -> Markup:
    """A value as a script inside a page may hold it: no name in it can end the script or begin another."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))  # noqa: S704
