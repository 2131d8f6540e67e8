"""The tables of the report in LaTeX, as floats that fit on a page, with booktabs rules and escaped text."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from segcert.certification.methods import METHODS
from segcert.io.atomic import atomic_file
from segcert.provenance.ledger import notice
from segcert.report.captions import definitions, table_caption
from segcert.report.cells import Form, Row, across, plain_number
from segcert.report.format import draws, listed
from segcert.report.html import TEMPLATES
from segcert.results.claims import in_sentences
from segcert.results.labels import REGIMES
from segcert.results.table_columns import LATEX, Column, shown_columns
from segcert.results.tables import records

ACROSS = 3  # number of noise levels that are side by side in the main table
LINES = 40  # number of table lines that fit on a page with a caption of CAPTION characters
CAPTION, PER_LINE = 700, 60  # every PER_LINE characters beyond CAPTION replace one line
BROKEN = 5  # number of printed lines per row in a table with a column of wrapped text
WIDE = 9  # a table with at least this many columns and intervals is set in a smaller size
ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "[": "{[}",
    "*": "{*}",  # at the start of a row, LaTeX would read stars and brackets as arguments
    **{character: f"\\{character}" for character in "_%&#{}$"},
}
MATH = {
    "[0, 1]": "$[0, 1]$",
    "10^9": "$10^9$",
    "n0 + n": "$n_0 + n$",
    "l2": r"$\ell_2$",
    "1 - alpha": r"$1 - \alpha$",
    "alpha": r"$\alpha$",
    "sigma": r"$\sigma$",
    "tau": r"$\tau$",
}
SYMBOLS = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, MATH))})(?!\w)")


class Tex(str):
    """LaTeX code, which is not escaped. All other text is escaped."""

    __slots__ = ()

    @classmethod
    def fill(cls, pattern: str, **values: Any) -> "Tex":
        """Insert values into a LaTeX pattern for `str.format`. Values are escaped unless their type is `Tex`."""
        return cls(pattern.format(**{name: tex(value) for name, value in values.items()}))


def tex(value: Any) -> str:
    r"""Escape a value for LaTeX. Line breaks become spaces.

    >>> print(tex("50% of a_b"))
    50\% of a\_b
    """
    if isinstance(value, Tex):
        return value
    return "".join(ESCAPES.get(character, character) for character in re.sub(r"\s+", " ", str(value)))


def with_math(text: str) -> Tex:
    r"""Escape a text for LaTeX, and write its mathematical symbols as formulas.

    >>> print(with_math("sigma up to 50% of [0, 1]"))
    $\sigma$ up to 50\% of $[0, 1]$
    """
    pieces = SYMBOLS.split(text)  # the pieces at odd positions are symbols
    for place, piece in enumerate(pieces):
        pieces[place] = MATH[piece] if place % 2 else tex(piece)
    return Tex("".join(pieces))


def _number(row: Row, name: str, column: Column) -> Tex:
    """Format a number. Shares have no per cent sign, because the caption states that they are percentages."""
    text = plain_number(row, name, column).removesuffix("%")
    return Tex(tex(text).replace("-", "$-$"))


FORM = Form(
    LATEX,
    regimes=REGIMES,
    interval=r"{mean} {{\scriptsize{{[}}{low}, {high}]}}",
    open_ends="{low} to {high}$^{{{unbounded}}}$",
    fill=Tex.fill,
    number=_number,
)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as a LaTeX float.

    Attributes
    ----------
    groups
        Dict that maps the title of a group, which may be empty, to lines of cells. A group is kept on one page if it
        fits.
    spans
        Headings above the column headings, with the first and the last column of each heading, counted from 1.
    """

    caption: Tex
    label: str
    columns: Sequence[Column]
    groups: Mapping[str, Sequence[Sequence[str]]]
    spans: Sequence[tuple[Tex, int, int]] = ()

    @property
    def small(self) -> bool:
        """True if the table has so many columns and intervals that it needs a smaller font."""
        intervals = sum(LATEX in column.interval for column in self.columns)
        return not self.spans and len(self.columns) + intervals >= WIDE


def label(*parts: str) -> str:
    """Return a label for \\ref.

    >>> label("my run", "main")
    'tab:my-run-main'
    """
    return "tab:" + "-".join(re.sub(r"[^A-Za-z0-9]+", "-", part).strip("-") for part in parts)


def fitted(table: Table, step: int = 1) -> list[Table]:
    """Split a table into floats, each of which fits on a page. Blocks of `step` lines are not split."""
    broken = any(column.align for column in table.columns)
    long = max(0, len(table.caption) - CAPTION) // PER_LINE
    page = LINES - min(long, LINES // 2)
    if broken:
        page //= BROKEN
    most = page // step * step
    pages: list[dict[str, Sequence[Sequence[str]]]] = []
    used = page
    for title, group in table.groups.items():
        for start in range(0, len(group), most):
            lines = group[start : start + most]
            if used + len(lines) > page or title in pages[-1]:
                pages.append({})
                used = 0
            pages[-1][title] = lines
            used += len(lines) + 1
    if len(pages) < 2:
        return [table]
    floats = []
    for number, groups in enumerate(pages, start=1):
        part = Tex.fill("{caption} Part {number} of {count}.", caption=table.caption, number=number, count=len(pages))
        named = f"{table.label}-{number}" if number > 1 else table.label
        floats.append(dataclasses.replace(table, groups=groups, label=named, caption=part))
    return floats


def write_latex(output: str | Path, tables: Iterable[Table], about: str) -> None:
    """Write tables to a file for \\input in a document. If there are no tables, the file only contains a comment."""
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
    environment.filters["latex"] = Tex
    text = environment.get_template("table.tex.j2").render(tables=list(tables), about=about)
    with atomic_file(output) as path:
        path.write_text(text, encoding="utf-8")


def latex_tables(
    name: str,
    table: pd.DataFrame,
    main: pd.DataFrame,
    titles: Mapping[str, str],
    collected: Mapping[str, Any] | None = None,
) -> list[Table]:
    """Return the LaTeX floats of a table in the report: one per data set, or several if the table is too long.

    `main` is the main table, which contains the certificate settings. `titles` maps each data set to its title, with
    which the caption begins. `collected` is the run record of certificates.parquet, which contains the number of
    decisions.
    """
    if table.empty:
        return []
    if name == "claims":
        table = in_sentences(table)
    floats: list[Table] = []
    for dataset, rows in table.groupby("dataset", sort=False):
        settings = main[main["dataset"] == dataset]
        # The radius map may have a different method from the run.
        method = (rows if name == "radii" else settings)["method"].iloc[0]
        columns = shown_columns(name, LATEX, METHODS[method].weaker)
        sentences = [Tex.fill("{title}.", title=titles[str(dataset)])]
        sentences.append(with_math(table_caption(name, METHODS[method].weaker)))
        sentences += _about(name, rows, columns, settings, collected)
        caption, named = Tex(" ".join(sentences)), label(name, str(dataset))
        if name == "main":
            floats += _main(rows, columns, caption, named)
            continue
        groups = {}
        for model, model_rows in rows.groupby("model", sort=False) if "model" in rows else [("", rows)]:
            groups[str(model)] = [[FORM.cell(row, column) for column in columns] for row in records(model_rows)]
        floats += fitted(Table(caption, named, columns, groups))
    return floats


def _about(
    name: str, rows: pd.DataFrame, columns: Sequence[Column], main: pd.DataFrame, collected: Mapping[str, Any] | None
) -> Iterator[Tex]:
    """Yield more sentences for the caption, which explain marks in the cells and state the certificate settings."""
    if name == "main":
        yield with_math(definitions(columns))
        counts = sorted({rows["images"].min(), rows["images"].max()})
        yield Tex.fill("Means are over {images} test images.", images=listed(counts).replace(", ", " to "))
    if any(column.style == "percent" for column in columns):
        yield Tex(r"Shares are in \%.")
    if "undefined" in rows and rows["undefined"].any():
        yield Tex.fill(
            "On up to {count} images, a structure is absent from the ground truth and no pixel is certified as it. Its"
            " certified Dice is then undefined, and means skip it.",
            count=rows["undefined"].max(),
        )
    if "unbounded" in rows and rows["unbounded"].any():
        yield Tex("A superscript is the number of images whose interval is unbounded.")
    if name == "denoisers":
        yield with_math("sigma is the standard deviation of the noise, for pixel values in [0, 1].")
        return
    first, radii = main.iloc[0], main.drop_duplicates("sigma")
    method = METHODS[first["method"]]
    yield Tex.fill(
        r"Method \texttt{{{method}}}{k}, $\tau = {tau:}$, $\alpha = {alpha:}$, {n0} selection and {n} estimation"
        r" draws per image. Certified $\ell_2$ radius $\sigma\,\Phi^{{-1}}(\tau)$: {radii} at $\sigma = {sigmas}$, both"
        r" for pixel values in $[0, 1]$.",
        method=method.name,
        k=Tex(f" ($k = {first['k']}$)" if method.takes_k else ""),
        tau=f"{first['tau']:g}",
        alpha=f"{first['alpha']:g}",
        n0=first["n0"],
        n=draws(first["n"], first["looks"]),
        radii=listed(radii["radius"], "number", 3),
        sigmas=listed(radii["sigma"]),
    )
    if method.weaker:
        yield Tex.fill(
            r"\textbf{{A weaker guarantee than under segcertify}}: {said}.", said=with_math(method.guarantee)
        )
    if decisions := notice(collected):
        yield Tex.fill(r"\textbf{{{heading}}}", heading=with_math(decisions[0]))
    if name == "radii" and rows["method"].iloc[0] != method.name:
        yield Tex.fill(
            r"This table shows results of \texttt{{{shown}}}, because \texttt{{{method}}} certifies no radii.",
            shown=rows["method"].iloc[0],
            method=method.name,
        )


def _main(rows: pd.DataFrame, columns: Sequence[Column], caption: Tex, name: str) -> Iterator[Table]:
    """Yield the floats of the main table, with noise levels side by side and each interval below its number."""
    trained, denoiser, _, dice, *noisy = columns
    fixed = [trained, denoiser, dice]
    sigmas = list(rows["sigma"].drop_duplicates())
    for start in range(0, len(sigmas), ACROSS):
        shown = sigmas[start : start + ACROSS]
        groups: dict[str, list[Sequence[str]]] = {}
        for (model, *_), pairing in rows.groupby(["model", "regime", "denoiser"], sort=False):
            groups.setdefault(str(model), []).extend(_main_lines(pairing, fixed, noisy, shown))
        spans = []
        for number, sigma in enumerate(shown):
            first = len(fixed) + number * len(noisy) + 1
            spans.append((Tex(rf"$\sigma = {sigma:g}$"), first, first + len(noisy) - 1))
        table = Table(
            caption,
            label=name if not start else f"{name}-{start // ACROSS + 1}s",
            columns=[*fixed, *(noisy * len(shown))],
            groups=groups,
            spans=spans,
        )
        yield from fitted(table, step=2)


def _main_lines(
    rows: pd.DataFrame, fixed: Sequence[Column], noisy: Sequence[Column], sigmas: Sequence[float]
) -> tuple[list[str], list[str]]:
    """Return two lines for a pairing, with the numbers at each noise level and with the intervals below them."""
    alone = records(rows)[0]
    first = [FORM.cell(alone, column) for column in fixed]
    first += across(rows, noisy, sigmas, _mean, Tex("--"))
    return first, [Tex("")] * len(fixed) + across(rows, noisy, sigmas, _interval, Tex(""))


def _mean(row: Row, column: Column) -> Tex:
    return _number(row, column.name, column)


def _interval(row: Row, column: Column) -> Tex:
    if LATEX not in column.interval:
        return Tex("")
    low, high = FORM.bounds(row, column)
    # The interval is wider than its column, and extends into the empty cell on its left.
    return Tex.fill(r"\llap{{\scriptsize{{[}}{low}, {high}]}}", low=low, high=high)
