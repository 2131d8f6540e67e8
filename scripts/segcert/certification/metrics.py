"""Metrics of a certified segmentation, per image and class."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import ABSTAIN, chosen_class
from segcert.certification.methods import HOLM
from segcert.votes import Votes

Labels = npt.NDArray[np.integer[Any]]


def dice(intersection: float, size_a: float, size_b: float) -> float:
    """Return the Dice coefficient 2 |A and B| / (|A| + |B|) of two sets A and B, or NaN if both sets are empty."""
    return 2 * intersection / (size_a + size_b) if size_a + size_b else math.nan


def iou(intersection: float, size_a: float, size_b: float) -> float:
    """Return the intersection over union |A and B| / |A or B| of two sets A and B, or NaN if both sets are empty."""
    union = size_a + size_b - intersection
    return intersection / union if union else math.nan


def class_dice(truth: Labels, labels: Labels, class_id: int) -> float:
    """Return the Dice coefficient of a class in two label maps of shape (H, W), or NaN if both lack the class."""
    true, chosen = truth == class_id, labels == class_id
    return dice(int((true & chosen).sum()), int(true.sum()), int(chosen.sum()))


def vote_labels(votes: Votes) -> Labels:
    """Return the class with the most votes at each pixel, in all n0 + n draws, as an array of shape (H, W).

    In a tie, the class with the lowest id is returned. These labels are an estimate of the smoothed model's labels, and
    do not depend on the method, tau or alpha. They are not certified: no test bounds the probability of an error, and
    no pixel abstains, even if no class has more than half of the votes.
    """
    labels, _ = chosen_class(votes, HOLM.name)  # the method that chooses from all draws
    return labels


def class_metrics(truth: Labels, predicted: Labels, certified: Labels, class_id: int) -> dict[str, float]:
    """Compute the metrics of one class on one image.

    Parameters
    ----------
    truth, predicted, certified
        Arrays of class ids, shape (H, W): the ground truth, the prediction of the unsmoothed model on the clean image,
        and the certified labels, which may be ABSTAIN.
    class_id
        Id of the class.

    Returns
    -------
    dice, iou
        Metrics of the unsmoothed model on the clean image.
    certified_dice, certified_iou
        Dice and IoU of only the certified pixels, by the published convention (Laousy et al. 2023): pixels that abstain
        are not part of the prediction, but they are part of the ground truth GT. Let TP be the number of pixels that
        are certified as the class and belong to it. Then Dice is 2TP / (|GT| + |certified|), and IoU is TP / (|GT| +
        |certified| - TP).
    worst_case_dice
        Lowest Dice over all labels that the abstaining pixels could take: 2TP / (|GT| + |certified| + |abstaining
        outside GT|). If no pixel is certified wrongly, this is a lower bound on the Dice of the smoothed model within
        the radius.
    area_low, area_high
        Bounds on the area of the class. `area_low` is the number of pixels that are certified as the class, and
        `area_high` also includes the pixels that abstain. If no pixel is certified wrongly, the area of the class in
        the smoothed model's label map is between these bounds within the radius.
    area
        Number of pixels of the class in the ground truth.

    All values of Dice and IoU are in [0, 1], or NaN if the class is absent from both label maps. Areas are in pixels.
    """
    true, chosen, sure, unsure = truth == class_id, predicted == class_id, certified == class_id, certified == ABSTAIN
    size, sure_size = int(true.sum()), int(sure.sum())
    clean_hits, hits = int((true & chosen).sum()), int((true & sure).sum())
    return {
        "dice": dice(clean_hits, size, int(chosen.sum())),
        "iou": iou(clean_hits, size, int(chosen.sum())),
        "certified_dice": dice(hits, size, sure_size),
        "certified_iou": iou(hits, size, sure_size),
        "worst_case_dice": dice(hits, size, sure_size + int((unsure & ~true).sum())),
        "area": size,
        "area_low": sure_size,
        "area_high": sure_size + int(unsure.sum()),
    }
