from pathlib import Path

import pandas as pd

from segcert.data.dataset import PreparedDataset
from segcert.io.atomic import atomic_file
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.network_costs import PAIRING, measure_costs
from segcert.smoothing.shard import Pairing

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    params = snakemake.params
    rows = measure_costs(
        PreparedDataset(Path(snakemake.input.index)),
        {tuple(names): Pairing(*folders, params.denoising_steps) for names, folders in params.pairings},
        settings=params.settings,
        pool=params.pool,
        device=device,
    )
    table = pd.DataFrame(rows)
    seconds = table[[*PAIRING, "seconds"]]
    for each, output in ((table.drop(columns="seconds"), "costs"), (seconds, "seconds")):
        with atomic_file(snakemake.output[output]) as path:
            each.to_csv(path, index=False)
