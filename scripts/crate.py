from segcert.audit.crate import write_crate
from segcert.audit.crate_contents import CrateError
from segcert.audit.lineage import LineageError

try:
    print(f"The crate of the run {snakemake.params.run}: {write_crate(snakemake.params.run)}")
except (CrateError, LineageError) as error:
    raise SystemExit(f"segcert: {error}") from None
