import functools
from pathlib import Path

from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record
from segcert.report.latex_tables import latex_tables, write_latex
from segcert.results.kinds import KINDS, read_rows
from segcert.results.tables import TABLES, make_table, read_table, read_tables, write_table

with recorded(snakemake):
    files, params, output = snakemake.input, snakemake.params, snakemake.output
    tables = {"scores": files.scores, "costs": files.costs, "main": [output.main]}

    @functools.cache
    def read(source):
        return read_rows([files[source]]) if source in KINDS else read_tables(tables[source])

    for name in TABLES:
        write_table(make_table(name, read), output[name])
    collected = read_record(files.metrics)
    # Read the written tables again to make the LaTeX, because an audit recomputes the LaTeX from these files.
    for path in output.latex:
        name = Path(path).stem
        floats = latex_tables(name, read_table(output[name]), read_table(output.main), params.titles, collected)
        write_latex(path, floats, f"segcert: the numbers of tables/{name}.csv, rounded.")
