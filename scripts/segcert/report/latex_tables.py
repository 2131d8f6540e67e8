"""The tables of the report as LaTeX: the cells of segcert.results.table_columns, and what each caption says."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from segcert.certification.methods import METHODS
from segcert.report.format import STYLES, listed, written
from segcert.report.latex import Row, Table, Tex, fitted, label, tex
from segcert.results.claims import in_sentences
from segcert.results.labels import REGIMES
from segcert.results.table_columns import LATEX, Column, shown_columns
from segcert.results.tables import records

ACROSS = 3  # noise levels beside each other in the main table


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
        if name == "radii":
            about = _with_map_method(about, rows["method"].iloc[0], method)
            method = rows["method"].iloc[0]
        columns = shown_columns(name, LATEX, METHODS[method].weaker)
        title, named = titles[str(dataset)], label(name, str(dataset))
        if name == "main":
            floats += _main(rows, columns, title, about, named)
            continue
        form = FLOATS[name]
        groups = {}
        for model, of_model in rows.groupby("model", sort=False) if form.by_model else [("", rows)]:
            groups[str(model)] = [[_cell(row, column) for column in columns] for row in records(of_model)]
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


def _with_map_method(about: Tex, of_map: str, of_run: str) -> Tex:
    """The settings of the certificates, and by which method the radii are where it is another one."""
    if of_map == of_run:
        return about
    return Tex.fill(
        r"{about} The numbers of this table are by \texttt{{{of_map}}}, for there are no radii by \texttt{{{of_run}}}.",
        about=about,
        of_map=of_map,
        of_run=of_run,
    )


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
    first = [_cell(any_row, column) for column in fixed]
    second: list[str] = [Tex("")] * len(fixed)
    for sigma in sigmas:
        row = by_sigma.get(sigma)
        for column in noisy:
            first.append(Tex("--") if row is None else _number(row, column))
            if row is not None and LATEX in column.interval:
                second.append(Tex.fill(r"\scriptsize{range}", range=_bracket(row, column)))
            else:
                second.append(Tex(""))
    return first, second


def _head(column: Column) -> str:
    return Tex(column.latex) if column.latex else column.title


def _align(column: Column) -> str:
    """In LaTeX: words, and what was decided of a threshold, stand on the left."""
    return column.align or ("l" if column.text or column.style == "decided" else "r")


def _cell(row: Row, column: Column) -> str:
    """A value of a row, with its 95% interval where the column has one here."""
    if column.end:
        return _range(row, column)
    if column.style in SPECIAL:
        return SPECIAL[column.style](row)
    if column.style in STYLES:
        mean = _number(row, column)
        if LATEX not in column.interval:
            return mean
        return Tex.fill(r"{mean} {{\scriptsize{range}}}", mean=mean, range=_bracket(row, column))
    value = row[column.name]
    return REGIMES[value] if column.style == "regime" else written(value, column.style)


def _decided(row: Row) -> str:
    if pd.isna(row["threshold"]):
        return ""
    return f"{row['above']}/{row['below']}/{row['open']} at {row['threshold']:g}"


def _levels(row: Row) -> str:
    """The noise level of a claim, or the two that it compares."""
    return " to ".join(f"{row[name]:g}" for name in ("sigma_low", "sigma") if not pd.isna(row[name]))


def _measured(row: Row) -> str:
    unit = row["unit"]
    return f"{row['measurement']} ({unit})" if isinstance(unit, str) and unit else str(row["measurement"])


SPECIAL = {"decided": _decided, "levels": _levels, "measured": _measured}


def _number(row: Row, column: Column, name: str = "") -> Tex:
    """A number of a row, or the bound `name` of its interval; shares in per cent, as heads and captions say."""
    text = written(row[name or column.name], column.style, column.decimals).removesuffix("%")
    return Tex(tex(text).replace("-", "$-$"))


def _bracket(row: Row, column: Column) -> Tex:
    low, high = (_number(row, column, f"{column.name}_{end}") for end in ("low", "high"))
    return Tex.fill("{{[}}{low}, {high}]", low=low, high=high)


def _range(row: Row, column: Column) -> Tex:
    """A certified interval; raised, of how many images an end is open."""
    interval = Tex.fill("{low} to {high}", low=_number(row, column), high=_number(row, column, column.end))
    if not row.get("unbounded"):
        return interval
    return Tex.fill(r"{interval}$^{{{count}}}$", interval=interval, count=row["unbounded"])


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
