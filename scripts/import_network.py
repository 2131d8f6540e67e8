from segcert.networks.pretrained import import_pretrained
from segcert.provenance.recording import recorded

with recorded(snakemake):
    import_pretrained(
        snakemake.input[0],
        snakemake.params.folder,
        **snakemake.params.network,
        classes=snakemake.params.classes,
        in_channels=snakemake.params.in_channels,
        image_size=snakemake.params.image_size,
        pool=snakemake.params.pool,
    )
