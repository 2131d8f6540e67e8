import pandas as pd

from segcert.provenance.arrays import StoredArrays
from segcert.provenance.records import recorded
from segcert.reporting.viewer import write_viewer

with recorded(snakemake):
    files, params = snakemake.input, snakemake.params
    write_viewer(
        files.index,
        images=snakemake.output.images,
        noise=dict(zip(params.sigmas, snakemake.output.noise, strict=True)),
        maps=dict(zip(params.models, snakemake.output.maps, strict=True)),
        predictions={model: StoredArrays(path) for model, path in zip(params.models, files.predictions, strict=True)},
        pictures={key: StoredArrays(path) for key, path in zip(params.pictures, files.pictures, strict=True)},
        labels={key: StoredArrays(path) for key, path in zip(params.certificates, files.labels, strict=True)},
        levels={key: StoredArrays(path) for key, path in zip(params.certificates, files.levels, strict=True)},
        **{kind: pd.concat(map(pd.read_parquet, files[kind])) for kind in ("metrics", "intervals")},
        most=params.most,
    )
