"""Captions of the figures and tables in a report. The pages, the LaTeX files and Snakemake's report share them.

The first sentence of a caption describes the figure or table, and further sentences explain how to read it. Captions
are plain text. Snakemake rules import this module during planning, so it imports no slow libraries. The functions that
draw the figures are in segcert.report.figures.FIGURES.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from segcert.certification.methods import METHODS
from segcert.report.format import draws
from segcert.results.table_columns import METRICS, Column


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure in a report."""

    caption: str
    table: str = ""  # the figure is drawn from tables/<table>.csv; empty for other figures
    place: str = "Certificates"  # subcategory in Snakemake's report, also of the table with the same name
    section: str = ""  # page section in which figures are shown one below the other
    printed: bool = True  # True if the rule `curves` also draws a PDF with the width of a journal column

    @property
    def alt(self) -> str:
        """The alternative text: the first sentence of the caption, and the file that contains the numbers."""
        shown = self.caption.partition(". ")[0]
        return f"{shown}; the numbers are in tables/{self.table}.csv." if self.table else f"{shown}."


FIGURES = {
    "headline": Figure(
        "Certified Dice of the first model at each noise level sigma, by data set. Error bars are 95% "
        "confidence intervals. Thin lines show the Dice of the vote, which is not certified.",
        table="main",
        printed=False,
    ),
    "certified_dice": Figure(
        "Certified Dice and share of abstaining pixels at each noise level sigma (pixel values in [0, 1]). Error bars "
        "are 95% confidence intervals. Thin lines show the Dice of the vote, which is not certified. A larger sigma "
        "means a larger certified radius.",
        table="main",
        section="curves",
    ),
    "radius": Figure(
        "Certified Dice and abstention against the certified radius (l2 norm, pixel values in [0, 1]; upper axis: RMS "
        "change in gray levels). One alpha covers all pixels and radii of an image, so slightly fewer pixels are "
        "certified than by a certificate for a single radius. The radii are certified by the run's method or, if it "
        "certifies no radii, by segcertify. tables/radii.csv names the method used.",
        table="radii",
        section="curves",
    ),
    "area": Figure(
        "Forecast of the share of certified pixels for different numbers of draws, by method. The forecast is based on "
        "this run's votes and is not a certificate. Methods with a weaker guarantee may certify individual pixels "
        "wrongly.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "budget": Figure(
        "Forecast of certified Dice for different numbers of draws, with this run's method. The forecast is based on "
        "this run's votes and is not a certificate.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "costs": Figure(
        "Certified Dice against the number of arithmetic operations for all draws of one image. Points further to the "
        "left are cheaper. A denoiser makes each draw more expensive.",
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
        "Total wall time of the jobs of each Snakemake rule, and peak memory of its largest job. The numbers come from "
        "Snakemake's benchmark files or, for jobs that ran elsewhere, from their run records. They vary from run to "
        "run.",
        table="stages",
        place="Costs",
        printed=False,
    ),
    "lineage": Figure(
        "Lineage of this run, from the data to the tables. Each box is a Snakemake rule, with its numbers of jobs and "
        "files. Arrows lead from each rule to the rules that read its files.",
        place="Provenance",
        printed=False,
    ),
}
PRINTED = [name for name, figure in FIGURES.items() if figure.printed]

INTERVALS = "Brackets contain 95% confidence intervals of the means."
TABLES = {
    "main": "Dice, Dice of the vote, certified Dice and abstention of each model. Values are means over test images "
    f"and over the classes in each image. {INTERVALS}",
    "classes": f"Results for each structure: means over test images. {INTERVALS} Areas are in pixels. The first area "
    "column contains the area in the ground truth.",
    "pairings": "Certified Dice of each pairing of training regime and denoiser, minus that of the baseline on the "
    "same images. Values are means over images, and over the classes in each image. Brackets contain 95% confidence "
    "intervals of the mean differences. The baseline is the segmenter trained with noise, without a denoiser. If "
    "the run does not contain this segmenter, a different segmenter is the baseline, and the baseline column shows "
    "how it was trained.",
    "measurements": "Certified intervals, by median smoothing, of values measured on the segmentation, such as "
    "areas: means over test images. Each interval bounds the median of the value over noisy copies, for any "
    "perturbation within the radius. It does not bound the value of a single prediction. All measurements of an "
    "image share an error probability alpha, which is in addition to the alpha of its pixels. Clean: value for the "
    "prediction without noise. Width: width of the interval relative to the median. Decided: numbers of images "
    "whose interval is above the threshold, below the threshold, or contains the threshold. These numbers are "
    "followed by the numbers of decisions (above or below) that are right and wrong according to the ground truth. "
    "An interval is unbounded if at least one end is infinite, for example because a structure is absent from too "
    "many noisy copies.",
    "attacks": "Attacks on certified images at multiples of the certified radius. The attack is projected gradient "
    "descent on the smoothed model. It aims at the certified pixel with the fewest votes. Clean share: share of new "
    "noisy copies on which this pixel keeps its class. Share: share of attacked noisy copies on which the pixel "
    "keeps its class. Least share: the smallest share under the attack that the certificate allows. An image is "
    "refuted if the share is significantly smaller, which points to a wrong radius or noise level. If both are "
    "right, an image is refuted with a probability of at most 0.001, for all norms together. Strength: decrease of "
    "the share under the attack, in normal quantiles, relative to the decrease under a perfect attack on a "
    "half-space. Power: probability with which the test would have refuted a radius overstated by a factor of 1.5. "
    "The power is exact for a half-space with the measured clean share and strength. If the power is low, a "
    "certificate that is not refuted says little. The test cannot detect a radius that is too small, or errors at "
    "other pixels or in other images. Changed: number of certified pixels that keep their class on at most half of "
    "the attacked copies. If the vote at a pixel is close, this can happen by chance.",
    "denoisers": "PSNR and SSIM of noisy and denoised validation images, clipped to [0, 1]: means over images. Higher "
    "values mean better restored images. The method ddpm is the denoiser trained for this run.",
    "budget": "Forecasts of certified Dice, abstention and certified area for different numbers of draws, by method. "
    "The forecasts are based on this run's votes and are not certificates.",
    "radii": "Metrics by radius (l2 norm for pixel values in [0, 1], and RMS change in gray levels). In each row, "
    "pixels with a smaller certified radius abstain. One alpha covers all pixels and radii of an image, so slightly "
    "fewer pixels are certified than by a certificate for a single radius. Worst-case Dice is a lower bound for the "
    f"smoothed model; for a mean over N images, its error probability is up to N times alpha. {INTERVALS}",
    "claims": "Claims of Laousy et al. (2023) and of this project, tested on this run. Values are mean differences "
    "on the same images, with 95% confidence intervals. A claim holds if its entire interval is on the claimed side "
    "of zero, and does not hold if it is on the opposite side. In all other cases, it cannot be said whether "
    "the claim holds. If a claim is about a margin, it is tested against this margin instead of zero. A claim is not "
    "tested if the run does not contain a network or noise level that the claim needs. Intervals are not corrected "
    "for multiple tests.",
    "costs": "Certified Dice and its cost: network evaluations per draw, and GFLOP per draw and per image of n0 + n "
    f"draws. {INTERVALS} One GFLOP is 10^9 operations in convolutions and matrix products.",
    "stages": "Jobs, time and peak memory by Snakemake rule, including the time for loading libraries. Jobs run in "
    "parallel, so their total time exceeds the elapsed time. The numbers come from Snakemake's benchmark files or, "
    "for jobs that ran elsewhere, from their run records.",
}
# Sentences that are added to a caption, except under a weaker guarantee.
STRICT = {
    "attacks": "An image can also be refuted because the attacked pixel is certified wrongly. The probability of "
    "this is at most alpha per image.",
    "classes": "The certified area bounds the structure's area in the smoothed model's segmentation: the lower bound "
    "counts the certified pixels, and the upper bound adds all abstaining pixels. For means over N images, the error "
    "probability of these bounds and of the worst-case Dice is up to N times alpha. The certified area differs from "
    "the certified interval of an area measurement, which bounds the median area over noisy copies.",
    "measurements": "These intervals differ from the certified area in the class table, which bounds the smoothed "
    "model's segmentation pixel by pixel.",
}
ADDED = ("captions", "certified")  # keys of the dict that `for_captions` returns


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
    """Return the values for reports/captions/*.rst that are not in the run's configuration.

    `settings` is the configuration. The result has the keys listed in `ADDED`. Its values are
    reStructuredText. `captions.figures` and `captions.tables` map names to captions. `captions.definitions` defines the
    metrics, and `certified` states the certificate settings.
    """
    method = METHODS[settings["method"]]
    certified = "Run ``{run}``: method ``{method}``".format(**settings)
    if method.takes_k:
        certified += f", k = {settings['kfwer_k']}"
    n = draws(settings["n"], ", ".join(map(str, settings["looks"])))
    certified += f", {settings['n0']} + {n} noisy copies of each image"
    certified += ", tau = {tau}, alpha = {alpha}.".format(**settings)
    if method.weaker:
        certified += " **A weaker guarantee than under segcertify: individual certified pixels may be wrong.**"
    shown = [column for column in METRICS if not (method.weaker and column.strict)]
    captions = {
        "figures": {name: figure.caption for name, figure in FIGURES.items()},
        "tables": {name: table_caption(name, method.weaker) for name in TABLES},
        "definitions": definitions(shown),
    }
    return {"captions": captions, "certified": certified}
