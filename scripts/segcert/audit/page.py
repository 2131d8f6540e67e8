"""Audit page of a report, with a figure of the run's lineage. The audit is also written as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import networkx
from matplotlib.figure import Figure

from segcert.audit.audit import Audit
from segcert.io.atomic import atomic_file
from segcert.provenance.lineage import Lineage
from segcert.report.html import render
from segcert.report.style import inline_figure
from segcert.results.kinds import certificates_of, sigma_of
from segcert.results.labels import CLASS_COLORS

# States, from worst to best, with colours that colour-blind readers can distinguish. The boxes also show the state as
# text.
STATES = {
    "broken": CLASS_COLORS[5],
    "made from broken files": CLASS_COLORS[1],
    "dirty tree": CLASS_COLORS[4],
    "": "#FFFFFF",
}


class Stage(NamedTuple):
    """A rule of the run: its number of jobs, the number of files that they made, and its state (one of STATES)."""

    jobs: int
    files: int
    state: str


def write_audit(audit: Audit) -> Path:
    """Write reports/<run>/audit.json and audit.html, and return the path of audit.html."""
    folder = audit.lineage.root / "reports" / audit.lineage.run
    with atomic_file(folder / "audit.json") as path:
        path.write_text(json.dumps(audit.as_json(), indent=1) + "\n")
    page = folder / "audit.html"
    render(page, "audit.html.j2", audit=audit, figure=inline_figure(audit_figure(audit)), dirty=_dirty(audit.lineage))
    return page


def _dirty(lineage: Lineage) -> list[str]:
    """Return the names of certificates that depend on a job that ran with uncommitted code."""
    names = []
    for job in lineage.jobs:
        if job.rule == "certify" and any(each.clean is False for each in [*lineage.upstream(job), job]):
            names += [f"{job.name} {sigma_of(certificate)}" for certificate in certificates_of(job.outputs)]
    return names


def audit_figure(audit: Audit) -> Figure:
    """Draw the lineage of an audited run: its rules, from the data to the page, and each rule's state."""
    lineage = audit.lineage
    broken = {finding.artifact for outcome in audit.outcomes for finding in outcome.broken}
    affected = set(lineage.downstream(*broken))
    stages: dict[str, Stage] = {}
    reads = set()
    for job in lineage.jobs:
        made = set(job.outputs) | set(job.extra_outputs)
        if broken & made:
            state = "broken"
        elif affected & made:
            state = "made from broken files"
        else:
            state = "dirty tree" if job.clean is False else ""
        before = stages.get(job.rule, Stage(0, 0, ""))
        worst = min(before.state, state, key=list(STATES).index)
        stages[job.rule] = Stage(before.jobs + 1, before.files + len(made), worst)
        for path in job.inputs:
            maker = lineage.makers.get(path)
            if maker and maker.rule != job.rule:
                reads.add((maker.rule, job.rule))
    return lineage_figure(stages, reads)


def lineage_figure(stages: Mapping[str, Stage], reads: set[tuple[str, str]]) -> Figure:
    """Draw a box for each rule, and arrows from the rules that made files to the rules that read them.

    `reads` contains these pairs of rules. An arrow is left out if a longer path of arrows connects the same rules.
    """
    graph: networkx.DiGraph[str] = networkx.transitive_reduction(networkx.DiGraph(sorted(reads)))
    graph.add_nodes_from(stages)
    layers = [sorted(layer, key=list(stages).index) for layer in networkx.topological_generations(graph)]
    tallest = max(map(len, layers))
    places = {}
    for column, layer in enumerate(layers):
        for row, rule in enumerate(layer):
            places[rule] = column, tallest / len(layer) * (row + 0.5)
    figure = Figure(figsize=(1.45 * len(layers), max(2.5, 0.75 * tallest)))
    axes = figure.subplots()
    axes.set(xlim=(-0.55, len(layers) - 0.45), ylim=(tallest, 0))
    axes.axis("off")
    arrow = {"arrowstyle": "-|>", "color": "#7a828a", "shrinkA": 26, "shrinkB": 30, "lw": 0.8}
    for source, target in sorted(graph.edges):  # networkx returns edges in set order, which differs between runs
        axes.annotate("", places[target], places[source], zorder=1, arrowprops=arrow)
    for rule, stage in stages.items():
        text = f"{rule.replace('_', ' ')}\n{_count(stage.jobs, 'job')}, {_count(stage.files, 'file')}"
        if stage.state:
            text += f"\n{stage.state}"
        box = {"boxstyle": "round,pad=0.35", "facecolor": STATES[stage.state], "edgecolor": "#5b6570", "lw": 0.8}
        axes.text(
            *places[rule], text, ha="center", va="center", zorder=2, fontsize=7, color="black", wrap=True, bbox=box
        )
    return figure


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
