import pandas as pd

from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded
from segcert.reporting.tables import class_table, main_table

with recorded(snakemake):
    rows = pd.read_parquet(snakemake.input[0])
    for summarise, output in ((main_table, snakemake.output.main), (class_table, snakemake.output.classes)):
        with atomic_file(output) as path:
            summarise(rows, snakemake.params.resamples).to_csv(path, index=False)
