"""Tables in LaTeX: floats with booktabs' rules that fit a page, every text in them escaped."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from segcert.io.atomic import atomic_file
from segcert.report.html import TEMPLATES

LINES = 40  # of the body of a table: what a page holds under a caption of some lines
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "*": "{*}",  # after the end of a row they would be its arguments
    **{character: f"\\{character}" for character in "_%&#{}$"},
}


class Tex(str):
    """LaTeX, to be written as it is; every other text is escaped."""

    __slots__ = ()

    @classmethod
    def fill(cls, pattern: str, **values: Any) -> "Tex":
        """A pattern of `str.format` in LaTeX, with its values escaped unless they are LaTeX themselves."""
        return cls(pattern.format(**{name: tex(value) for name, value in values.items()}))


def tex(value: Any) -> str:
    r"""A value as LaTeX writes it; line ends become spaces.

    >>> print(tex("50% of a_b"))
    50\% of a\_b
    """
    if isinstance(value, Tex):
        return value
    return "".join(ESCAPES.get(character, character) for character in re.sub(r"\s+", " ", str(value)))


Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Table:
    """A float.

    groups: lines of cells below a title of their own, which may be empty; a group is not torn apart unless it is too
    long for a page. spans: heads above the heads, with the number of columns below each. size: of the text.
    """

    caption: Tex
    label: str
    aligns: Sequence[str]
    heads: Sequence[str]
    groups: Mapping[str, Sequence[Sequence[str]]]
    spans: Sequence[tuple[str, int]] = ()
    size: str = "footnotesize"

    @property
    def rules(self) -> list[tuple[int, int]]:
        """First and last column below each span that has a head."""
        found, first = [], 1
        for head, count in self.spans:
            if head:
                found.append((first, first + count - 1))
            first += count
        return found


def label(*parts: str) -> str:
    """A name for \\ref.

    >>> label("my run", "main")
    'tab:my-run-main'
    """
    return "tab:" + "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)


def fitted(table: Table, step: int = 1, height: int = 1) -> list[Table]:
    """The table as one float or several that fit a page each.

    step: lines that stay together. height: of a line, where text is broken, as a multiple of that of one.
    """
    page = LINES // height
    most = page // step * step
    pieces = [
        (title, lines[start : start + most])
        for title, lines in table.groups.items()
        for start in range(0, len(lines), most)
    ]
    pages: list[dict[str, Sequence[Sequence[str]]]] = []
    used = page
    for title, lines in pieces:
        if used + len(lines) > page or title in pages[-1]:
            pages.append({})
            used = 0
        pages[-1][title] = lines
        used += len(lines) + 1
    if len(pages) < 2:
        return [table]
    return [
        dataclasses.replace(
            table,
            groups=groups,
            label=f"{table.label}-{number}" if number > 1 else table.label,
            caption=Tex.fill(
                "{caption} Part {number} of {count}.", caption=table.caption, number=number, count=len(pages)
            ),
        )
        for number, groups in enumerate(pages, start=1)
    ]


def write_latex(output: str | Path, tables: Iterable[Table], about: str) -> None:
    """Write tables to a file that a document takes up with \\input; without any, it holds a comment that says so."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701 (no HTML: `finalize` escapes for LaTeX)
        finalize=tex,
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template("table.tex.j2").render(tables=list(tables), about=about)
    with atomic_file(output) as path:
        path.write_text(text, encoding="utf-8")
