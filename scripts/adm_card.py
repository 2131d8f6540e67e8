from segcert.io.atomic import atomic_file
from segcert.provenance.recording import recorded
from segcert.report.model_card import adm_card

with recorded(snakemake):
    card = adm_card(snakemake.params.folder)
    with atomic_file(snakemake.output[0]) as path:
        path.write_text(card, encoding="utf-8")
