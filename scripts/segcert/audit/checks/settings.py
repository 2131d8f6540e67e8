"""Check that jobs ran with the settings on the report page."""

from collections.abc import Iterator
from typing import Any

from segcert.audit.findings import Evidence, Finding, Findings, finding_unless
from segcert.provenance.lineage import Job


def check_settings(evidence: Evidence) -> Findings:
    """Check that the settings on which certificates depend are those on the page.

    Also check that no run record contains two different seeds.
    """
    page = evidence.lineage.makers.get(f"reports/{evidence.lineage.run}/index.html")
    configuration = page.record["params"].get("configuration", {}) if page else {}
    on_page = {"looks": [], **configuration}  # earlier versions knew no looks
    for job in evidence.lineage.jobs:
        output = job.output
        if job.record.get("seed") != job.record["params"].get("seed"):
            yield Finding(output, f"the run record of `{job.name}` states two different seeds")
        if job.rule in ("import_network", "import_program") and configuration:
            stated = configuration.get("own_models", {}).get(job.record["wildcards"]["model"], {})
            named = stated.get("program") or stated.get("weights")
            message = f"the page says that it was imported from {named}, but `{job.name}` read {', '.join(job.inputs)}"
            yield finding_unless(named in job.inputs, output, message)
        for name, value in _deciding(job) if configuration else ():
            stated = on_page.get(name)
            message = f"`{job.name}` ran with {name} {value}, but the page says {stated}"
            yield finding_unless(value == stated, output, message)


def _deciding(job: Job) -> Iterator[tuple[str, Any]]:
    """Yield the configuration key and the value of each job setting that a certificate depends on."""
    params = job.record["params"]
    if job.rule == "certify":
        yield from ((name, params["settings"][name]) for name in ("tau", "alpha", "method"))
        yield "kfwer_k", params["settings"]["k"]
        yield "looks", params["settings"].get("looks", [])
    if job.rule == "sample":
        yield from ((name, params[name]) for name in ("n0", "n", "seed", "noise", "pool"))
        looks = params.get("looks") or {"ns": []}
        yield "looks", looks["ns"]
        if looks["ns"]:
            yield "stop_at_abstention", looks["stop_at_abstention"]
