from pathlib import Path

from segcert.data.dataset import PreparedDataset
from segcert.provenance.recording import recorded
from segcert.report.data_figures import area_figure, contact_sheet, intensity_figure
from segcert.report.data_summary import summarise, write_summary
from segcert.report.style import save_figure

with recorded(snakemake):
    dataset = PreparedDataset(Path(snakemake.input[0]))
    summary = summarise(dataset)
    write_summary(summary, snakemake.output.summary)
    save_figure(contact_sheet(dataset, summary.alignment.doubtful), snakemake.output.contact)
    save_figure(intensity_figure(summary), snakemake.output.intensity)
    save_figure(area_figure(summary), snakemake.output.areas)
