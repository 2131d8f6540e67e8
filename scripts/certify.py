from pathlib import Path

from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.provenance.recording import recorded
from segcert.results.certificate_files import write_certificates

with recorded(snakemake):
    files, params = snakemake.input, snakemake.params
    dataset = PreparedDataset(Path(files.index))
    with StoredArrays(files.predictions) as predictions:
        for number in range(len(snakemake.output.labels)):  # one iteration per noise level
            write_certificates(
                dataset,
                files.votes[number * params.shards : (number + 1) * params.shards],
                predictions,
                {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")},
                {kind: paths[number] for kind, paths in snakemake.output.items()},
                settings=params.settings,
                measurements=params.measurements,
                thresholds=params.thresholds,
            )
