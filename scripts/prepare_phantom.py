from segcert.data.phantom import find_phantoms
from segcert.data.prepare import Form, prepare
from segcert.data.sets.phantom import DATASET
from segcert.provenance.recording import recorded

with recorded(snakemake) as found:
    form = Form(**snakemake.params.form)
    phantoms = find_phantoms(snakemake.params.counts, form.image_size)
    found["holds"] = prepare(
        DATASET, phantoms, snakemake.params.folder, form, workers=snakemake.threads, **snakemake.params.choice
    )
