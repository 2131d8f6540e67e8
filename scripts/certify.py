import numpy as np
import pandas as pd

from segcert.certification.evaluate import certify_images, metric_rows
from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded

with recorded(snakemake):
    certificates = certify_images(
        snakemake.input.index,
        snakemake.input.votes,
        snakemake.output.labels,
        tau=snakemake.params.tau,
        alpha=snakemake.params.alpha,
        method=snakemake.params.method,
    )
    about = {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")}
    with np.load(snakemake.input.predictions) as predictions:
        rows = metric_rows(snakemake.input.index, predictions, certificates, about)
    with atomic_file(snakemake.output.metrics) as path:
        pd.DataFrame(rows).to_parquet(path, index=False)
