from pathlib import Path

from segcert.data.manifest import read_manifest
from segcert.data.prepare import Form, prepare
from segcert.data.user_data import OwnFolder
from segcert.provenance.recording import recorded

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
