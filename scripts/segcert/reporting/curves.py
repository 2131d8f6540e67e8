"""Certified Dice and abstention against sigma, and against the number of draws."""

import itertools
import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import line, shared_legend
from segcert.reporting.tables import error_bars

METRICS = {"certified_dice": "certified Dice", "abstain": "share of pixels that abstain"}


def certified_dice_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """From the main table: certified Dice and abstention with 95% intervals, a panel each per data set and model.

    One model: a row per data set. Several: two rows per data set, a column per model; in print a row per model.
    """
    models = list(table["model"].unique())
    panels = list(itertools.product(table["dataset"].unique(), METRICS, models))
    columns = max(2, len(models))
    if layout.narrow:
        panels.sort(key=lambda panel: models.index(panel[2]))
        columns = 2
    rows = len(panels) // columns
    figure = layout.figure(3.6 * columns, 3.0 * rows + 0.5, rows, _pairings(table))
    axes = figure.subplots(rows, columns, squeeze=False)
    for panel, (dataset, metric, model) in zip(axes.flat, panels, strict=True):
        _panel(panel, table[(table["dataset"] == dataset) & (table["model"] == model)], metric)
        title = layout.title(dataset, model, columns=columns)
        panel.set(title=title, ylabel=layout.label(METRICS[metric]), xlabel="sigma (pixels in [0, 1])")
        panel.set_ylim(-0.02, 1.02)
    shared_legend(figure)
    return figure


def overview_figure(table: pd.DataFrame, layout: Layout) -> Figure:
    """From the main table: certified Dice with 95% intervals, a row per model, a column per data set.

    Of one data set, which is not named: a column each for certified Dice and abstention. Models stand on the left.
    """
    datasets, models = list(table["dataset"].unique()), list(table["model"].unique())
    across = [(dataset, metric) for dataset in datasets for metric in METRICS]
    if len(datasets) > 1:
        across = [(dataset, "certified_dice") for dataset in datasets]
    width = max(7.0, 2.4 * len(across))
    figure = layout.figure(width, 2.4 * len(models) + 0.5, len(models), math.ceil(_pairings(table) / 2))
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
    """From the forecast of budgets: certified Dice against the number of draws, by the method of the run.

    A column per sigma, a row per data set and model.
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
        title = layout.title(dataset, model, f"sigma {sigma:g}", columns=len(sigmas))
        panel.set(title=title, xscale="log", xlabel="draws, n0 + n")
        panel.set_ylim(-0.02, 1.02)
        panel.set_xticks(draws, [str(number) for number in draws], rotation=45)
        panel.minorticks_off()
        panel.grid(axis="y", alpha=0.3)
    for panel in axes[:, 0]:
        panel.set_ylabel(layout.label("certified Dice (forecast)"))
    shared_legend(figure)
    return figure


def _pairings(table: pd.DataFrame) -> int:
    return len(table[["regime", "denoiser"]].drop_duplicates())


def _panel(axes: Axes, table: pd.DataFrame, metric: str) -> None:
    sigmas = sorted(table["sigma"].unique())
    for (regime, denoiser), rows in table.groupby(["regime", "denoiser"], sort=False):
        group = rows.sort_values("sigma")
        axes.errorbar(
            group["sigma"], group[metric], yerr=error_bars(group, metric),
            capsize=2, **line(str(regime), str(denoiser)),
        )  # fmt: skip
    axes.set_xticks(sigmas, [f"{sigma:g}" for sigma in sigmas])
    axes.grid(axis="y", alpha=0.3)
