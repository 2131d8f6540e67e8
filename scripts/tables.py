import pandas as pd

from segcert.provenance.atomic import atomic_file
from segcert.provenance.records import recorded
from segcert.reporting.claims import claim_table
from segcert.reporting.tables import (
    attack_table,
    class_table,
    denoiser_table,
    main_table,
    measurement_table,
    pairing_table,
    radius_table,
    read_table,
)

with recorded(snakemake):
    metrics, intervals, attacks, budget, radii = (
        pd.read_parquet(snakemake.input[kind]) for kind in ("metrics", "intervals", "attacks", "budget", "radii")
    )
    resamples = snakemake.params.resamples
    tables = {
        "main": main_table(metrics, resamples),
        "classes": class_table(metrics, resamples),
        "pairings": pairing_table(metrics, resamples),
        "measurements": measurement_table(intervals),
        "attacks": attack_table(attacks),
        "denoisers": denoiser_table([read_table(path) for path in snakemake.input.scores]),
        "budget": budget,
        "radii": radius_table(radii, resamples),
        "claims": claim_table(metrics, resamples),
    }
    for name, table in tables.items():
        with atomic_file(snakemake.output[name]) as path:
            table.to_csv(path, index=False)
