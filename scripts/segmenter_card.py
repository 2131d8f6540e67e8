from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.model_card import segmenter_card

with recorded(snakemake):
    params = snakemake.params
    card = segmenter_card(params.folder, snakemake.input.index, params.settings, params.tuning)
    with atomic_file(snakemake.output[0]) as path:
        path.write_text(card, encoding="utf-8")
