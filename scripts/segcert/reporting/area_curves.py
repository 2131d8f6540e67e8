"""Certified area against the number of draws, method by method."""

import pandas as pd
from matplotlib.figure import Figure

from segcert.certification.certificate import WEAKER
from segcert.reporting.labels import describe_pairing
from segcert.reporting.layout import PAGE, Layout
from segcert.reporting.style import shared_legend

LINES = {
    "segcertify": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "holm": {"color": "#D55E00", "linestyle": "-", "marker": "s"},
    "kfwer": {"color": "#009E73", "linestyle": "--", "marker": "^"},
    "by": {"color": "#CC79A7", "linestyle": ":", "marker": "D"},
}


def area_figure(table: pd.DataFrame, layout: Layout = PAGE) -> Figure:
    """From tables/budget.csv: the forecast certified area against n0 + n, a line per method.

    A column per sigma, a row per data set and model, each with one pairing (`shown_pairing`), which the title names.
    """
    models = table[["dataset", "model"]].drop_duplicates().itertuples(index=False, name=None)
    groups = {key: table[(table["dataset"] == key[0]) & (table["model"] == key[1])] for key in models}
    pairings = {key: shown_pairing(group) for key, group in groups.items()}
    sigmas = sorted(table["sigma"].unique())
    draws = sorted(table["draws"].unique())
    width, height = max(3.6, 2.6 * len(sigmas)), 2.6 * len(groups) + 1.1
    figure = layout.figure(width, height, 1.4 * len(groups), len(LINES))
    axes = figure.subplots(len(groups), len(sigmas), squeeze=False, sharey="row")
    for panels, ((dataset, model), group) in zip(axes, groups.items(), strict=True):
        regime, denoiser = pairings[dataset, model]
        chosen = group[(group["regime"] == regime) & (group["denoiser"] == denoiser)]
        for panel, sigma in zip(panels, sigmas, strict=True):
            for method, rows in chosen[chosen["sigma"] == sigma].groupby("method", sort=False):
                name = str(method)
                label = f"{name} (weaker guarantee)" if name in WEAKER else name
                panel.plot(rows["draws"], rows["certified_area"], label=label, markersize=4, **LINES[name])
            title = layout.title(dataset, model, f"sigma {sigma:g}", columns=len(sigmas))
            panel.set(title=title, xscale="log", xlabel="draws, n0 + n")
            panel.set_xticks(draws, [str(number) for number in draws], rotation=45)
            panel.minorticks_off()
            panel.grid(axis="y", alpha=0.3)
        panels[0].set_ylabel(layout.label("certified area (forecast)"))
    figure.suptitle(_named(pairings))
    shared_legend(figure, width=1.9)
    return figure


def shown_pairing(rows: pd.DataFrame) -> tuple[str, str]:
    """The pairing (regime, denoiser) of a model that the figure shows.

    The network trained on clean images behind the first denoiser; without one the noise-trained network; else the first
    pairing.
    """
    pairings = list(dict.fromkeys(zip(rows["regime"], rows["denoiser"], strict=True)))
    behind = [pairing for pairing in pairings if pairing[0] == "clean" and pairing[1] != "none"]
    alone = [pairing for pairing in pairings if pairing == ("noise", "none")]
    return (*behind, *alone, *pairings)[0]


def _named(pairings: dict[tuple[str, str], tuple[str, str]]) -> str:
    """The pairings that are shown, in words, with their models where they differ."""
    models: dict[tuple[str, str], list[str]] = {}
    for (_, model), pairing in pairings.items():
        models.setdefault(pairing, []).append(model)
    words = {describe_pairing(*pairing): ", ".join(dict.fromkeys(names)) for pairing, names in models.items()}
    if len(words) == 1:
        return next(iter(words))
    return "\n".join(f"{names}: {pairing}" for pairing, names in words.items())
