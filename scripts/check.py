import json

from segcert.audit.audit import BEFORE_THE_PAGE, audit
from segcert.audit.page import figure_of
from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.style import save_figure

with recorded(snakemake):
    found = audit(snakemake.params.run, checks=BEFORE_THE_PAGE, of=snakemake.input)
    with atomic_file(snakemake.output.checks) as path:
        path.write_text(json.dumps(found.as_artifact(), indent=1) + "\n")
    save_figure(figure_of(found), *snakemake.output.lineage)
