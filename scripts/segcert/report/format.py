"""Formatting of numbers, sizes and names for all pages, tables and figures in a report."""

import math
from collections.abc import Callable, Iterable
from typing import Any

NOT_DEFINED = "n/a"


def number(value: float, decimals: int = 3) -> str:
    """Format a number with `decimals` decimal places."""
    return NOT_DEFINED if math.isnan(value) else f"{value:.{decimals}f}"


def signed(value: float, decimals: int = 3) -> str:
    """Format a difference with its sign and `decimals` decimal places."""
    return NOT_DEFINED if math.isnan(value) else f"{value:+.{decimals}f}"


def digits(value: float) -> str:
    """Format a number with three significant digits, or as an integer if its absolute value is at least 100."""
    if math.isnan(value):
        return NOT_DEFINED
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def percent(value: float, decimals: int = 0) -> str:
    """Format a fraction as a percentage with `decimals` decimal places."""
    return NOT_DEFINED if math.isnan(value) else f"{100 * value:.{decimals}f}%"


def whole(value: float) -> str:
    """Format a count."""
    return number(value, 0)


STYLES: dict[str, Callable[..., str]] = {each.__name__: each for each in (number, signed, digits, percent, whole)}


def written(value: Any, style: str, decimals: int | None = None) -> str:
    """Format a table value in a style of segcert.results.table_columns. Missing texts and levels become "".

    >>> written(0.125, "percent", 1), written(0.5, "level"), written("unet", "text")
    ('12.5%', '0.5', 'unet')
    """
    if style in STYLES:
        return STYLES[style](value) if decimals is None else STYLES[style](value, decimals)
    if isinstance(value, float) and math.isnan(value):
        return ""
    return f"{value:g}" if style == "level" else str(value)


def listed(values: Iterable[Any], style: str = "level", decimals: int | None = None) -> str:
    """Format table values in a style (see `written`), separated by commas.

    >>> listed([0.25, 1.0]), listed([0.125, 0.5], "number", 2)
    ('0.25, 1', '0.12, 0.50')
    """
    return ", ".join(written(value, style, decimals) for value in values)


def draws(n: int, looks: str) -> str:
    """Format the number of estimation draws of an image, with the planned looks as in certificates.parquet.

    >>> draws(100, ""), draws(300, "60, 110, 300")
    ('100', '60, 110 or 300 (planned looks share alpha)')
    """
    return " or ".join(looks.rsplit(", ", 1)) + " (planned looks share alpha)" if looks else f"{n}"


def file_size(count: int) -> str:
    """Format a number of bytes in kB, MB or GB (powers of 1000).

    >>> file_size(16859307), file_size(38399), file_size(10400000000)
    ('16.9 MB', '38.4 kB', '10.4 GB')
    """
    if count < 10**6:
        return f"{count / 10**3:.1f} kB"
    return f"{count / 10**6:.1f} MB" if count < 10**9 else f"{count / 10**9:.1f} GB"


def shorten(text: str, most: int = 24) -> str:
    """Shorten a text to one line of at most `most` characters.

    >>> shorten("a long name", 7)
    'a long…'
    """
    flat = " ".join(str(text).split())
    return flat if len(flat) <= most else f"{flat[: most - 1].rstrip()}…"
