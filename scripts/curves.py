import pandas as pd

from segcert.provenance.records import recorded
from segcert.reporting.curves import certified_dice_figure
from segcert.reporting.style import save_figure

with recorded(snakemake):
    save_figure(certified_dice_figure(pd.read_csv(snakemake.input[0])), *snakemake.output)
