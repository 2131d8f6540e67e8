"""An audit as a page of the report, and as JSON beside it."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from segcert.audit.audit import Audit
from segcert.audit.lineage_figure import Stage, lineage_figure
from segcert.io.atomic import atomic_file
from segcert.provenance.lineage import Lineage
from segcert.provenance.records import SUFFIX
from segcert.report.html import render
from segcert.report.style import inline_figure
from segcert.results.kinds import certificates_of, sigma_of


def write_audit(audit: Audit) -> Path:
    """Write reports/<run>/audit.json and audit.html; return where the page stands."""
    folder = audit.lineage.root / "reports" / audit.lineage.run
    with atomic_file(folder / "audit.json") as path:
        path.write_text(json.dumps(audit.as_json(), indent=1) + "\n")
    page = folder / "audit.html"
    render(page, "audit.html.j2", audit=audit, figure=inline_figure(figure_of(audit)), dirty=_dirty(audit.lineage))
    return page


def figure_of(audit: Audit) -> Figure:
    """The lineage of the audited run as a figure."""
    return lineage_figure(*_stages(audit))


def _stages(audit: Audit) -> tuple[dict[str, Stage], set[tuple[str, str]]]:
    """The rules of the run in the order of the work, and which of them read what which others made."""
    lineage = audit.lineage
    broken = {finding.path.removesuffix(SUFFIX) for each in audit.outcomes for finding in each.broken}
    below = set(lineage.downstream(*broken))
    stages: dict[str, Stage] = {}
    for job in lineage.jobs:
        made = set(job.outputs) | set(job.holds)
        before = stages.get(job.rule, Stage(0, 0, ""))
        states = ["broken", "made from what is broken", "dirty tree", ""]
        state = (
            "broken" if broken & made
            else "made from what is broken" if below & made
            else "dirty tree" if job.clean is False
            else ""
        )  # fmt: skip
        worst = min(before.state, state, key=states.index)
        stages[job.rule] = Stage(before.jobs + 1, before.files + len(made), worst)
    reads = {
        (lineage.makers[path].rule, job.rule) for job in lineage.jobs for path in job.inputs if path in lineage.makers
    }
    return stages, {(source, target) for source, target in reads if source != target}


def _dirty(lineage: Lineage) -> list[str]:
    """Names of the certificates that were made from uncommitted code, themselves or what they rest on."""
    jobs = [job for job in lineage.jobs if job.rule == "certify"]
    dirty = [job for job in jobs if any(each.clean is False for each in [*lineage.upstream(job), job])]
    return [f"{job.name} {sigma_of(certificate)}" for job in dirty for certificate in certificates_of(job.outputs)]
