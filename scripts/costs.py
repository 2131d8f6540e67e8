import pandas as pd

from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded
from segcert.reporting.costs import cost_figure, cost_table
from segcert.reporting.layout import by_dataset, save_for_page_and_paper
from segcert.reporting.tables import read_table

with recorded(snakemake):
    costs = pd.concat(map(read_table, snakemake.input.costs), ignore_index=True)
    table = cost_table(read_table(snakemake.input.main), costs)
    with atomic_file(snakemake.output.table) as path:
        table.to_csv(path, index=False)
    save_for_page_and_paper(cost_figure, table, by_dataset(table), snakemake.output.figure)
