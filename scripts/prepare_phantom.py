from segcert.data.phantom import phantoms
from segcert.data.prepare import prepare
from segcert.provenance.records import recorded

with recorded(snakemake):
    samples = phantoms(snakemake.params.counts, snakemake.params.image_size)
    prepare("phantom", samples, snakemake.params.folder, snakemake.params.image_size, lambda sample: sample.group)
