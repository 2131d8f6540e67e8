from pathlib import Path

from segcert.data.dataset import PreparedDataset
from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.looks import SamplingAtLooks
from segcert.smoothing.shard import sample_shard
from segcert.smoothing.store import BlockStore

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    params = snakemake.params
    dataset = PreparedDataset(Path(snakemake.input.index))
    shard = int(snakemake.wildcards.shard)
    sample_shard(
        dataset,
        dataset.names("test", params.settings["test_images"])[shard :: params.shards],
        SamplingAtLooks.from_params(dict(params.items()), float(snakemake.wildcards.sigma)),
        snakemake.output[0],
        device=device,
        store=BlockStore(params.store),
    )
