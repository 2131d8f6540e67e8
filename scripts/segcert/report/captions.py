"""Captions of the figures and tables of a report, each written once: for its pages, LaTeX and Snakemake's report.

The first sentence of a caption says what the reader sees, the second how to read it. Captions are plain text.
Rules import this module to plan, so it is light; the functions that draw are in segcert.report.figures.FIGURES.
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
    table: str = ""  # the source of the figure is tables/<table>.csv; empty for other sources
    place: str = "Certificates"  # subcategory in Snakemake's report, also of the table with the same name
    section: str = ""  # section of the page that shows all of its figures one below the other
    printed: bool = True  # the rule `curves` also draws it as a PDF, one journal column wide

    @property
    def alt(self) -> str:
        """Alternative text: the first sentence of the caption, and the file with the numbers."""
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
        "in gray levels). A curve covers all pixels and radii of an image at once, so it lies slightly below the "
        "certificate of a single radius. The radii are certified by the run's method or, if it has none, by "
        "segcertify: the column method of tables/radii.csv says which.",
        table="radii",
        section="curves",
    ),
    "area": Figure(
        "Share of pixels that other numbers of draws would certify, by method. This is a forecast from the votes of "
        "this run, not a certificate; a method with a weaker guarantee may certify single pixels wrongly.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "budget": Figure(
        "Certified Dice that other numbers of draws would give, by the method of this run. This is a forecast from the "
        "votes of this run, not a certificate.",
        table="budget",
        place="Costs",
        section="curves",
    ),
    "costs": Figure(
        "Certified Dice against the arithmetic that all draws of one image need. Points further left are cheaper; a "
        "denoiser multiplies the cost of each draw.",
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
        "validations whose weights were kept. The numbers are in history.csv, next to the weights.",
        place="Networks",
    ),
    "stages": Figure(
        "Wall time of all jobs of a rule, and the peak memory of its largest job. The numbers come from Snakemake's "
        "benchmark files or, for jobs that ran elsewhere, from their run records; they vary from run to run.",
        table="stages",
        place="Costs",
        printed=False,
    ),
    "lineage": Figure(
        "How this run came about, from the data to the tables: each box is a rule with its jobs and files. Arrows lead "
        "from each rule to the rules that read its files.",
        place="Provenance",
        printed=False,
    ),
}
PRINTED = [name for name, figure in FIGURES.items() if figure.printed]

INTERVALS = "Brackets contain 95% bootstrap intervals over images."
TABLES = {
    "main": "Dice, certified Dice and abstention of each model: means over test images, and over classes within an "
    f"image. {INTERVALS}",
    "classes": f"Each structure alone: means over test images. {INTERVALS} Areas are in pixels; the first area is that "
    "of the ground truth.",
    "pairings": "Certified Dice of each pairing of training and denoiser, minus that of the baseline: means over the "
    "same images, and over classes within an image. Brackets contain 95% intervals from a paired bootstrap over "
    "images. The baseline is the segmenter trained with noise, without a denoiser; if the run has none, the one that "
    "its column names.",
    "measurements": "Certified intervals of values measured on the mask, such as areas, by median smoothing: means "
    "over test images. Each bounds the median over noisy copies under any change within the radius, not a single "
    "prediction. The error probability alpha is shared by all measurements of an image, and adds to that of its "
    "pixels. Clean is the value on the prediction without noise; width is that of the interval, relative to the "
    "median. Decided counts the images whose interval lies above, below or around the threshold. An interval is "
    "unbounded if it is open at an end.",
    "attacks": "Certified pixels of the attacked images, under projected gradient descent on the smoothed model at "
    "multiples of the certified radius. Up to a factor of 1, a refuted pixel is an error that alpha must cover; "
    "outside the radius nothing is promised. Changed pixels lost the majority of fresh noisy copies, which chance "
    "alone can do if a vote is close. Refuted pixels lost it beyond doubt (binomial test, family-wise error 0.001).",
    "denoisers": "PSNR and SSIM of noisy and denoised validation images, clipped to [0, 1]: means over images. Higher "
    "values mean better restored images; ddpm is the denoiser that was trained for this run.",
    "budget": "Certified Dice, abstention and certified area that other numbers of draws would give, by method. This "
    "is a forecast from the votes of this run, not a certificate.",
    "radii": "Segmentation that is certified at each radius or beyond (l2 norm, pixels in [0, 1], or RMS change in "
    "gray levels). One alpha covers all pixels and radii of an image, so slightly less is certified than at a single "
    f"radius. {INTERVALS}",
    "claims": "Claims of the paper and of this project, tested on this run: mean differences on the same images, with "
    "95% intervals from a paired bootstrap. A claim holds if its whole interval lies on the claimed side of zero, and "
    "does not hold if it lies on the other. In between, it cannot be said. A claim is not tested if the run lacks a "
    "model or noise level that it needs. Intervals are not corrected for their number.",
    "costs": "Certified Dice and its cost: network evaluations per draw, and GFLOP per draw and per image of n0 + n "
    f"draws. {INTERVALS} GFLOP are 10^9 operations of convolutions and matrix products.",
    "stages": "Jobs, time and peak memory by rule, loading the libraries included. Jobs run in parallel, so the sum "
    "exceeds the elapsed time. The numbers come from Snakemake's benchmark files or, for jobs that ran elsewhere, from "
    "their run records.",
}
# Further sentences, true only if no certified pixel may be wrong.
STRICT = {
    "classes": "The certified area bounds the area in the smoothed model's segmentation: from its certified pixels to "
    "those plus all abstained pixels. It is not the certified interval among the measurements, which bounds the median "
    "area over noisy copies.",
    "measurements": "These intervals differ from the certified area in the table of classes, which bounds the smoothed "
    "model's segmentation pixel by pixel.",
}
ADDED = ("captions", "certified")  # keys of `for_captions`


def table_caption(name: str, weaker: bool) -> str:
    """Return the caption of a table; `weaker` is True for certificates with a weaker guarantee."""
    return TABLES[name] if weaker or name not in STRICT else f"{TABLES[name]} {STRICT[name]}"


def definitions(columns: Iterable[Column]) -> str:
    """Return a sentence about each metric that has a meaning, for readers of the main table."""
    sentences = []
    for column in columns:
        if column.meaning:
            sentences.append(f"{column.title[0].upper()}{column.title[1:]}: {column.meaning}.")
    return " ".join(sentences)


def for_captions(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that reports/captions/*.rst read, by key of the configuration.

    settings: keys of the configuration of a run. The values are reStructuredText: `captions.figures` and
    `captions.tables` by name, `captions.definitions` of the metrics, and `certified`, the settings of the certificates.
    """
    method = METHODS[settings["method"]]
    certified = "Run ``{run}``: method ``{method}``".format(**settings)
    if method.takes_k:
        certified += f", k = {settings['kfwer_k']}"
    certified += ", {n0} + {n} noisy copies of each image, tau = {tau}, alpha = {alpha}.".format(**settings)
    if method.weaker:
        certified += " **A weaker guarantee than the paper's: single certified pixels may be wrong.**"
    shown = [column for column in METRICS if not (method.weaker and column.strict)]
    captions = {
        "figures": {name: figure.caption for name, figure in FIGURES.items()},
        "tables": {name: table_caption(name, method.weaker) for name in TABLES},
        "definitions": definitions(shown),
    }
    return {"captions": captions, "certified": certified}
