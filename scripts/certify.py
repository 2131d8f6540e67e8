from pathlib import Path

import numpy as np
import pandas as pd

from segcert.certification.budget import budget_rows
from segcert.certification.certificate import certify
from segcert.certification.evaluate import interval_rows, metric_rows, read_votes
from segcert.data.loading import PreparedDataset
from segcert.progress import track
from segcert.provenance.atomic import atomic_file, save_arrays
from segcert.provenance.records import recorded

with recorded(snakemake):
    dataset, settings = PreparedDataset(Path(snakemake.input.index)), snakemake.params.settings
    drawn = read_votes(dataset, snakemake.input.votes)
    certificates = {image: certify(votes, **settings) for image, votes in track(drawn.items(), "certifying")}
    about = {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")}
    with np.load(snakemake.input.predictions) as predictions:
        rows = metric_rows(dataset, predictions, certificates, about)
        intervals = interval_rows(
            dataset,
            drawn,
            predictions,
            about,
            measurements=snakemake.params.measurements,
            thresholds=snakemake.params.thresholds,
            tau=settings["tau"],
            alpha=settings["alpha"],
        )
    budget = budget_rows(dataset, drawn, about, settings=settings)
    save_arrays(snakemake.output.labels, {image: certificate.labels for image, certificate in certificates.items()})
    for kind, table in (("metrics", rows), ("intervals", intervals), ("budget", budget)):
        with atomic_file(snakemake.output[kind]) as path:
            pd.DataFrame(table).to_parquet(path, index=False)
