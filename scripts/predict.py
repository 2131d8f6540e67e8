from segcert.networks.runtime import device_name, set_up_torch
from segcert.provenance.recording import recorded
from segcert.smoothing.examples import predict_clean

with recorded(snakemake) as found:
    device = set_up_torch(snakemake.config["device"], snakemake.threads)
    found["device"] = device_name(device)
    predict_clean(
        snakemake.input.index,
        snakemake.params.segmenter,
        snakemake.output[0],
        test_images=snakemake.params.test_images,
        pool=snakemake.params.pool,
        device=device,
    )
