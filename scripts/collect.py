from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.results.kinds import KINDS, read_rows

with recorded(snakemake):
    for kind in KINDS:
        with atomic_file(snakemake.output[kind]) as path:
            read_rows(snakemake.input[kind]).to_parquet(path, index=False)
