"""The figures in FIGURES, which are drawn from the tables in a report. For captions, see segcert.report.captions."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator, MaxNLocator

from segcert.certification.methods import METHODS
from segcert.report.style import COLORS, MODEL_DASHES, MODEL_MARKERS, PAGE, Draw, Layout, line, shared_legend
from segcert.results.labels import TRAINED, describe_pairing
from segcert.results.tables import error_bars

METRICS = {"certified_dice": "certified Dice", "abstain": "abstention (share)"}


def certified_dice_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw certified Dice and abstention against sigma, with 95% intervals, from the main table.

    Thin lines show the Dice of the vote. There are two panels for each data set and model. With a single model, each
    data set has one row. With several models, each data set has two rows, with a column per model. In print, there is a
    row for each data set and model.
    """
    models = list(table["model"].unique())
    panels = list(itertools.product(table["dataset"].unique(), METRICS, models))
    columns = max(2, len(models))
    if layout.narrow:
        panels.sort(key=lambda panel: models.index(panel[2]))
        columns = 2
    rows = len(panels) // columns
    figure = layout.figure(3.6 * columns, 3.0 * rows + 0.5, rows, _pairings(table) + 1)
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel, (dataset, metric, model) in zip(axes.flat, panels, strict=True):
        _panel(panel, table[(table["dataset"] == dataset) & (table["model"] == model)], metric)
        title = layout.title(dataset, model, columns=columns)
        panel.set(title=title, ylabel=layout.label(METRICS[metric]), xlabel="sigma (pixels in [0, 1])")
        panel.set_ylim(-0.02, 1.02)
    shared_legend(figure)
    return figure


def overview_figure(table: pd.DataFrame, layout: Layout) -> Figure:
    """Draw certified Dice and its 95% interval against sigma, with a row per model and a column per data set.

    `table` is the main table. If there is only one data set, its name is omitted, and a second column shows the share
    of pixels that abstain. Models are named on the left. Thin lines show the Dice of the vote.
    """
    datasets, models = list(table["dataset"].unique()), list(table["model"].unique())
    across = [(dataset, metric) for dataset in datasets for metric in METRICS]
    if len(datasets) > 1:
        across = [(dataset, "certified_dice") for dataset in datasets]
    width = max(7.0, 2.4 * len(across))
    figure = layout.figure(width, 2.4 * len(models) + 0.5, len(models), math.ceil((_pairings(table) + 1) / 2))
    axes = figure.subplots(len(models), len(across), squeeze=False, sharex=True, sharey=True)
    for panel, (model, (dataset, metric)) in zip(axes.flat, itertools.product(models, across), strict=True):
        _panel(panel, table[(table["dataset"] == dataset) & (table["model"] == model)], metric)
        panel.set_ylim(-0.02, 1.02)
    for panel, (dataset, metric) in zip(axes[0], across, strict=True):
        panel.set_title(layout.title(dataset if len(datasets) > 1 else METRICS[metric], columns=len(across)))
    for panel in axes[-1]:
        panel.set_xlabel("sigma" if len(across) > 3 else "sigma (pixels in [0, 1])")
    for panel, model in zip(axes[:, 0], models, strict=True):
        panel.set_ylabel(layout.label(model))
    shared_legend(figure)
    return figure


def budget_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw the forecast of certified Dice against the number of draws, for the run's method.

    The numbers come from tables/budget.csv. There is a column of panels per sigma, and a row per data set and model.
    """
    table = table[table["method"] == table["method"].iloc[0]]
    sigmas = list(table["sigma"].unique())
    rows = list(itertools.product(table["dataset"].unique(), table["model"].unique()))
    figure = layout.figure(max(3.6, 2.6 * len(sigmas)), 2.6 * len(rows) + 0.6, 1.3 * len(rows), _pairings(table))
    axes = figure.subplots(len(rows), len(sigmas), squeeze=False, sharey=True)
    draws = sorted(table["draws"].unique())
    for panel, ((dataset, model), sigma) in zip(axes.flat, itertools.product(rows, sigmas), strict=True):
        chosen = table[(table["dataset"] == dataset) & (table["model"] == model) & (table["sigma"] == sigma)]
        for (regime, denoiser), pairing in chosen.groupby(["regime", "denoiser"], sort=False):
            panel.plot(pairing["draws"], pairing["certified_dice"], **line(str(regime), str(denoiser)))
        panel.set_title(layout.title(dataset, model, f"sigma {sigma:g}", columns=len(sigmas)))
        panel.set_ylim(-0.02, 1.02)
        _axis_of_draws(panel, draws)
    for panel in axes[:, 0]:
        panel.set_ylabel(layout.label("certified Dice (forecast)"))
    shared_legend(figure)
    return figure


def _axis_of_draws(panel: Axes, draws: Sequence[int]) -> None:
    panel.set(xscale="log", xlabel="draws, n0 + n")
    panel.set_xticks(draws, [str(number) for number in draws], rotation=45)
    panel.minorticks_off()
    panel.grid(axis="y", alpha=0.3)


def _pairings(table: pd.DataFrame) -> int:
    return len(table[["regime", "denoiser"]].drop_duplicates())


def _panel(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    sigmas = sorted(table["sigma"].unique())
    thin = mpl.rcParams["lines.linewidth"] / 2
    for (regime, denoiser), rows in table.groupby(["regime", "denoiser"], sort=False):
        group, look = rows.sort_values("sigma"), line(str(regime), str(denoiser))
        axes.errorbar(group["sigma"], group[metric], yerr=error_bars(group, metric), capsize=2, **look)
        if metric == "certified_dice":
            dashes, color = look["linestyle"], look["color"]
            axes.plot(group["sigma"], group["vote_dice"], linestyle=dashes, color=color, linewidth=thin)
    if metric == "certified_dice":
        axes.errorbar([], [], color="gray", linewidth=thin, label="thin lines: Dice of the vote")  # last in the legend
    axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
    axes.grid(axis="y", alpha=0.3)


# Line styles of the methods, in the order of the registry.
LOOKS = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "-", "marker": "s"},
    {"color": "#009E73", "linestyle": "--", "marker": "^"},
    {"color": "#CC79A7", "linestyle": ":", "marker": "D"},
    {"color": "#000000", "linestyle": "-.", "marker": "v"},
)
METHOD_LINES = dict(zip(METHODS, itertools.cycle(LOOKS), strict=False))


def area_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw the forecast of the certified area against the number of draws (n0 + n), with a line per method.

    The numbers come from tables/budget.csv. There is a column of panels per sigma, and a row per data set and model.
    Each row shows the pairing of regime and denoiser that is selected by `shown_pairing` and named in the title.
    """
    models = table[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None)
    groups = {key: table[(table["dataset"] == key[0]) & (table["model"] == key[1])] for key in models}
    pairings = {key: shown_pairing(group) for key, group in groups.items()}
    sigmas = sorted(table["sigma"].unique())
    draws = sorted(table["draws"].unique())
    width, height = max(3.6, 2.6 * len(sigmas)), 2.6 * len(groups) + 1.1
    figure = layout.figure(width, height, 1.4 * len(groups), len(METHODS))
    axes = figure.subplots(len(groups), len(sigmas), squeeze=False, sharey="row")
    for panels, ((dataset, model), group) in zip(axes, groups.items(), strict=True):
        regime, denoiser = pairings[dataset, model]
        chosen = group[(group["regime"] == regime) & (group["denoiser"] == denoiser)]
        for panel, sigma in zip(panels, sigmas, strict=True):
            for method, rows in chosen[chosen["sigma"] == sigma].groupby("method", sort=False):
                name = str(method)
                label = f"{name} (weaker guarantee)" if METHODS[name].weaker else name
                panel.plot(rows["draws"], rows["certified_area"], label=label, markersize=4, **METHOD_LINES[name])
            panel.set_title(layout.title(dataset, model, f"sigma {sigma:g}", columns=len(sigmas)))
            _axis_of_draws(panel, draws)
        panels[0].set_ylabel(layout.label("certified area (forecast)"))
    figure.suptitle(_named(pairings))
    shared_legend(figure, width=1.9)
    return figure


def shown_pairing(rows: pd.DataFrame) -> tuple[str, str]:
    """Choose the pairing (regime, denoiser) of a model for `area_figure`.

    The first choice is the network trained on clean images, behind the first denoiser. The second choice is the
    noise-trained network without a denoiser. If the model has neither of these pairings, its first pairing is chosen.
    """
    pairings = list(dict.fromkeys(zip(rows["regime"], rows["denoiser"], strict=True)))
    behind = [pairing for pairing in pairings if pairing[0] == "clean" and pairing[1] != "none"]
    alone = [pairing for pairing in pairings if pairing == ("noise", "none")]
    return (*behind, *alone, *pairings)[0]


def _named(pairings: dict[tuple[str, str], tuple[str, str]]) -> str:
    """Describe the pairings in a figure as text. If models have different pairings, name the models of each pairing."""
    models: dict[tuple[str, str], list[str]] = {}
    for (_, model), pairing in pairings.items():
        models.setdefault(pairing, []).append(model)
    named = {describe_pairing(*pairing): ", ".join(dict.fromkeys(names)) for pairing, names in models.items()}
    if len(named) == 1:
        return next(iter(named))
    return "\n".join(f"{names}: {pairing}" for pairing, names in named.items())


def radius_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw certified Dice and abstention against the radius, with a row of panels per data set and model.

    The numbers come from tables/radii.csv. There is a column of panels per metric and sigma, and a line per pairing.
    The range of radii depends on sigma. The upper axis shows the radius as the RMS change in gray levels. In print,
    abstention is in a separate row.
    """
    sigmas = sorted(table["sigma"].unique())
    groups = list(table.groupby(["dataset", "model"], sort=False))
    columns = list(itertools.product(METRICS, sigmas))
    below = len(METRICS) if layout.narrow else 1  # number of rows per data set and model
    pairings = len(table[["regime", "denoiser"]].drop_duplicates())
    width, height = max(7.2, 2.1 * len(columns)), 2.4 * len(groups) + 0.6
    figure = layout.figure(width, height, 1.2 * below * len(groups), pairings)
    axes = figure.subplots(below * len(groups), len(columns) // below, squeeze=False, sharey=True)
    for panels, ((dataset, model), model_rows) in zip(axes.reshape(len(groups), -1), groups, strict=True):
        for panel, (metric, sigma) in zip(panels, columns, strict=True):
            rows = model_rows[model_rows["sigma"] == sigma]
            if rows.empty:
                panel.set_axis_off()
                continue
            _draw_radius(panel, rows, metric)
            panel.set_title(f"sigma {sigma:g}", fontsize="medium")
            if sigma == sigmas[0]:
                panel.set_ylabel(layout.label(METRICS[metric]))
            if panel is panels[0]:
                panel.set_title(f"{dataset}, {model}\n", loc="left", fontweight="bold", fontsize="medium")
    for panel in axes[-1]:
        panel.set_xlabel("radius: l2, in [0, 1]" if layout.narrow else "radius: l2, in [0, 1]\nabove: RMS gray levels")
    shared_legend(figure)
    return figure


def _draw_radius(panel: Axes, rows: pd.DataFrame, metric: str) -> None:
    for (regime, denoiser), pairing in rows.groupby(["regime", "denoiser"], sort=False):
        look = line(str(regime), str(denoiser))
        panel.plot(pairing["radius"], pairing[metric], markersize=3.5, linewidth=1.2, **look)
    panel.set_xlim(0, 1.04 * rows["radius"].max())
    panel.set_ylim(-0.02, 1.02)
    panel.grid(axis="y", alpha=0.3)
    levels = rows["radius_gray_levels"].iloc[0] / rows["radius"].iloc[0]
    above = panel.secondary_xaxis("top", functions=(lambda x: x * levels, lambda y: y / levels))
    for axis in (panel.xaxis, above.xaxis):
        axis.set_major_locator(MaxNLocator(3))
        axis.set_major_formatter("{x:g}")
    above.tick_params(labelsize="small", color="gray", labelcolor="gray")


DENOISER_LINES = {
    "noisy": {"color": "#A3ACB5", "linestyle": ":", "marker": "x", "label": "noisy, not denoised"},
    "nl_means": {"color": "#E69F00", "linestyle": "--", "marker": "^", "label": "non-local means"},
    "wavelet": {"color": "#009E73", "linestyle": "--", "marker": "s", "label": "wavelets (BayesShrink)"},
    "ddpm": {"color": "#0072B2", "linestyle": "-", "marker": "o", "label": "the denoiser"},
    "adm256": {"color": "#7B3294", "linestyle": "-.", "marker": "D", "label": "adm256"},
}
SCORES = {"psnr": "PSNR (dB)", "ssim": "SSIM"}


def denoiser_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw PSNR and SSIM of the denoisers, with a row of two panels per data set and a line per method."""
    datasets = list(table["dataset"].unique())
    methods = table["method"].nunique()
    figure = layout.figure(7.2, 2.8 * len(datasets) + 0.5, len(datasets), methods)
    axes = figure.subplots(len(datasets), len(SCORES), squeeze=False)
    sigmas = sorted(table["sigma"].unique())
    for row, dataset in zip(axes, datasets, strict=True):
        dataset_rows = table[table["dataset"] == dataset].sort_values("sigma")
        for panel, (score, name) in zip(row, SCORES.items(), strict=True):
            for method, scores in dataset_rows.groupby("method", sort=False):
                panel.plot(scores["sigma"], scores[score], **DENOISER_LINES[str(method)])
            panel.set(title=dataset, xlabel="sigma (pixels in [0, 1])", ylabel=name)
            panel.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
            panel.grid(axis="y", alpha=0.3)
    shared_legend(figure, width=2.4)
    return figure


REGIME_COLORS = {"clean": "#D55E00", "noise": "#009E73", "denoised": "#E69F00"}


VALIDATED = {"segmenter": "Dice", "denoiser": "PSNR (dB)"}  # validation score for each kind of network


def read_histories(
    segmenters: Mapping[tuple[str, str, str], str | Path], denoisers: Mapping[tuple[str, str], str | Path]
) -> pd.DataFrame:
    """Read the history.csv files of the segmenters and of the denoisers into one table.

    `segmenters` maps (data set, model, regime) to paths, and `denoisers` maps (data set, source) to paths. The source
    of a denoiser consists of the names of its training data sets, joined by "+". The table has the columns of the
    files, and also `dataset`, `kind` (a key of VALIDATED), `model` (the source, for a denoiser) and `regime`. The
    column with the validation score is renamed to `score`.
    """
    frames = []
    for (dataset, model, regime), path in segmenters.items():
        history = pd.read_csv(path).rename(columns={"val_dice": "score"})
        frames.append(history.assign(dataset=dataset, kind="segmenter", model=model, regime=regime))
    for (dataset, source), path in denoisers.items():
        history = pd.read_csv(path).rename(columns={"val_psnr": "score"})
        frames.append(history.assign(dataset=dataset, kind="denoiser", model=source, regime=""))
    return pd.concat(frames, ignore_index=True)


def training_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw training loss and validation score of segmenters and denoisers, with a row per data set.

    `table` is the result of `read_histories`. Dots mark the steps with the best validation score. If no segmenter or no
    denoiser was trained, the corresponding panels are omitted. In print, segmenters and denoisers are in separate rows.
    """
    datasets = list(table["dataset"].unique())
    kinds = [kind for kind in VALIDATED if kind in set(table["kind"])]
    rows, columns = len(datasets), 2 * len(kinds)
    if layout.narrow:
        rows, columns = rows * len(kinds), 2
    networks = table.drop_duplicates(["dataset", "kind", "model", "regime"])
    figure = layout.figure(2.7 * columns, 2.5 * rows + 0.6, rows, int(networks["dataset"].value_counts().max()))
    axes = figure.subplots(rows, columns, squeeze=False)
    for panels, (dataset, kind) in zip(axes.reshape(-1, 2), itertools.product(datasets, kinds), strict=True):
        chosen = table[(table["dataset"] == dataset) & (table["kind"] == kind)]
        models = list(chosen["model"].unique())
        for (model, regime), history in chosen.groupby(["model", "regime"], sort=False):
            look = {"color": "#0072B2", "linestyle": "-", "label": f"denoiser of {model.replace('+', ' and ')}"}
            if kind == "segmenter":
                dashes = MODEL_DASHES[models.index(model) % len(MODEL_DASHES)]
                label = f"{model}, trained {TRAINED[regime]}"
                look = {"color": REGIME_COLORS[regime], "linestyle": dashes, "label": label}
            best = history.iloc[int(history["score"].fillna(-math.inf).to_numpy().argmax())]
            for panel, column in zip(panels, ("train_loss", "score"), strict=True):
                panel.plot(history["step"], history[column], **look)
                panel.plot(best["step"], best[column], color=look["color"], marker="o", markersize=4)
        for panel in panels:
            panel.set_xlabel("step")
            panel.grid(axis="y", alpha=0.3)
        loss, score = panels
        loss.set_ylabel(layout.label(f"{kind}: training loss"))
        score.set_ylabel(layout.label(f"{kind}: validation {VALIDATED[kind]}"))
        if kind == kinds[0]:
            loss.set_title(dataset, loc="left")
        if kind == "denoiser":
            loss.set_yscale("log")
            loss.yaxis.set_major_formatter("{x:g}")  # no powers of ten, because figures do not render formulas
            loss.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    shared_legend(figure)
    return figure


def cost_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Draw certified Dice against GFLOP per image, with a row per data set and a column per sigma.

    Pairings of regime and denoiser have different colours, and models have different markers. Networks with an unknown
    number of operations are omitted.
    """
    datasets, sigmas, models = (list(table[key].unique()) for key in ("dataset", "sigma", "model"))
    markers = dict(zip(models, itertools.cycle(MODEL_MARKERS), strict=False))
    pairings = list(dict.fromkeys(zip(table["regime"], table["denoiser"], strict=True)))
    entries = len(pairings) + len(models)
    figure = layout.figure(max(3.6, 2.6 * len(sigmas)), 2.6 * len(datasets) + 0.8, len(datasets), entries)
    axes = figure.subplots(len(datasets), len(sigmas), squeeze=False, sharex=True, sharey=True)
    known = table.dropna(subset=["gflop_per_image", "certified_dice"])
    for panel, (dataset, sigma) in zip(axes.flat, itertools.product(datasets, sigmas), strict=True):
        for row in known[(known["dataset"] == dataset) & (known["sigma"] == sigma)].to_dict("records"):
            model, regime, denoiser = row["model"], row["regime"], row["denoiser"]
            panel.plot(
                row["gflop_per_image"],
                row["certified_dice"],
                linestyle="none",
                color=COLORS[regime, denoiser],
                marker=markers[model],
            )
        title = layout.title(dataset, f"sigma {sigma:g}", columns=len(sigmas))
        panel.set(title=title, xscale="log", ylim=(-0.02, 1.02))
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    for panel in axes[-1]:
        panel.set_xlabel("GFLOP per image")
    for panel in axes[:, 0]:
        panel.set_ylabel("certified Dice")
    for regime, denoiser in pairings:
        label = describe_pairing(regime, denoiser)
        axes[0, 0].plot([], [], linestyle="none", color=COLORS[regime, denoiser], marker="o", label=label)
    for model in models if len(models) > 1 else ():
        axes[0, 0].plot([], [], linestyle="none", color="black", marker=markers[model], label=model)
    shared_legend(figure)
    return figure


FIGURES: dict[str, Draw] = {
    "certified_dice": certified_dice_figure,
    "radius": radius_figure,
    "area": area_figure,
    "budget": budget_figure,
    "costs": cost_figure,
    "denoisers": denoiser_figure,
    "training": training_figure,
}
