import pandas as pd

from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded

with recorded(snakemake):
    for kind in ("metrics", "intervals"):
        rows = pd.concat([pd.read_parquet(path) for path in snakemake.input[kind]], ignore_index=True)
        with atomic_file(snakemake.output[kind]) as path:
            rows.to_parquet(path, index=False)
