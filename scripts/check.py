import json

from segcert.audit.audit import BEFORE_THE_PAGE, audit
from segcert.audit.page import audit_figure
from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.style import save_figure

with recorded(snakemake):
    found = audit(snakemake.params.run, checks=BEFORE_THE_PAGE, files=snakemake.input)
    with atomic_file(snakemake.output.checks) as path:
        path.write_text(json.dumps(found.as_artifact(), indent=1) + "\n")
    save_figure(audit_figure(found), *snakemake.output.lineage)
