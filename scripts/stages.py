from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import read_record, recorded
from segcert.reporting.stages import read_jobs, stage_figure, stage_table
from segcert.reporting.style import save_figure

with recorded(snakemake):
    records = [read_record(artifact) for artifact in snakemake.params.recorded]
    table = stage_table(read_jobs(records, snakemake.params.benchmarks))
    with atomic_file(snakemake.output.table) as path:
        table.to_csv(path, index=False)
    save_figure(stage_figure(table), *snakemake.output.figure)
