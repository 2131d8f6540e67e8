"""Captions for the figures and tables of a report, shared by its pages, its LaTeX files and Snakemake's report.

The first sentence of a caption describes the figure or table, and the second explains how to read it. Captions are
plain text. Rules import this module during planning, so it imports no slow libraries. The functions that draw the
figures are in segcert.report.figures.FIGURES.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from segcert.certification.methods import METHODS
from segcert.results.table_columns import METRICS, Column


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a report."""

    caption: str
    table: str = ""  # the figure is drawn from tables/<table>.csv; empty if it has a different source
    place: str = "Certificates"  # subcategory in Snakemake's report, shared with the table of the same name
    section: str = ""  # page section that shows its figures one below the other
    printed: bool = True  # True if the rule `curves` also draws the figure as a PDF, one journal column wide

    @property
    def alt(self) -> str:
        """Alternative text: the first sentence of the caption, and the file that contains the numbers."""
        shown = self.caption.partition(". ")[0]
        return f"{shown}; the numbers are in tables/{self.table}.csv." if self.table else f"{shown}."


FIGURES = {
    "headline": Figure(
        "Certified Dice of the first model at each noise level sigma, by data set. Error bars are 95% bootstrap "
        "intervals over images.",
        table="main",
        printed=False,
    ),
    "certified_dice": Figure(
        "Certified Dice and share of abstaining pixels at each noise level sigma (pixels in [0, 1]). Error bars are "
        "95% bootstrap intervals over images; a larger sigma means a larger certified radius.",
        table="main",
        section="curves",
    ),
    "radius": Figure(
        "Certified Dice and abstention against the certified radius (l2 norm, pixels in [0, 1]; upper axis: RMS change "
        "in gray levels). Each curve covers all pixels and radii of an image jointly, so it lies slightly below the "
        "certificate for a single radius. The radii are certified by the run's method or, if that method certifies no "
        "radii, by segcertify. The column method of tables/radii.csv names the method used.",
        table="radii",
        section="curves",
    ),
    "area": Figure(
        "Forecast share of certified pixels for different numbers of draws, by method. The forecast is based on this "
        "run's votes and is not a certificate; a method with a weaker guarantee may certify individual pixels wrongly.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "budget": Figure(
        "Forecast certified Dice for different numbers of draws, with this run's method. The forecast is based on this "
        "run's votes and is not a certificate.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "costs": Figure(
        "Certified Dice against the arithmetic operations for all draws of one image. Points further left are cheaper; "
        "a denoiser multiplies the cost of each draw.",
        table="costs",
        place="Costs",
    ),
    "denoisers": Figure(
        "PSNR and SSIM of denoised validation images at each noise level sigma, compared with non-local means and "
        "wavelet thresholding. Both scores measure how well an image is restored, not how well it is segmented.",
        table="denoisers",
        place="Networks",
    ),
    "training": Figure(
        "Training loss and validation score of every segmenter and denoiser at each optimiser step. Dots mark the "
        "steps whose weights were kept. The numbers are in history.csv, next to each network's weights.",
        place="Networks",
    ),
    "stages": Figure(
        "Total wall time of each rule's jobs, and the peak memory of its largest job. The numbers come from "
        "Snakemake's benchmark files or, for jobs that ran elsewhere, from their run records, and vary from run to "
        "run.",
        table="stages",
        place="Costs",
        printed=False,
    ),
    "lineage": Figure(
        "Lineage of this run, from the data to the tables: each box is a rule with the numbers of its jobs and files. "
        "Arrows lead from each rule to the rules that read its files.",
        place="Provenance",
        printed=False,
    ),
}
PRINTED = [name for name, figure in FIGURES.items() if figure.printed]

INTERVALS = "Brackets contain 95% bootstrap intervals over images."
TABLES = {
    "main": "Dice, certified Dice and abstention of each model: means over test images, and over classes within an "
    f"image. {INTERVALS}",
    "classes": f"Results for each structure: means over test images. {INTERVALS} Areas are in pixels; the first area "
    "column is for the ground truth.",
    "pairings": "Certified Dice of each pairing of training regime and denoiser, minus the baseline's: "
    "means over the same images, and over classes within an image. Brackets contain 95% intervals from a "
    "paired bootstrap over images. The baseline is the segmenter trained with noise, without a denoiser. If the run "
    "lacks this segmenter, the baseline column names the segmenter used instead.",
    "measurements": "Certified intervals of values measured on the mask, such as areas, by median smoothing: means "
    "over test images. Each interval bounds the median over noisy copies under any change within the radius, not a "
    "single prediction. All measurements of an image share the error probability alpha, which adds to the error "
    "probability of its pixels. Clean is the value measured on the prediction without noise; width is the width of the "
    "interval relative to the median. Decided counts the images whose interval lies above the threshold, lies below "
    "it, or contains it. An interval is unbounded if at least one end is infinite.",
    "attacks": "Certified pixels of the attacked images, under projected gradient descent on the smoothed model at "
    "multiples of the certified radius. Up to a factor of 1, a refuted pixel is an error that alpha must cover; "
    "beyond the radius, nothing is promised. A changed pixel has lost its majority among fresh noisy copies, which can "
    "happen by chance if the vote is close. A refuted pixel has lost its majority with statistical significance "
    "(binomial test, family-wise error 0.001).",
    "denoisers": "PSNR and SSIM of noisy and denoised validation images, clipped to [0, 1]: means over images. Higher "
    "values mean better restored images; ddpm is the denoiser trained for this run.",
    "budget": "Forecast certified Dice, abstention and certified area for different numbers of draws, by method. The "
    "forecast is based on this run's votes and is not a certificate.",
    "radii": "Metrics of the segmentation certified at each radius or beyond (l2 norm, pixels in [0, 1], or RMS change "
    "in gray levels). One alpha covers all pixels and radii of an image, so slightly fewer pixels are certified than "
    f"with a certificate for a single radius. {INTERVALS}",
    "claims": "Claims of the paper and of this project, tested on this run: mean differences on the same images, with "
    "95% intervals from a paired bootstrap. A claim holds if its entire interval lies on the claimed side of zero, "
    "and does not hold if it lies on the opposite side. Otherwise, it cannot be said. A claim is not tested "
    "if the run lacks a model or noise level that the claim needs. Intervals are not corrected for multiple tests.",
    "costs": "Certified Dice and its cost: network evaluations per draw, and GFLOP per draw and per image of n0 + n "
    f"draws. {INTERVALS} One GFLOP is 10^9 operations in convolutions and matrix products.",
    "stages": "Jobs, time and peak memory by rule, including the time for loading libraries. Jobs run in parallel, so "
    "their total time exceeds the elapsed time. The numbers come from Snakemake's benchmark files or, for jobs "
    "that ran elsewhere, from their run records.",
}
# Sentences added to a caption unless certified pixels may be wrong.
STRICT = {
    "classes": "The certified area bounds the structure's area in the smoothed model's segmentation: the lower bound "
    "counts the certified pixels, and the upper bound adds all abstained pixels. It differs from the certified "
    "interval of an area measurement, which bounds the median area over noisy copies.",
    "measurements": "These intervals differ from the certified area in the class table, which bounds the smoothed "
    "model's segmentation pixel by pixel.",
}
ADDED = ("captions", "certified")  # keys that `for_captions` returns


def table_caption(name: str, weaker: bool) -> str:
    """Return the caption of a table. `weaker` is True if the certificates have a weaker guarantee."""
    return TABLES[name] if weaker or name not in STRICT else f"{TABLES[name]} {STRICT[name]}"


def definitions(columns: Iterable[Column]) -> str:
    """Return sentences that define the metrics of the main table, one for each column with a `meaning`."""
    sentences = []
    for column in columns:
        if column.meaning:
            sentences.append(f"{column.title[0].upper()}{column.title[1:]}: {column.meaning}.")
    return " ".join(sentences)


def for_captions(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that reports/captions/*.rst read in addition to the run's configuration, by key (ADDED).

    `settings` is the run's configuration. The values are reStructuredText: the captions by name in `captions.figures`
    and `captions.tables`, the definitions of the metrics in `captions.definitions`, and the certificate settings in
    `certified`.
    """
    method = METHODS[settings["method"]]
    certified = "Run ``{run}``: method ``{method}``".format(**settings)
    if method.takes_k:
        certified += f", k = {settings['kfwer_k']}"
    certified += ", {n0} + {n} noisy copies of each image, tau = {tau}, alpha = {alpha}.".format(**settings)
    if method.weaker:
        certified += " **A weaker guarantee than the paper's: individual certified pixels may be wrong.**"
    shown = [column for column in METRICS if not (method.weaker and column.strict)]
    captions = {
        "figures": {name: figure.caption for name, figure in FIGURES.items()},
        "tables": {name: table_caption(name, method.weaker) for name in TABLES},
        "definitions": definitions(shown),
    }
    return {"captions": captions, "certified": certified}
