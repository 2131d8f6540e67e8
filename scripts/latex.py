from segcert.provenance.records import recorded
from segcert.reporting.latex import write_latex
from segcert.reporting.latex_tables import latex_tables
from segcert.reporting.tables import read_table

with recorded(snakemake):
    tables = {name: read_table(path) for name, path in snakemake.input.items()}
    for name, output in snakemake.output.items():
        floats = latex_tables(name, tables[name], tables["main"], snakemake.params.titles)
        write_latex(output, floats, f"segcert: the numbers of tables/{name}.csv, rounded.")
