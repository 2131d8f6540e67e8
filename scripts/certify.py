from pathlib import Path

from segcert.data.dataset import PreparedDataset
from segcert.io.arrays import StoredArrays
from segcert.provenance.ledger import Ledger, record_plans
from segcert.provenance.recording import recorded
from segcert.results.certificate_files import write_certificates

with recorded(snakemake) as found:
    files, params = snakemake.input, snakemake.params
    dataset = PreparedDataset(Path(files.index))
    plans = {}  # maps each image to its decisions
    with StoredArrays(files.predictions) as predictions:
        for number in range(len(snakemake.output.labels)):  # one iteration per noise level
            decided = write_certificates(
                dataset,
                files.votes[number * params.shards : (number + 1) * params.shards],
                predictions,
                {key: snakemake.wildcards[key] for key in ("model", "regime", "denoiser")},
                {kind: paths[number] for kind, paths in snakemake.output.items()},
                settings=params.settings,
                measurements=params.measurements,
                thresholds=params.thresholds,
            )
            for image, settings in decided.items():
                plans.setdefault(image, []).append(settings)
    found["decisions"] = record_plans(Ledger.of_store(params.store), plans.values())
