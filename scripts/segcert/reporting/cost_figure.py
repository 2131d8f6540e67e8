"""Certified Dice beside what it costs, as a figure."""

import itertools

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from segcert.reporting.labels import describe_pairing
from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import COLORS, MODEL_MARKERS, shared_legend


def cost_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """Certified Dice against GFLOP per image: a row per data set, a column per sigma.

    Colours tell the pairings of regime and denoiser apart, markers the models. Networks whose GFLOP are not known are
    left out.
    """
    datasets, sigmas, models = (list(table[key].unique()) for key in ("dataset", "sigma", "model"))
    pairings = list(dict.fromkeys(zip(table["regime"], table["denoiser"], strict=True)))
    entries = len(pairings) + len(models)
    figure = layout.figure(max(3.6, 2.6 * len(sigmas)), 2.6 * len(datasets) + 0.8, len(datasets), entries)
    axes = figure.subplots(len(datasets), len(sigmas), squeeze=False, sharex=True, sharey=True)
    known = table.dropna(subset=["gflop_per_image", "certified_dice"])
    for panel, (dataset, sigma) in zip(axes.flat, itertools.product(datasets, sigmas), strict=True):
        for row in known[(known["dataset"] == dataset) & (known["sigma"] == sigma)].to_dict("records"):
            model, regime, denoiser = row["model"], row["regime"], row["denoiser"]
            panel.plot(
                row["gflop_per_image"], row["certified_dice"], linestyle="none",
                color=COLORS[regime, denoiser], marker=_marker(model, models),
            )  # fmt: skip
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
        axes[0, 0].plot([], [], linestyle="none", color="black", marker=_marker(model, models), label=model)
    shared_legend(figure)
    return figure


def _marker(model: str, models: list[str]) -> str:
    return MODEL_MARKERS[models.index(model) % len(MODEL_MARKERS)]
