from segcert.audit.audit import audit, with_replay
from segcert.audit.page import write_audit
from segcert.audit.text import audit_in_words
from segcert.provenance.lineage import LineageError

try:
    done = audit(snakemake.params.run, checks=with_replay(snakemake.config["replay"]))
except LineageError as error:
    raise SystemExit(f"segcert: {error}") from None
page = write_audit(done)
print(audit_in_words(done), f"The page: {page}", sep="\n")
if not done.passed:
    raise SystemExit(1)
