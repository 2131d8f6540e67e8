import pandas as pd

from segcert.io.atomic import atomic_file
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.network_costs import PAIRING, Pairing, measure_costs

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    rows = measure_costs(
        snakemake.input.index,
        {tuple(names): Pairing(*folders) for names, folders in snakemake.params.pairings},
        denoising_steps=snakemake.params.denoising_steps,
        settings=snakemake.params.settings,
        pool=snakemake.params.pool,
        device=device,
    )
    table = pd.DataFrame(rows)
    seconds = table[[*PAIRING, "seconds"]]
    for each, output in ((table.drop(columns="seconds"), "costs"), (seconds, "seconds")):
        with atomic_file(snakemake.output[output]) as path:
            each.to_csv(path, index=False)
