"""A run as a W3C PROV document: files are entities, jobs activities; what was used, generated, by whom.

https://www.w3.org/TR/prov-dm/, written as PROV-JSON with the library `prov`.
"""

import datetime
from urllib.parse import quote

from prov.model import PROV_LABEL, PROV_LOCATION, PROV_TYPE, ProvDocument

from segcert.exchange.crate_actions import action_id, script_of
from segcert.provenance.lineage import Lineage

CONTEXT = {"schema": "http://schema.org/", "segcert": "urn:segcert:"}


def prov_document(lineage: Lineage, agent: str) -> ProvDocument:
    """The provenance of a run; files are named by their path in the checkout, `agent` by name."""
    document = ProvDocument()
    for prefix, uri in CONTEXT.items():
        document.add_namespace(prefix, uri)
    run = document.add_namespace("run", f"arcp://name,{quote(lineage.run)}/")
    person = document.agent(run["#agent"], {PROV_TYPE: document.valid_qualified_name("prov:Person"), PROV_LABEL: agent})
    engine = document.agent(
        run["#engine"], {PROV_TYPE: document.valid_qualified_name("prov:SoftwareAgent"), PROV_LABEL: "Snakemake"}
    )
    document.actedOnBehalfOf(engine, person)
    digests = lineage.sources | {
        path: sha256 for job in lineage.jobs for path, sha256 in (job.outputs | job.holds).items()
    }
    files = {
        path: document.entity(run[quote(path)], {PROV_LOCATION: path, "schema:sha256": sha256})
        for path, sha256 in digests.items()
    }
    plans = {
        script: document.entity(run[quote(script)], {PROV_TYPE: document.valid_qualified_name("prov:Plan")})
        for script in dict.fromkeys(map(script_of, lineage.jobs))
    }
    for job in lineage.jobs:
        start, end = (datetime.datetime.fromisoformat(job.record[key]) for key in ("started", "ended"))
        commit, clean = job.record["git"]["commit"], job.clean
        state = {} if commit is None else {"segcert:commit": commit, "segcert:clean": clean}
        activity = document.activity(run[action_id(job)], start, end, {PROV_LABEL: job.name, **state})
        document.wasAssociatedWith(activity, engine, plans[script_of(job)])
        for path in job.inputs:
            document.used(activity, files[path], start)
        for path in (*job.outputs, *job.holds):
            document.wasGeneratedBy(files[path], activity, end)
    return document
