from pathlib import Path

import pandas as pd

from segcert.certification.budget import budget_rows
from segcert.certification.certificate import certify
from segcert.certification.evaluate import interval_rows, metric_rows, read_votes
from segcert.certification.radii import radius_levels, radius_rows, save_radii, tau_grid
from segcert.data.loading import PreparedDataset
from segcert.progress import track
from segcert.provenance.arrays import StoredArrays, save_arrays
from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded

with recorded(snakemake):
    dataset, settings = PreparedDataset(Path(snakemake.input.index)), snakemake.params.settings
    tau, alpha, taus = settings["tau"], settings["alpha"], tau_grid(settings["tau"])
    drawn = read_votes(dataset, snakemake.input.votes)
    certificates = {image: certify(votes, **settings) for image, votes in track(drawn.items(), "certifying")}
    about = {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")}
    with StoredArrays(snakemake.input.predictions) as predictions:
        rows = metric_rows(dataset, predictions, certificates, about)
        intervals = interval_rows(
            dataset,
            drawn,
            predictions,
            about,
            measurements=snakemake.params.measurements,
            thresholds=snakemake.params.thresholds,
            tau=tau,
            alpha=alpha,
        )
    sigma = next(iter(drawn.values())).sigma
    maps = {image: radius_levels(votes, taus, alpha, settings["method"]) for image, votes in drawn.items()}
    radii = radius_rows(dataset, maps, about, taus=taus, sigma=sigma, alpha=alpha)
    budget = budget_rows(dataset, drawn, about, settings=settings)
    save_arrays(snakemake.output.labels, {image: certificate.labels for image, certificate in certificates.items()})
    save_radii(snakemake.output.maps, maps, taus, sigma)
    for kind, table in (("metrics", rows), ("intervals", intervals), ("budget", budget), ("radii", radii)):
        with atomic_file(snakemake.output[kind]) as path:
            pd.DataFrame(table).to_parquet(path, index=False)
