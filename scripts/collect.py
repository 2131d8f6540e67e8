import pandas as pd

from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded

with recorded(snakemake):
    rows = pd.concat([pd.read_parquet(path) for path in snakemake.input], ignore_index=True)
    with atomic_file(snakemake.output[0]) as path:
        rows.to_parquet(path, index=False)
