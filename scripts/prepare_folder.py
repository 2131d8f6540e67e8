from pathlib import Path

from segcert.data.own_folder import OwnFolder
from segcert.data.prepare import Form, prepare
from segcert.data.raw import read_manifest
from segcert.provenance.records import recorded

with recorded(snakemake) as found:
    own = OwnFolder(snakemake.wildcards.dataset, snakemake.params.settings)
    found["holds"] = prepare(
        own.about,
        own.find(read_manifest(Path(snakemake.params.raw)).files),
        snakemake.params.folder,
        Form(**snakemake.params.form),
        workers=snakemake.threads,
        **snakemake.params.choice,
    )
