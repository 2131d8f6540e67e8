import pandas as pd

from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded

with recorded(snakemake):
    for kind in ("metrics", "intervals", "budget", "radii", "attacks"):
        tables = [pd.read_parquet(path) for path in snakemake.input[kind]]
        rows = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
        with atomic_file(snakemake.output[kind]) as path:
            rows.to_parquet(path, index=False)
