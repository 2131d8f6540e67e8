from segcert.provenance.dvc import add_to_dvc
from segcert.provenance.snakemake_metadata import pack_trail
from segcert.provenance.storage import rename, without_bucket

companions = rename(snakemake)
companions.unpack(snakemake.input)
if "results" in snakemake.params.folders:  # where the trail lies
    if companions.copies:
        pack_trail(translate=without_bucket(snakemake.config["bucket"], str(companions.copies)))
    else:
        pack_trail()
add_to_dvc(snakemake.params.folders)
