from segcert.data.catalogue import module_of
from segcert.data.manifest import open_raw
from segcert.data.prepare import Form, prepare
from segcert.provenance.recording import recorded

with recorded(snakemake) as found, open_raw(snakemake.params.raw) as files:
    release = module_of(snakemake.wildcards.dataset)
    found["holds"] = prepare(
        release.DATASET,
        release.LAYOUT.find(files, release.DATASET),
        snakemake.params.folder,
        Form(**snakemake.params.form),
        workers=snakemake.threads,
        **snakemake.params.choice,
    )
