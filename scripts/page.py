from pathlib import Path

import pandas as pd

from segcert.provenance.records import read_record, recorded
from segcert.reporting.costs import with_seconds
from segcert.reporting.data_summary import read_manifests, read_summary
from segcert.reporting.page import artifact_digests, render_page

with recorded(snakemake):
    seconds = pd.concat([pd.read_csv(path) for path in snakemake.input.seconds], ignore_index=True)
    render_page(
        snakemake.output[0],
        run=snakemake.params.configuration["run"],
        table=pd.read_csv(snakemake.input.main),
        classes=pd.read_csv(snakemake.input.classes),
        datasets=[read_summary(path) for path in snakemake.input.summaries],
        manifests=read_manifests(snakemake.input.manifests),
        configuration=snakemake.params.configuration,
        measurements=pd.read_csv(snakemake.input.measurements, keep_default_na=False, na_values=[""]),
        attacks=pd.read_csv(snakemake.input.attacks),
        pairings=pd.read_csv(snakemake.input.pairings),
        denoisers=pd.read_csv(snakemake.input.denoisers),
        costs=with_seconds(pd.read_csv(snakemake.input.costs), seconds),
        curves=snakemake.input.curves,
        galleries={
            picture: Path(caption).read_text().strip()
            for picture, caption in zip(snakemake.input.pictures, snakemake.input.captions, strict=True)
        },
        digests=artifact_digests(snakemake.input.artifacts),
        records=[read_record(path) for path in snakemake.params.recorded],
    )
