from segcert.audit.audit import CHECKS, audit
from segcert.audit.page import write_audit
from segcert.audit.text import audit_to_text
from segcert.provenance.lineage import LineageError

checks = CHECKS
if snakemake.config["replay"]:
    from segcert.audit.checks.replay import replay_check  # loads the networks

    checks = CHECKS | replay_check(snakemake.config["replay"])
try:
    done = audit(snakemake.params.run, checks=checks)
except LineageError as error:
    raise SystemExit(f"segcert: {error}") from None
page = write_audit(done)
print(audit_to_text(done, page))
if not done.passed:
    raise SystemExit(1)
