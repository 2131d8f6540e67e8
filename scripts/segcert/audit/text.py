"""Audits of runs, and traces of a report's rows, as text for a terminal."""

import collections
import contextlib
from collections.abc import Iterator
from pathlib import Path

from segcert.audit.audit import Audit
from segcert.audit.findings import OTHER_CODE, Finding
from segcert.provenance.lineage import Job, Lineage, LineageError
from segcert.results.kinds import certificates_of, sigma_of
from segcert.results.tables import MODEL

SHOWN = 5  # maximum number of findings per check, and of files, in the text; the page and the JSON file contain all


def audit_to_text(audit: Audit, page: Path | None = None) -> str:
    """Return a text with a table of the checks, their findings, the path of the page and, at the end, the verdict."""
    lines = [f"Audit of the run {audit.lineage.run}: {len(audit.lineage.jobs)} jobs", ""]
    lines.append(f"{'':7} {'check':34} {'inspected':>10} {'broken':>7} {'notices':>8} {'seconds':>8}")
    for outcome in audit.outcomes:
        counts = f"{outcome.count:>10} {len(outcome.broken):>7} {len(outcome.notices):>8} {outcome.seconds:>8.2f}"
        lines.append(f"{'BROKEN' if outcome.broken else 'ok':7} {outcome.title:34} {counts}")
    found = [("Notices", outcome.title, outcome.notices) for outcome in audit.outcomes]
    found += [("Broken", outcome.title, outcome.broken) for outcome in audit.outcomes]  # last, close to the verdict
    for kind, title, findings in found:
        if findings:
            lines += ["", f"{kind}: {title}", *_findings(findings)]
    if page:
        lines += ["", f"The page: {page}"]
    return "\n".join([*lines, "", *_verdict(audit)])


def _findings(findings: list[Finding]) -> Iterator[str]:
    """Yield a line for each reason that findings share, then a line for each of the first SHOWN other findings."""
    for reason, count in collections.Counter(finding.shared for finding in findings if finding.shared).items():
        yield f"  {count} {'result' if count == 1 else 'results'} {reason}"
    yield from _first([f"{finding.path}: {finding.text}" for finding in findings if not finding.shared])


def _verdict(audit: Audit) -> Iterator[str]:
    notices = [notice for outcome in audit.outcomes for notice in outcome.notices]
    if notices:
        yield f"Notices, which break no link: {len(notices)}"
    if audit.first is None:
        undone = sum(notice.shared == OTHER_CODE for notice in notices)
        but = f", but {undone} results were made by different code and were not recomputed" if undone else ""
        yield f"The audit of {audit.lineage.run} passed: every link holds{but}."
        return
    yield f"Files that depend on the first broken link: {len(audit.downstream)}"
    yield from _first(audit.downstream)
    yield f"The audit of {audit.lineage.run} FAILED. The first broken link:"
    yield f"  {audit.first.path}: {audit.first.text}"


def _first(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN} more"


def trace_row(lineage: Lineage, key: str) -> str:
    """Return a text that lists the jobs and files on which a row of the report depends, back to the archives.

    `key` names the row: data set, model, regime, denoiser and sigma, as in `phantom/unet/clean/ddpm/0.5`. Raises
    LineageError if the run has no such row.
    """
    named = dict(zip(MODEL, key.split("/"), strict=False))
    with contextlib.suppress(KeyError, ValueError):
        named["sigma"] = f"{float(named['sigma']):g}"
    rows: dict[tuple[str, ...], tuple[Job, str]] = {}
    for job in lineage.jobs:
        if job.rule == "certify":
            pairing = [str(job.record["wildcards"].get(name, "")) for name in MODEL if name != "sigma"]
            for certificate in certificates_of(job.outputs):
                rows[*pairing, sigma_of(certificate)] = job, certificate
    row = rows.get(tuple(named.get(name, "") for name in MODEL))
    if row is None:
        some = ", ".join("/".join(each) for each in list(rows)[:SHOWN])
        raise LineageError(f"{key}: no such row in the run {lineage.run}; expected {'/'.join(MODEL)}, such as {some}")
    deciding, certificate = row
    lines = [f"The row {key} of the run {lineage.run}: its certificate first, then its inputs, back to the raw data"]
    for job in [deciding, *reversed(lineage.upstream(deciding))]:
        if job.record["wildcards"].get("sigma", named["sigma"]) != named["sigma"]:  # votes of other rows
            continue
        commit = str(job.record["git"]["commit"])[:12]
        state = ", dirty tree" if job.clean is False else ""
        lines.append(f"{job.name}  ({job.record['started']}, commit {commit}{state})")
        for path, sha256 in job.outputs.items():
            if job is not deciding or path.startswith(f"{certificate}."):
                lines.append(f"  made  {sha256[:16]}  {path}")
        if job.extra_outputs:
            lines.append(f"  made  {len(job.extra_outputs)} other files, such as {next(iter(job.extra_outputs))}")
        read = job.inputs.items()
        outside = [f"read  {sha256[:16]}  {path}" for path, sha256 in read if path not in lineage.makers]
        if len(outside) > SHOWN:
            lines.append(f"  read  {len(outside)} files that no job made, such as")
        lines += _first(outside)
    return "\n".join(lines)
