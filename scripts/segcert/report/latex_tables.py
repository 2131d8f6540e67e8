"""The tables of the report in LaTeX: floats with booktabs' rules that fit a page, every text in them escaped."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from segcert.certification.methods import METHODS
from segcert.io.atomic import atomic_file
from segcert.report.cells import Form, Row, plain_number
from segcert.report.format import listed
from segcert.report.html import TEMPLATES
from segcert.results.claims import in_sentences
from segcert.results.labels import REGIMES
from segcert.results.table_columns import LATEX, Column, shown_columns
from segcert.results.tables import records

ACROSS = 3  # noise levels beside each other in the main table
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


def _number(row: Row, name: str, column: Column) -> Tex:
    """A number; shares in per cent without the sign, as heads and captions say."""
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
    pages: list[dict[str, Sequence[Sequence[str]]]] = []
    used = page
    for title, of_title in table.groups.items():
        for start in range(0, len(of_title), most):
            lines = of_title[start : start + most]
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


@dataclasses.dataclass(frozen=True)
class Float:
    """How a table is set: its caption, if its rows stand by model, the size of its text, lines that a row takes."""

    caption: Tex
    by_model: bool = True
    size: str = "footnotesize"
    height: int = 1


def latex_tables(name: str, table: pd.DataFrame, main: pd.DataFrame, titles: Mapping[str, str]) -> list[Table]:
    """The floats of a table of the report: one for each data set, more where it would not fit a page.

    main: the main table, for the settings of the certificates. titles: of the data sets, with which captions begin.
    """
    if table.empty:
        return []
    if name == "claims":
        table = in_sentences(table)
    floats: list[Table] = []
    for dataset, rows in table.groupby("dataset", sort=False):
        settings = main[main["dataset"] == dataset]
        about = _settings(settings) if name != "denoisers" else Tex(UNITS)
        method = main["method"].iloc[0]
        if name == "radii" and rows["method"].iloc[0] != method:
            of_run, method = method, rows["method"].iloc[0]
            about = Tex.fill(
                r"{about} The numbers of this table are by \texttt{{{method}}}, for there are no radii by"
                r" \texttt{{{of_run}}}.",
                about=about,
                method=method,
                of_run=of_run,
            )
        columns = shown_columns(name, LATEX, METHODS[method].weaker)
        title, named = titles[str(dataset)], label(name, str(dataset))
        if name == "main":
            floats += _main(rows, columns, title, about, named)
            continue
        form = FLOATS[name]
        groups = {}
        for model, of_model in rows.groupby("model", sort=False) if form.by_model else [("", rows)]:
            groups[str(model)] = [[FORM.cell(row, column) for column in columns] for row in records(of_model)]
        whole_table = Table(
            caption=Tex.fill("{title}: {caption} {about}", title=title, caption=form.caption, about=about),
            label=named,
            aligns=[Tex(_align(column)) for column in columns],
            heads=[_head(column) for column in columns],
            groups=groups,
            size=form.size,
        )
        floats += fitted(whole_table, height=form.height)
    return floats


UNITS = r"$\sigma$: standard deviation of the noise, in units of pixel values in $[0, 1]$."


def _settings(main: pd.DataFrame) -> Tex:
    """How the certificates of a data set were made, and what they guarantee."""
    first = main.iloc[0]
    radii = main.drop_duplicates("sigma")
    text = Tex.fill(
        r"Method \texttt{{{method}}}{k}, $\tau = {tau:}$, $\alpha = {alpha:}$, {n0} selection and {n} estimation draws"
        r" per image. Certified $\ell_2$ radius $\sigma\,\Phi^{{-1}}(\tau)$: {radii} at $\sigma = {sigmas}$, both in"
        r" units of pixel values in $[0, 1]$.",
        method=first["method"],
        k=Tex(f" ($k = {first['k']}$)" if METHODS[first["method"]].takes_k else ""),
        tau=f"{first['tau']:g}",
        alpha=f"{first['alpha']:g}",
        n0=first["n0"],
        n=first["n"],
        radii=listed(radii["radius"], "number", 3),
        sigmas=listed(radii["sigma"]),
    )
    if METHODS[first["method"]].weaker:
        guarantee = METHODS[first["method"]].guarantee
        text = Tex.fill(r"{text} \textbf{{A weaker guarantee than the paper's}}: {said}.", text=text, said=guarantee)
    if main["extended"].any():
        text = Tex.fill(
            r"{text} \textbf{{Draws were added after a look}} at some certificates, which $\alpha$ does not cover.",
            text=text,
        )
    return text


def _main(rows: pd.DataFrame, columns: Sequence[Column], title: str, about: Tex, name: str) -> Iterator[Table]:
    """A line per model, training and denoiser, its intervals below; columns per noise level, as in the paper."""
    trained, denoiser, _, dice, *noisy = columns
    sigmas = list(rows["sigma"].drop_duplicates())
    counts = rows["images"]
    images = f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
    caption = Tex.fill(
        r"{title}: Dice of the model on clean images without noise, not certified; certified Dice (abstained pixels"
        r" missing from the prediction) with its 95\% bootstrap interval over images below; abstaining pixels in \%."
        r" Means over {images} test images, and over classes within an image. {about}",
        title=title,
        images=images,
        about=about,
    )
    fixed = [trained, denoiser, dice]
    for start in range(0, len(sigmas), ACROSS):
        shown = sigmas[start : start + ACROSS]
        groups: dict[str, list[Sequence[str]]] = {}
        for (model, *_), pairing in rows.groupby(["model", "regime", "denoiser"], sort=False):
            groups.setdefault(str(model), []).extend(_main_lines(pairing, fixed, noisy, shown))
        spans = [(Tex.fill(r"$\sigma = {sigma}$", sigma=f"{sigma:g}"), len(noisy)) for sigma in shown]
        columns_shown = [*fixed, *(noisy * len(shown))]
        table = Table(
            caption=caption,
            label=name if not start else f"{name}-{start // ACROSS + 1}s",
            aligns=[_align(column) for column in columns_shown],
            heads=[_head(column) for column in columns_shown],
            spans=[("", len(fixed)), *spans],
            groups=groups,
        )
        yield from fitted(table, step=2)


def _main_lines(
    rows: pd.DataFrame, fixed: Sequence[Column], noisy: Sequence[Column], sigmas: Sequence[float]
) -> tuple[list[str], list[str]]:
    """The line of a pairing, and below it the intervals of its numbers at each noise level."""
    by_sigma = {row["sigma"]: row for row in records(rows)}
    any_row = next(iter(by_sigma.values()))
    first = [FORM.cell(any_row, column) for column in fixed]
    second: list[str] = [Tex("")] * len(fixed)
    for sigma in sigmas:
        row = by_sigma.get(sigma)
        for column in noisy:
            first.append(Tex("--") if row is None else _number(row, column.name, column))
            if row is not None and LATEX in column.interval:
                low, high = FORM.bounds(row, column)
                second.append(Tex.fill(r"\scriptsize{{[}}{low}, {high}]", low=low, high=high))
            else:
                second.append(Tex(""))
    return first, second


def _head(column: Column) -> str:
    return Tex(column.latex) if column.latex else column.title


def _align(column: Column) -> str:
    """In LaTeX: words, and what was decided of a threshold, stand on the left."""
    return column.align or ("l" if column.text or column.style == "decided" else "r")


FLOATS = {
    "classes": Float(
        caption=Tex(
            r"each structure alone; certified Dice with its 95\% bootstrap interval over images; areas in pixels, of"
            r" the ground truth, and from the certified pixels to those plus the abstained. Means over test images."
        ),
        size="scriptsize",
    ),
    "pairings": Float(
        caption=Tex(
            r"certified Dice less that of the baseline without denoiser, on the same images, with 95\% intervals from"
            r" a paired bootstrap over images."
        ),
    ),
    "measurements": Float(
        caption=Tex(
            r"certified intervals of what is read off the mask, by median smoothing: they hold the median over the"
            r" noise, not a single prediction, with an error of $\alpha$ for all measurements of an image that comes on"
            r" top of that of the pixels. Means over test images; clean: the prediction without noise; width: of the"
            r" interval, in \% of the median; raised: number of images whose interval is open at an end; decided:"
            r" number of images whose interval lies above/below/around a threshold."
        ),
        size="scriptsize",
    ),
    "attacks": Float(
        caption=Tex(
            r"projected gradient descent on the smoothed model, at multiples of the certified radius; certified pixels"
            r" of the attacked images, those that lost the majority of fresh noisy copies (changed), and those that"
            r" lost it beyond doubt (refuted; binomial test, family-wise error 0.001). Outside the radius nothing is"
            r" promised."
        ),
    ),
    "denoisers": Float(
        caption=Tex("what is left of the noise on validation images, clipped to $[0, 1]$; means over images."),
        by_model=False,
    ),
    "costs": Float(
        caption=Tex(
            r"certified Dice (95\% bootstrap interval over images) beside what it costs: network evaluations per draw,"
            r" and GFLOP ($10^9$ operations of convolutions and matrix products) per draw and per image."
        ),
        size="scriptsize",
    ),
    "claims": Float(
        caption=Tex(
            r"claims of the paper, and ours, tested on this run: mean differences over images with 95\% intervals from"
            r" a paired bootstrap, not corrected for their number."
        ),
        height=5,
    ),
    "radii": Float(
        caption=Tex(
            r"what is certified at each radius ($\ell_2$, pixels in $[0, 1]$; as RMS change in gray levels) or beyond,"
            r" all pixels and all radii of an image at once with an error of $\alpha$; 95\% bootstrap intervals over"
            r" images."
        ),
        size="scriptsize",
    ),
}
