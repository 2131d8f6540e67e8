"""Columns of the report's tables: names in the CSV files, headings, formats, and the places where they are shown.

TABLES defines the tables on the page, in the LaTeX files and in the PDF summary. METRICS defines the metrics of the
main table. An entry determines how the mean of a metric over images, and its interval, are computed, written and shown.
"""

import dataclasses
from dataclasses import replace

PAGE, LATEX, PDF = "page", "latex", "pdf"
EVERYWHERE = (PAGE, LATEX, PDF)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name
        Name of the column in the CSV file.
    title
        Column heading.
    style
        Format of the values. The styles for numbers (segcert.report.format) are `number`, `signed`, `digits`,
        `percent`, `whole`, and `level` for a number that a user chose. The styles for text are `text`, and `regime` for
        a training regime. Three styles combine several columns of the file: `measured` (a name and its unit), `levels`
        (the two sigmas of a claim), and `decided` (the number of images with each decision, and the numbers of right
        and wrong decisions).
    decimals
        Number of decimal places, if it differs from the default of the style.
    shown
        Places where the column is shown: PAGE, LATEX, PDF.
    interval
        Places where the 95% interval, from the columns <name>_low and <name>_high of the file, is shown with the
        column.
    latex, align
        Heading and alignment in LaTeX, if they differ from the title and from the alignment of the style. The main
        table in the PDF summary also uses the LaTeX headings at each noise level.
    end
        For a column that shows an interval: name of the column with the upper end, while `name` is the column with the
        lower end. Empty for other columns.
    undefined
        For a column that shows a number of images: name of the column with the number of images on which the certified
        Dice is undefined. This number is shown after the number of images, unless it is 0. Empty for other columns.
    strict
        True if the column is meaningless under a weaker guarantee, which allows some certified pixels to be wrong.
    meaning
        Explanation for readers of the main table.
    """

    name: str
    title: str
    style: str = "number"
    decimals: int | None = None
    shown: tuple[str, ...] = (PAGE, LATEX)
    interval: tuple[str, ...] = ()
    latex: str = ""
    align: str = ""
    end: str = ""
    undefined: str = ""
    strict: bool = False
    meaning: str = ""

    @property
    def text(self) -> bool:
        """True if the column contains text. Such a column is left-aligned."""
        return self.style in ("text", "regime", "measured", "decided")


METRICS = (
    Column(
        "dice",
        "Dice",
        shown=EVERYWHERE,
        interval=(PAGE,),
        meaning="Dice of the network without smoothing, on images without noise; not certified",
    ),
    Column("iou", "IoU", shown=()),
    Column(
        "vote_dice",
        "Dice of the vote",
        shown=EVERYWHERE,
        interval=(PAGE,),
        latex="vote",
        meaning="Dice of the segmentation in which each pixel has the class with the most votes, out of n0 + n; it "
        "estimates the Dice of the smoothed model and is not certified",
    ),
    Column(
        "certified_dice",
        "certified Dice",
        shown=EVERYWHERE,
        interval=EVERYWHERE,
        latex="cert.",
        meaning="Dice of the certified labels; in the published convention, pixels that abstain are removed from "
        "the prediction but not from the ground truth",
    ),
    Column("certified_iou", "certified IoU", shown=()),
    Column(
        "worst_case_dice",
        "worst-case Dice",
        shown=(PAGE,),
        interval=(PAGE,),
        strict=True,
        meaning="the lowest Dice over all labels that the abstaining pixels could take. It is a lower bound for the "
        "smoothed model within the radius, with error probability alpha per image (for a mean over N images, up to N "
        "times alpha)",
    ),
    Column("abstain", "abstains", "percent", 1, shown=EVERYWHERE, interval=(PAGE,), latex="abst."),
)

DATASET = Column("dataset", "data set", "text", shown=(PAGE,))
MODEL = Column("model", "model", "text", shown=(PAGE,))
SIGMA = Column("sigma", "sigma", "level", latex=r"$\sigma$")
PAIRING = (DATASET, MODEL, Column("regime", "trained", "regime"), Column("denoiser", "denoiser", "text"), SIGMA)
IMAGES = Column("images", "images", "whole")
ALL_IMAGES = replace(IMAGES, shown=(PAGE,), undefined="undefined")
CERTIFIED_DICE = Column("certified_dice", "certified Dice", interval=EVERYWHERE)
WORST_CASE_DICE = Column("worst_case_dice", "worst-case Dice", interval=(PAGE,), strict=True)
DIFFERENCE = Column("difference", "difference", "signed", shown=EVERYWHERE, interval=EVERYWHERE)

TABLES: dict[str, tuple[Column, ...]] = {
    "main": (
        *PAIRING,
        ALL_IMAGES,
        *METRICS,
        Column("radius", "radius (l2, [0, 1])", shown=(PAGE,)),
        Column("radius_gray_levels", "radius (gray levels RMS)", decimals=2, shown=(PAGE,)),
    ),
    "claims": (
        Column("claim", "claim", "text", shown=(LATEX, PDF), align="p{4cm}"),
        replace(DATASET, shown=(PAGE, PDF)),
        replace(MODEL, shown=(PAGE, PDF)),
        Column("denoiser", "denoiser", "text", shown=(PAGE,)),
        Column("sigma_low", "from sigma", "level", shown=(PAGE,)),
        Column("sigma", "at sigma", "level", shown=(PAGE,)),
        Column("sigma", "σ", "level", shown=(PDF,)),
        Column("sigma", "sigma", "levels", shown=(LATEX,), latex=r"$\sigma$"),
        Column("compared", "compared", "text", shown=(PAGE,)),
        replace(IMAGES, shown=EVERYWHERE),
        DIFFERENCE,
        Column("verdict", "verdict", "text", shown=EVERYWHERE),
        Column("why", "why", "text", shown=(PAGE,)),
    ),
    "classes": (
        DATASET,
        Column("class_name", "class", "text"),
        *PAIRING[1:],
        ALL_IMAGES,
        Column("dice", "Dice"),
        Column("vote_dice", "Dice of the vote", latex="vote"),
        CERTIFIED_DICE,
        WORST_CASE_DICE,
        Column("area", "area (pixels)", "whole", latex="area"),
        Column("area_low", "certified area (pixels)", "whole", end="area_high", latex="certified area", strict=True),
    ),
    "pairings": (
        *PAIRING,
        Column("baseline", "baseline trained", "regime"),
        IMAGES,
        replace(DIFFERENCE, title="difference in certified Dice", latex="difference"),
    ),
    "measurements": (
        DATASET,
        Column("measurement", "measurement", "text", shown=(PAGE,)),
        Column("unit", "unit", "text", shown=(PAGE,)),
        Column("measurement", "measurement", "measured", shown=(LATEX, PDF)),
        *PAIRING[1:],
        Column("truth", "truth", "digits", shown=EVERYWHERE),
        Column("clean", "clean prediction", "digits", latex="clean"),
        Column("low", "certified interval", "digits", shown=EVERYWHERE, end="high", latex="certified"),
        Column("width", "width", "percent"),
        Column("threshold", "decided", "decided"),
    ),
    "attacks": (
        *PAIRING,
        Column("factor", "multiple of the radius", "level", latex=r"$\times$ radius"),
        IMAGES,
        Column("certified", "certified pixels", "whole", shown=(PAGE,)),
        Column("changed", "changed", "whole", shown=(PAGE,)),
        Column("draws", "draws", "whole", shown=(PAGE,)),
        Column("clean_share", "clean share", "percent", 1, latex=r"clean (\%)"),
        Column("share", "share", "percent", 1, latex=r"share (\%)"),
        Column("least_share", "least share", "percent", 1, latex=r"least (\%)"),
        Column("strength", "strength", decimals=2, shown=(PAGE,)),
        Column("power", "power", decimals=2),
        Column("refuted", "refuted images", "whole", latex="refuted"),
    ),
    "denoisers": (
        DATASET,
        Column("method", "method", "text"),
        SIGMA,
        IMAGES,
        Column("psnr", "PSNR (dB)", decimals=1),
        Column("ssim", "SSIM"),
    ),
    "radii": (
        *PAIRING,
        Column("radius", "radius"),
        Column("radius_gray_levels", "gray levels", decimals=2),
        CERTIFIED_DICE,
        WORST_CASE_DICE,
        Column("abstain", "abstains", "percent", 1, latex=r"abst. (\%)"),
    ),
    "costs": (
        *PAIRING,
        CERTIFIED_DICE,
        Column("parameters", "parameters", "whole"),
        Column("evaluations", "evaluations per draw", "whole", latex="evaluations"),
        Column("gflop_per_draw", "GFLOP per draw", "digits"),
        Column("gflop_per_image", "GFLOP per image", "digits", latex="per image"),
    ),
    "stages": (
        Column("rule", "rule", "text"),
        Column("jobs", "jobs", "whole"),
        Column("measured", "benchmarked", "whole"),
        Column("seconds", "total seconds", decimals=1),
        Column("longest", "longest job (s)", decimals=1),
        Column("cpu_seconds", "CPU seconds", decimals=1),
        Column("peak_memory_mib", "peak memory (MiB)", "whole"),
    ),
}
ON_THE_PAGE = ("main", "classes", "measurements", "pairings", "attacks", "denoisers", "stages", "costs")
IN_LATEX = ("main", "claims", "classes", "pairings", "measurements", "radii", "attacks", "denoisers", "costs")
IN_CSV = (*IN_LATEX, "budget")  # keys of segcert.results.tables.TABLES, for rules that must not import pandas


def shown_columns(table: str, place: str, weaker: bool) -> list[Column]:
    """Return the columns of a table that are shown at a place (PAGE, LATEX or PDF).

    If `weaker` is True, the certificates have a weaker guarantee, and `strict` columns are left out.
    """
    return [column for column in TABLES[table] if place in column.shown and not (weaker and column.strict)]
