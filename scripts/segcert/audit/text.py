"""An audit, and the way of a number, in words for a terminal."""

import contextlib
from collections.abc import Iterator

from segcert.audit.audit import Audit
from segcert.provenance.lineage import Job, Lineage, LineageError
from segcert.results.kinds import certificates_of, sigma_of
from segcert.results.tables import MODEL

SHOWN = 5  # findings of a check, and files, that a terminal shows; JSON and page have all


def audit_in_words(audit: Audit) -> str:
    """A table of the checks, what they found, and the verdict."""
    lines = [f"Audit of the run {audit.lineage.run}: {len(audit.lineage.jobs)} jobs", ""]
    lines.append(f"{'':7} {'check':34} {'looked at':>10} {'broken':>7} {'notices':>8} {'seconds':>8}")
    for outcome in audit.outcomes:
        counts = f"{outcome.count:>10} {len(outcome.broken):>7} {len(outcome.notices):>8} {outcome.seconds:>8.2f}"
        lines.append(f"{'BROKEN' if outcome.broken else 'ok':7} {outcome.title:34} {counts}")
    for outcome in audit.outcomes:
        for kind, findings in (("Broken", outcome.broken), ("Notice", outcome.notices)):
            if findings:
                shown = [f"{finding.path}: {finding.text}" for finding in findings]
                lines += ["", f"{kind}: {outcome.title}", *_first(shown)]
    return "\n".join([*lines, "", *_verdict(audit)])


def _verdict(audit: Audit) -> Iterator[str]:
    if audit.first is None:
        undone = sum("was not done again" in notice.message for each in audit.outcomes for notice in each.notices)
        but = f", but {undone} results were made by other code than is here and not made again" if undone else ""
        yield f"The audit of {audit.lineage.run} passed: every link holds{but}."
        return
    yield f"The audit of {audit.lineage.run} FAILED. The first broken link:"
    yield f"  {audit.first.path}: {audit.first.text}"
    yield f"Made from it, directly or not: {len(audit.downstream)} files"
    yield from _first(audit.downstream)


def _first(lines: list[str]) -> Iterator[str]:
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN} more"


def way_of(lineage: Lineage, key: str) -> str:
    """The way of a row of the report back to the archives: every job and file that it rests on.

    `key` names the row: data set, model, regime, denoiser and sigma, as in `phantom/unet/clean/ddpm/0.5`. Raises
    LineageError for a row that the run does not have.
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
        known = ", ".join("/".join(each) for each in list(rows)[:SHOWN])
        raise LineageError(f"{key}: no such row in the run {lineage.run}; expected {'/'.join(MODEL)}, such as {known}")
    deciding, certificate = row
    lines = []
    for job in [*lineage.upstream(deciding), deciding]:
        if job.record["wildcards"].get("sigma", named["sigma"]) != named["sigma"]:  # votes of another row
            continue
        commit = str(job.record["git"]["commit"])[:12]
        state = ", dirty tree" if job.clean is False else ""
        lines.append(f"{job.name}  ({job.record['started']}, commit {commit}{state})")
        for path, sha256 in job.inputs.items():
            if path not in lineage.makers:
                lines.append(f"  read  {sha256[:16]}  {path}")
        for path, sha256 in job.outputs.items():
            if job is not deciding or path.startswith(f"{certificate}."):
                lines.append(f"  made  {sha256[:16]}  {path}")
        if job.holds:
            lines.append(f"  holds {len(job.holds)} files, such as {next(iter(job.holds))}")
    return "\n".join(lines)
