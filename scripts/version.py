from segcert.provenance.dvc import add_to_dvc
from segcert.provenance.snakemake_metadata import pack_metadata
from segcert.provenance.storage import rename, without_bucket

sidecars = rename(snakemake)
sidecars.unpack(snakemake.input)
if "results" in snakemake.params.folders:  # the folder that contains packed metadata
    if sidecars.copies:
        pack_metadata(translate=without_bucket(snakemake.config["bucket"], str(sidecars.copies)))
    else:
        pack_metadata()
add_to_dvc(snakemake.params.folders)
