"""The lineage of a run as a figure: its stages from the data to the page, and what is wrong with them."""

from collections.abc import Mapping
from typing import NamedTuple

import networkx
from matplotlib.figure import Figure

from segcert.results.labels import CLASS_COLORS

STATES = {  # colours that the colour-blind can tell apart; the words stand in the boxes as well
    "": "#FFFFFF",
    "dirty tree": CLASS_COLORS[4],
    "broken": CLASS_COLORS[5],
    "made from what is broken": CLASS_COLORS[1],
}


class Stage(NamedTuple):
    """A rule of the run: how many jobs it had, how many files they made, and its state (one of STATES)."""

    jobs: int
    files: int
    state: str


def lineage_figure(stages: Mapping[str, Stage], reads: set[tuple[str, str]]) -> Figure:
    """A box per rule, and an arrow from each rule to those that read its files; `reads` holds (made by, read by)."""
    graph: networkx.DiGraph[str] = networkx.transitive_reduction(networkx.DiGraph(sorted(reads)))
    graph.add_nodes_from(stages)
    layers = [sorted(layer, key=list(stages).index) for layer in networkx.topological_generations(graph)]
    tallest = max(map(len, layers))
    places = {
        rule: (column, tallest / len(layer) * (row + 0.5))
        for column, layer in enumerate(layers)
        for row, rule in enumerate(layer)
    }
    figure = Figure(figsize=(1.45 * len(layers), max(2.5, 0.75 * tallest)))
    axes = figure.subplots()
    axes.set(xlim=(-0.55, len(layers) - 0.45), ylim=(tallest, 0))
    axes.axis("off")
    for source, target in sorted(graph.edges):  # networkx leaves them in the order of a set, which no two runs share
        axes.annotate(
            "", places[target], places[source], zorder=1,
            arrowprops={"arrowstyle": "-|>", "color": "#7a828a", "shrinkA": 26, "shrinkB": 30, "lw": 0.8},
        )  # fmt: skip
    for rule, stage in stages.items():
        words = f"{rule.replace('_', ' ')}\n{_count(stage.jobs, 'job')}, {_count(stage.files, 'file')}"
        axes.text(
            *places[rule], f"{words}\n{stage.state}" if stage.state else words, ha="center", va="center", zorder=2,
            fontsize=7, color="black", wrap=True,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": STATES[stage.state], "edgecolor": "#5b6570", "lw": 0.8},
        )  # fmt: skip
    return figure


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"
