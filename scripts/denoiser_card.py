from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.model_card import denoiser_card

with recorded(snakemake):
    params = snakemake.params
    card = denoiser_card(params.folder, snakemake.input.indexes, params.settings, params.pool)
    with atomic_file(snakemake.output[0]) as path:
        path.write_text(card, encoding="utf-8")
