from segcert.exchange.crate import write_crate
from segcert.exchange.crate_contents import CrateError
from segcert.provenance.lineage import LineageError

try:
    folder = write_crate(snakemake.params.run, software=snakemake.params.software)
    print(f"The crate of the run {snakemake.params.run}: {folder}")
except (CrateError, LineageError) as error:
    raise SystemExit(f"segcert: {error}") from None
