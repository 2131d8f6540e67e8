from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record
from segcert.report.style import save_figure
from segcert.report.timings import read_jobs, stage_figure, stage_table

with recorded(snakemake):
    records = [read_record(artifact) for artifact in snakemake.params.recorded]
    table = stage_table(read_jobs(records, snakemake.params.benchmarks))
    with atomic_file(snakemake.output.table) as path:
        table.to_csv(path, index=False)
    save_figure(stage_figure(table), *snakemake.output.figure)
