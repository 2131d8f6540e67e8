from segcert.provenance.recording import recorded
from segcert.report.data_page import render_data_page
from segcert.report.data_summary import read_manifests, read_summary

with recorded(snakemake):
    render_data_page(
        snakemake.output[0],
        run=snakemake.params.run,
        summaries=[read_summary(path) for path in snakemake.input.summaries],
        manifests=read_manifests(snakemake.input.manifests),
        contacts=snakemake.input.contacts,
        intensities=snakemake.input.intensities,
        areas=snakemake.input.areas,
    )
