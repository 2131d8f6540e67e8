from segcert.data.catalogue import dataset
from segcert.data.fetch import fetch
from segcert.provenance.records import recorded

with recorded(snakemake):
    fetch(dataset(snakemake.wildcards.dataset), snakemake.params.folder, mirror=snakemake.config["mirror"])
