from pathlib import Path

from segcert.data.catalogue import dataset
from segcert.data.fetch import fetch
from segcert.data.manifest import read_manifest
from segcert.provenance.recording import recorded

with recorded(snakemake) as found:
    folder = snakemake.params.folder
    fetch(dataset(snakemake.wildcards.dataset), folder, mirror=snakemake.config["mirror"])
    found["holds"] = read_manifest(Path(folder)).digests(folder)
