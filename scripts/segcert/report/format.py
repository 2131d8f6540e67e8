"""Numbers, sizes and names as text: how every page, table and figure of a report writes them."""

import math
from collections.abc import Callable, Iterable
from typing import Any

NOT_DEFINED = "n/a"


def number(value: float, decimals: int = 3) -> str:
    """A number with so many decimals."""
    return NOT_DEFINED if math.isnan(value) else f"{value:.{decimals}f}"


def signed(value: float, decimals: int = 3) -> str:
    """A difference with its sign and so many decimals."""
    return NOT_DEFINED if math.isnan(value) else f"{value:+.{decimals}f}"


def digits(value: float) -> str:
    """Three digits for small numbers, whole numbers from 100 on."""
    if math.isnan(value):
        return NOT_DEFINED
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def percent(value: float, decimals: int = 0) -> str:
    """A share in per cent, with so many decimals."""
    return NOT_DEFINED if math.isnan(value) else f"{100 * value:.{decimals}f}%"


def whole(value: float) -> str:
    """A count."""
    return number(value, 0)


STYLES: dict[str, Callable[..., str]] = {each.__name__: each for each in (number, signed, digits, percent, whole)}


def written(value: Any, style: str, decimals: int | None = None) -> str:
    """A value of a table in a style of segcert.results.table_columns; nothing for a word or a level that is missing.

    >>> written(0.125, "percent", 1), written(0.5, "level"), written("unet", "text")
    ('12.5%', '0.5', 'unet')
    """
    if style in STYLES:
        return STYLES[style](value) if decimals is None else STYLES[style](value, decimals)
    if isinstance(value, float) and math.isnan(value):
        return ""
    return f"{value:g}" if style == "level" else str(value)


def listed(values: Iterable[Any], style: str = "level", decimals: int | None = None) -> str:
    """Values of a table in a style (`written`), with commas.

    >>> listed([0.25, 1.0]), listed([0.125, 0.5], "number", 2)
    ('0.25, 1', '0.12, 0.50')
    """
    return ", ".join(written(value, style, decimals) for value in values)


def file_size(count: int) -> str:
    """A number of bytes in kB, MB or GB (powers of 1000).

    >>> file_size(16859307), file_size(38399), file_size(10400000000)
    ('16.9 MB', '38.4 kB', '10.4 GB')
    """
    if count < 10**6:
        return f"{count / 10**3:.1f} kB"
    return f"{count / 10**6:.1f} MB" if count < 10**9 else f"{count / 10**9:.1f} GB"


def shorten(text: str, most: int = 24) -> str:
    """At most so many characters, on one line.

    >>> shorten("a long name", 7)
    'a long…'
    """
    flat = " ".join(str(text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1].rstrip()}…"
