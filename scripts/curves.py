import pandas as pd

from segcert.provenance.records import recorded
from segcert.reporting.curves import budget_figure, certified_dice_figure
from segcert.reporting.style import save_figure

with recorded(snakemake):
    dice, budget = snakemake.output.dice, snakemake.output.budget
    save_figure(certified_dice_figure(pd.read_csv(snakemake.input.main)), *dice)
    save_figure(budget_figure(pd.read_csv(snakemake.input.budget)), *budget)
