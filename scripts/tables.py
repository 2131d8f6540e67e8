from pathlib import Path

import pandas as pd

from segcert.provenance.recording import recorded
from segcert.report.latex import write_latex
from segcert.report.latex_tables import latex_tables
from segcert.results.claims import claim_table
from segcert.results.tables import (
    attack_table,
    class_table,
    cost_table,
    denoiser_table,
    main_table,
    measurement_table,
    pairing_table,
    radius_table,
    read_table,
    write_table,
)

with recorded(snakemake):
    files, params, output = snakemake.input, snakemake.params, snakemake.output
    metrics, intervals, attacks, budget, radii = (
        pd.read_parquet(files[kind]) for kind in ("metrics", "intervals", "attacks", "budget", "radii")
    )
    tables = {
        "main": main_table(metrics, params.resamples),
        "classes": class_table(metrics, params.resamples),
        "pairings": pairing_table(metrics, params.resamples),
        "measurements": measurement_table(intervals),
        "attacks": attack_table(attacks),
        "denoisers": denoiser_table([read_table(path) for path in files.scores]),
        "budget": budget,
        "radii": radius_table(radii, params.resamples),
        "claims": claim_table(metrics, params.resamples),
    }
    for name, table in tables.items():
        write_table(table, output[name])
    # What follows is made from the tables as they are written, as an audit makes it again.
    costs = pd.concat(map(read_table, files.costs), ignore_index=True)
    write_table(cost_table(read_table(output.main), costs), output.costs)
    for path in output.latex:
        name = Path(path).stem
        floats = latex_tables(name, read_table(output[name]), read_table(output.main), params.titles)
        write_latex(path, floats, f"segcert: the numbers of tables/{name}.csv, rounded.")
