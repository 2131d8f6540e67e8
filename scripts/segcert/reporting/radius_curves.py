"""Certified Dice and abstention against the radius."""

import itertools

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import line, shared_legend

METRICS = {"certified_dice": "certified Dice", "abstain": "share that abstains"}


def radius_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """From tables/radii.csv: what is certified at each radius, a row of panels per data set and model.

    A column per metric and sigma, each sigma with its own range of radii; a line per pairing. Above the panels: the
    radius as RMS change in gray levels. In print abstention stands below.
    """
    sigmas = sorted(table["sigma"].unique())
    groups = list(table.groupby(["dataset", "model"], sort=False))
    columns = list(itertools.product(METRICS, sigmas))
    below = len(METRICS) if layout.narrow else 1  # rows of a data set and model
    pairings = len(table[["regime", "denoiser"]].drop_duplicates())
    width, height = max(7.2, 2.1 * len(columns)), 2.4 * len(groups) + 0.6
    figure = layout.figure(width, height, 1.2 * below * len(groups), pairings)
    axes = figure.subplots(below * len(groups), len(columns) // below, squeeze=False, sharey=True)
    for panels, ((dataset, model), of_model) in zip(axes.reshape(len(groups), -1), groups, strict=True):
        for panel, (metric, sigma) in zip(panels, columns, strict=True):
            rows = of_model[of_model["sigma"] == sigma]
            if rows.empty:
                panel.set_axis_off()
                continue
            _draw(panel, rows, metric)
            panel.set_title(f"sigma {sigma:g}", fontsize="medium")
            if sigma == sigmas[0]:
                panel.set_ylabel(layout.label(METRICS[metric]))
            if panel is panels[0]:
                panel.set_title(f"{dataset}, {model}\n", loc="left", fontweight="bold", fontsize="medium")
    for panel in axes[-1]:
        panel.set_xlabel("radius: l2, in [0, 1]" if layout.narrow else "radius: l2, in [0, 1]\nabove: RMS gray levels")
    shared_legend(figure)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame, metric: str) -> None:
    for (regime, denoiser), pairing in rows.groupby(["regime", "denoiser"], sort=False):
        look = line(str(regime), str(denoiser))
        panel.plot(pairing["radius"], pairing[metric], markersize=3.5, linewidth=1.2, **look)
    panel.set_xlim(0, 1.04 * rows["radius"].max())
    panel.set_ylim(-0.02, 1.02)
    panel.grid(axis="y", alpha=0.3)
    _few_ticks(panel.xaxis)
    levels = rows["radius_gray_levels"].iloc[0] / rows["radius"].iloc[0]
    above = panel.secondary_xaxis("top", functions=(lambda x: x * levels, lambda y: y / levels))
    _few_ticks(above.xaxis)
    above.tick_params(labelsize="small", color="gray", labelcolor="gray")


def _few_ticks(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(3))
    axis.set_major_formatter("{x:g}")
