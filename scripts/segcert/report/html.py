"""Tools for writing HTML pages: templates, numbers with their exact values, and embedded figures."""

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
    """Render a template from the folder `templates` with `values`, and write the result to an HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(STYLES, cell=cell, file_size=file_size)
    environment.globals["asset"] = asset
    text = environment.get_template(template).render(**values)
    with atomic_file(output) as path:
        path.write_text(text, encoding="utf-8")


def asset(name: str) -> Markup:
    """Return the text of a style sheet or a script in the folder `templates`."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704


def cell(row: Mapping[str, Any], column: str, style: str = "number", decimals: int | None = None) -> Markup:
    """Format a number from a table row as an HTML `data` element, which contains the exact value for the audit.

    The element contains the name of the column. For numbers in sentences, `row` has the keys `_table` and `_row`, and
    the element also contains the name of the table and the number of the row.
    """
    place = Markup(' data-table="{}" data-row="{}"').format(row["_table"], row["_row"]) if "_table" in row else ""
    text = written(row[column], style, decimals)
    return Markup('<data value="{}" data-column="{}"{}>{}</data>').format(row[column], column, place, text)


def inline_svg(path: Path, prefix: int | str) -> str:
    """Return the SVG element in a file. `prefix` is added to its ids, to make them unique on a page."""
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    return re.sub(r'(id="|xlink:href="#|url\(#)', rf"\g<1>f{prefix}-", text)


def svg_width(svg: str) -> int:
    """Return the width, in pixels, of an SVG element that was written by Matplotlib.

    >>> svg_width('<svg height="72pt" width="504pt">')
    672
    """
    found = re.search(r'<svg[^>]* width="([0-9.]+)pt"', svg)
    if not found:
        raise ValueError(f"found {svg[:80]!r}; expected an SVG element with a width in points")
    return round(float(found[1]) * 96 / 72)


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Encode the content of a file as a data URI, for an image or a download."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def script_value(value: Any) -> Markup:
    """Return a value as JSON for a script inside a page. Text in the value can neither end the script nor start one."""
    return Markup(json.dumps(value, allow_nan=False).replace("<", "\\u003c"))  # noqa: S704
