import json
from pathlib import Path

import pandas as pd

from segcert.provenance.digests import file_digest
from segcert.provenance.recording import recorded
from segcert.provenance.records import read_record
from segcert.report.data_summary import read_manifests, read_summary
from segcert.report.page import render_page
from segcert.results.tables import read_table

with recorded(snakemake):
    files, params = snakemake.input, snakemake.params
    render_page(
        snakemake.output[0],
        configuration=params.configuration,
        tables={Path(path).stem: path for path in files.tables},
        downloads=[*files.tables, *files.latex],
        datasets=[read_summary(path) for path in files.summaries],
        manifests=read_manifests(files.manifests),
        curves=files.curves,
        typical=files.typical_facts,
        typical_images=files.typical,
        galleries={
            picture: Path(caption).read_text().strip()
            for picture, caption in zip(files.pictures, files.captions, strict=True)
        },
        viewer=dict(zip(map(tuple, params.viewer), files.viewer, strict=True)),
        seconds=pd.concat(map(read_table, files.seconds)),
        checks=json.loads(Path(files.checks).read_text()),
        digests={path: file_digest(path) for path in [*files.artifacts, files.certificates]},
        run_records=[read_record(path) for path in params.recorded],
        collected=read_record(files.certificates),
    )
