"""The figures of a report: which table each is drawn from, where it stands, its caption, and what it says in words.

Light, so that rules read it to plan; the functions that draw are in segcert.report.figures.FIGURES. The captions stand
on the page, and in Snakemake's own report by way of reports/captions/<name>.rst.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from segcert.certification.methods import METHODS


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a report."""

    caption: str
    alt: str  # for those who cannot see it
    table: str = ""  # that it is drawn from, tables/<table>.csv; empty for other sources
    place: str = "Certificates"  # in Snakemake's report: the subcategory, also of the table of the same name
    section: str = ""  # of the page, where that shows all of its figures below each other
    printed: bool = True  # drawn by the rule `curves`, for a column of a paper (PDF) too


FIGURES = {
    "headline": Figure(
        "Certified Dice of the first model against the noise level, by data set, with 95% bootstrap intervals over "
        "images.",
        "Certified Dice against sigma; the numbers are in tables/main.csv.",
        table="main",
        printed=False,
    ),
    "certified_dice": Figure(
        "Certified Dice and share of abstaining pixels against the noise level sigma (pixels in [0, 1]), with 95% "
        "bootstrap intervals over images. A larger sigma means a larger radius.",
        "Certified Dice and abstention against sigma; the numbers are in tables/main.csv.",
        table="main",
        section="curves",
    ),
    "radius": Figure(
        "Certified Dice and abstention against the radius (l2, pixels in [0, 1]; above: RMS change in gray levels): "
        "all pixels and all radii of an image at once, so that a curve lies a little below the certificate of a single "
        "radius. By the method of the run where it has radii, else by segcertify: the table radii says which.",
        "Certified Dice and abstention against the radius; the numbers are in tables/radii.csv.",
        table="radii",
        section="curves",
    ),
    "area": Figure(
        "Share of the pixels that other numbers of draws would certify, by method: a forecast from the votes at hand, "
        "no certificate. Methods with a weaker guarantee, under which single certified pixels may be wrong, are named.",
        "Share of certified pixels against the number of draws, by method; the numbers are in tables/budget.csv.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "budget": Figure(
        "Certified Dice that other numbers of draws would give: a forecast from the votes at hand, no certificate. The "
        "figure shows the method of the run.",
        "Certified Dice against the number of draws; the numbers are in tables/budget.csv.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "costs": Figure(
        "Certified Dice against the arithmetic that the draws of an image cost; a denoiser multiplies the cost of a "
        "draw.",
        "Certified Dice against GFLOP per image; the numbers are in tables/costs.csv.",
        table="costs",
        place="Costs",
    ),
    "denoisers": Figure(
        "PSNR and SSIM of denoised validation images against the noise level sigma, beside non-local means and wavelet "
        "thresholding. They say how well an image comes back, not how well it is segmented.",
        "PSNR and SSIM of denoised images against sigma; the numbers are in tables/denoisers.csv.",
        table="denoisers",
        place="Networks",
    ),
    "training": Figure(
        "Training loss and validation score of every segmenter and denoiser against the optimiser step; dots: the "
        "validations whose weights were kept.",
        "Training loss and validation score against the step; the numbers are in history.csv beside the weights.",
        place="Networks",
    ),
    "stages": Figure(
        "Wall time of all jobs of a rule, and the most memory that one of them took, from Snakemake's benchmark files; "
        "of jobs that ran elsewhere, from their run records. These differ from run to run.",
        "Seconds and peak memory by rule; the numbers are in tables/stages.csv.",
        table="stages",
        place="Costs",
        printed=False,
    ),
    "lineage": Figure(
        "How the run came about, from the data to the tables: its rules with their jobs and files, and which reads "
        "what another made.",
        "The rules of the run as boxes, with their jobs and files, and arrows from each to those that read its files.",
        place="Provenance",
        printed=False,
    ),
}
PRINTED = [name for name, figure in FIGURES.items() if figure.printed]
ADDED = ("captions", "certified")  # keys of `for_captions`


def for_captions(settings: Mapping[str, Any]) -> dict[str, Any]:
    """For reports/captions/*.rst, by key of the configuration: all captions, and how certificates were made.

    settings: keys of the configuration of a run. Both are reStructuredText.
    """
    method = METHODS[settings["method"]]
    certified = "Run ``{run}``: method ``{method}``".format(**settings)
    if method.takes_k:
        certified += f", k = {settings['kfwer_k']}"
    certified += ", {n0} + {n} noisy copies of each image, tau = {tau}, alpha = {alpha}.".format(**settings)
    if method.weaker:
        certified += " **A weaker guarantee than the paper's: single certified pixels may be wrong.**"
    return {"captions": {name: figure.caption for name, figure in FIGURES.items()}, "certified": certified}
