"""The tables of the report as LaTeX: what each shows, under which heads, and what its caption says."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from segcert.certification.methods import METHODS
from segcert.report.html import digits, number, percent, signed, whole
from segcert.report.latex import Column, Row, Table, Tex, fitted, label, tex
from segcert.results.claims import CLAIMS
from segcert.results.labels import REGIMES
from segcert.results.tables import records

ACROSS = 3  # noise levels beside each other in the main table
SIGMA = Tex(r"$\sigma$")


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a table shows: its columns, and what its numbers are. Rows stand by data set, and within it by model.

    size: of the text. height: lines that a row takes.
    """

    columns: Sequence[Column]
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
    floats: list[Table] = []
    for dataset, rows in table.groupby("dataset", sort=False):
        about = _settings(main[main["dataset"] == dataset]) if name != "denoisers" else Tex(UNITS)
        if name == "radii":
            about = _with_map_method(about, rows["method"].iloc[0], main["method"].iloc[0])
        title = titles[str(dataset)]
        if name == "main":
            floats += _main(rows, title, about, label(name, str(dataset)))
            continue
        contents = CONTENTS[name]
        groups = {
            str(model): [[column.text(row) for column in contents.columns] for row in records(of_model)]
            for model, of_model in (rows.groupby("model", sort=False) if contents.by_model else [("", rows)])
        }
        whole_table = Table(
            caption=Tex.fill("{title}: {caption} {about}", title=title, caption=contents.caption, about=about),
            label=label(name, str(dataset)),
            aligns=[Tex(column.align) for column in contents.columns],
            heads=[column.head for column in contents.columns],
            groups=groups,
            size=contents.size,
        )
        floats += fitted(whole_table, height=contents.height)
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
        tau=f"{first['tau']:g}", alpha=f"{first['alpha']:g}", n0=first["n0"], n=first["n"],
        radii=", ".join(f"{radius:.3f}" for radius in radii["radius"]),
        sigmas=", ".join(f"{sigma:g}" for sigma in radii["sigma"]),
    )  # fmt: skip
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
        about=about, of_map=of_map, of_run=of_run,
    )  # fmt: skip


def _main(rows: pd.DataFrame, title: str, about: Tex, name: str) -> Iterator[Table]:
    """A line per model, training and denoiser, its intervals below; columns per noise level, as in the paper."""
    sigmas = list(rows["sigma"].drop_duplicates())
    counts = rows["images"]
    images = f"{counts.min()}" if counts.nunique() == 1 else f"{counts.min()} to {counts.max()}"
    caption = Tex.fill(
        r"{title}: Dice of the model on clean images without noise, not certified; certified Dice (abstained pixels"
        r" missing from the prediction) with its 95\% bootstrap interval over images below; abstaining pixels in \%."
        r" Means over {images} test images, and over classes within an image. {about}",
        title=title, images=images, about=about,
    )  # fmt: skip
    for start in range(0, len(sigmas), ACROSS):
        shown = sigmas[start : start + ACROSS]
        table = Table(
            caption=caption,
            label=name if not start else f"{name}-{start // ACROSS + 1}s",
            aligns=["l", "l", "r", *("r" for _ in shown for _ in range(2))],
            heads=["trained", "denoiser", "Dice", *(text for _ in shown for text in ("certified", "abst."))],
            spans=[("", 3), *((Tex.fill(r"$\sigma = {sigma}$", sigma=f"{sigma:g}"), 2) for sigma in shown)],
            groups={
                str(model): [
                    line
                    for (regime, denoiser), pairing in of_model.groupby(["regime", "denoiser"], sort=False)
                    for line in _main_lines(str(regime), str(denoiser), pairing, shown)
                ]
                for model, of_model in rows.groupby("model", sort=False)
            },
        )
        yield from fitted(table, step=2)


def _main_lines(regime: str, denoiser: str, rows: pd.DataFrame, sigmas: Sequence[float]) -> tuple[list[str], list[str]]:
    by_sigma = {row["sigma"]: row for row in records(rows)}
    first = [REGIMES[regime], denoiser, _minus(number(rows.iloc[0]["dice"]))]
    second = [Tex("")] * 3
    for sigma in sigmas:
        row = by_sigma.get(sigma)
        if row is None:
            first += [Tex("--"), Tex("--")]
            second += [Tex(""), Tex("")]
        else:
            first += [_minus(number(row["certified_dice"])), _percent(row, "abstain", 1)]
            second += [Tex.fill(r"\scriptsize{range}", range=_bracket(row, "certified_dice", number)), Tex("")]
    return first, [*second]


def _minus(text: str) -> Tex:
    return Tex(tex(text).replace("-", "$-$"))


def _percent(row: Row, name: str, decimals: int = 0) -> Tex:
    return _minus(percent(row[name], decimals).removesuffix("%"))


def _bracket(row: Row, name: str, shown: Callable[[float], str]) -> Tex:
    low, high = (_minus(shown(row[f"{name}_{end}"])) for end in ("low", "high"))
    return Tex.fill("{{[}}{low}, {high}]", low=low, high=high)


def _interval(name: str, shown: Callable[[float], str] = number) -> Callable[[Row], str]:
    """A mean with its 95% interval."""
    return lambda row: Tex.fill(
        r"{mean} {{\scriptsize{range}}}", mean=_minus(shown(row[name])), range=_bracket(row, name, shown)
    )


def _plain(name: str, shown: Callable[..., str] = number, *decimals: int) -> Callable[[Row], str]:
    return lambda row: _minus(shown(row[name], *decimals))


def _measured(row: Row) -> str:
    unit = row["unit"]
    return f"{row['measurement']} ({unit})" if isinstance(unit, str) and unit else str(row["measurement"])


def _range(low: str, high: str, shown: Callable[..., str], *decimals: int) -> Callable[[Row], str]:
    return lambda row: Tex.fill(
        "{low} to {high}", low=_minus(shown(row[low], *decimals)), high=_minus(shown(row[high], *decimals))
    )


def _decided(row: Row) -> str:
    if pd.isna(row["threshold"]):
        return Tex("")
    return f"{row['above']}/{row['below']}/{row['open']} at {row['threshold']:g}"


def _levels(row: Row) -> str:
    """The noise level of a claim, or the two that it compares."""
    return " to ".join(f"{row[name]:g}" for name in ("sigma_low", "sigma") if not pd.isna(row[name]))


def _bounded(row: Row) -> str:
    interval = _range("low", "high", digits)(row)
    if not row["unbounded"]:
        return interval
    return Tex.fill(r"{interval}$^{{{count}}}$", interval=interval, count=row["unbounded"])


_TRAINED = Column("trained", lambda row: REGIMES[row["regime"]], "l")
_DENOISER = Column("denoiser", lambda row: row["denoiser"], "l")
_SIGMA = Column(SIGMA, lambda row: f"{row['sigma']:g}")
_PAIRING = (_TRAINED, _DENOISER, _SIGMA)
_IMAGES = Column("images", _plain("images", whole))

CONTENTS = {
    "classes": Contents(
        columns=[
            Column("class", lambda row: row["class_name"], "l"),
            *_PAIRING,
            Column("Dice", _plain("dice")),
            Column("certified Dice", _interval("certified_dice")),
            Column("worst-case Dice", _plain("worst_case_dice")),
            Column("area", _plain("area", number, 0)),
            Column("certified area", _range("area_low", "area_high", number, 0)),
        ],
        caption=Tex(
            r"each structure alone; certified Dice with its 95\% bootstrap interval over images; areas in pixels, of"
            r" the ground truth, and from the certified pixels to those plus the abstained. Means over test images."
        ),
        size="scriptsize",
    ),
    "pairings": Contents(
        columns=[
            *_PAIRING,
            Column("baseline: trained", lambda row: REGIMES[row["baseline"]], "l"),
            _IMAGES,
            Column("difference", _interval("difference", signed)),
        ],
        caption=Tex(
            r"certified Dice less that of the baseline without denoiser, on the same images, with 95\% intervals from"
            r" a paired bootstrap over images."
        ),
    ),
    "measurements": Contents(
        columns=[
            Column("measurement", _measured, "l"),
            *_PAIRING,
            Column("truth", _plain("truth", digits)),
            Column("clean", _plain("clean", digits)),
            Column("certified", _bounded),
            Column("width", lambda row: _percent(row, "width")),
            Column("decided", _decided, "l"),
        ],
        caption=Tex(
            r"certified intervals of what is read off the mask, by median smoothing: they hold the median over the"
            r" noise, not a single prediction, with an error of $\alpha$ for all measurements of an image that comes on"
            r" top of that of the pixels. Means over test images; clean: the prediction without noise; width: of the"
            r" interval, in \% of the median; raised: number of images whose interval is open at an end; decided:"
            r" number of images whose interval lies above/below/around a threshold."
        ),
        size="scriptsize",
    ),
    "attacks": Contents(
        columns=[
            *_PAIRING,
            Column(Tex(r"$\times$ radius"), lambda row: f"{row['factor']:g}"),
            _IMAGES,
            Column("certified", _plain("certified", whole)),
            Column("changed", _plain("changed", whole)),
            Column("refuted", _plain("refuted", whole)),
        ],
        caption=Tex(
            r"projected gradient descent on the smoothed model, at multiples of the certified radius; certified pixels"
            r" of the attacked images, those that lost the majority of fresh noisy copies (changed), and those that"
            r" lost it beyond doubt (refuted; binomial test, family-wise error 0.001). Outside the radius nothing is"
            r" promised."
        ),
    ),
    "denoisers": Contents(
        columns=[
            Column("method", lambda row: row["method"], "l"),
            _SIGMA,
            _IMAGES,
            Column("PSNR (dB)", _plain("psnr", number, 1)),
            Column("SSIM", _plain("ssim")),
        ],
        caption=Tex("what is left of the noise on validation images, clipped to $[0, 1]$; means over images."),
        by_model=False,
    ),
    "costs": Contents(
        columns=[
            *_PAIRING,
            Column("certified Dice", _interval("certified_dice")),
            Column("parameters", _plain("parameters", number, 0)),
            Column("evaluations", _plain("evaluations", whole)),
            Column("GFLOP per draw", _plain("gflop_per_draw", digits)),
            Column("per image", _plain("gflop_per_image", digits)),
        ],
        caption=Tex(
            r"certified Dice (95\% bootstrap interval over images) beside what it costs: network evaluations per draw,"
            r" and GFLOP ($10^9$ operations of convolutions and matrix products) per draw and per image."
        ),
        size="scriptsize",
    ),
    "claims": Contents(
        columns=[
            Column("claim", lambda row: CLAIMS[row["claim"]].sentence, "p{4cm}"),
            Column(SIGMA, _levels),
            _IMAGES,
            Column("difference", _interval("difference", signed)),
            Column("verdict", lambda row: row["verdict"], "l"),
        ],
        caption=Tex(
            r"claims of the paper, and ours, tested on this run: mean differences over images with 95\% intervals from"
            r" a paired bootstrap, not corrected for their number."
        ),
        height=5,
    ),
    "radii": Contents(
        columns=[
            *_PAIRING,
            Column("radius", _plain("radius")),
            Column("gray levels", _plain("radius_gray_levels", number, 2)),
            Column("certified Dice", _interval("certified_dice")),
            Column("worst-case Dice", _plain("worst_case_dice")),
            Column(Tex(r"abst. (\%)"), lambda row: _percent(row, "abstain", 1)),
        ],
        caption=Tex(
            r"what is certified at each radius ($\ell_2$, pixels in $[0, 1]$; as RMS change in gray levels) or beyond,"
            r" all pixels and all radii of an image at once with an error of $\alpha$; 95\% bootstrap intervals over"
            r" images."
        ),
        size="scriptsize",
    ),
}
