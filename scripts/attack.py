from pathlib import Path

import pandas as pd

from segcert.data.dataset import PreparedDataset
from segcert.io.atomic import atomic_file
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.attacked_images import attack_rows
from segcert.smoothing.shard import Pairing

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    params, files = snakemake.params, snakemake.input
    shards = len(files.votes) // len(files.certificates)
    votes = [files.votes[number * shards : (number + 1) * shards] for number in range(len(files.certificates))]
    rows = attack_rows(
        PreparedDataset(Path(files.index)),
        Pairing(params.segmenter, params.denoiser, params.denoising_steps),
        dict(zip(params.sigmas, zip(files.certificates, votes, strict=True), strict=True)),
        {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")},
        settings=params.settings,
        tau=params.tau,
        method=params.method,
        device=device,
        batch_size=params.batch_size,
        precision=params.precision,
        noise=params.noise,
        pool=params.pool,
        seed=params.seed,
    )
    with atomic_file(snakemake.output[0]) as path:
        pd.DataFrame(rows).to_parquet(path, index=False)
