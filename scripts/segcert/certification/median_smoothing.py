"""Certified intervals for measurements, computed by median smoothing (Chiang et al., NeurIPS 2020)."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from segcert.certification.certificate import certified_radius
from segcert.certification.methods import CertificationError, check_settings, smallest_draws
from segcert.certification.multiple_testing import p_value_table
from segcert.votes import Votes


@dataclasses.dataclass(frozen=True)
class CertifiedInterval:
    """A certified interval for a measurement's median.

    With probability at least 1 - alpha over the draws, the median of the measurement over the noise is in [low, high].
    This is true for the image and for every perturbed image at an l2 distance below `radius`. The guarantee is about
    this median, not about the measurement on a single prediction.

    Attributes
    ----------
    name
        Name of the measurement.
    low
        Lower end of the interval, in the unit of the measurement; minus infinity if too many values are NaN.
    median
        Sample median of the values, in the unit of the measurement.
    high
        Upper end of the interval, in the unit of the measurement; infinity if too many values are NaN.
    radius
        Certified l2 radius, in the unit of sigma: for pixel values in [0, 1], or in the parameter of another threat.
    alpha
        Error probability of this interval. All intervals of an image share the image's alpha.
    draws
        Number of draws from which the interval is computed.
    """

    name: str
    low: float
    median: float
    high: float
    radius: float
    alpha: float
    draws: int

    def decide(self, threshold: float) -> Literal["above", "below"] | None:
        """Return "above" or "below" if the entire interval is above or below the threshold, otherwise None."""
        if self.low > threshold:
            return "above"
        return "below" if self.high < threshold else None


def median_interval(
    values: npt.ArrayLike, sigma: float, tau: float = 0.75, alpha: float = 0.001, name: str = "measurement"
) -> CertifiedInterval:
    """Compute a certified interval for the median of a measurement over the noise.

    Let R = sigma * Phi^-1(tau). Under a perturbation with an l2 norm below R, the median stays between the quantiles
    1 - tau and tau of the measurement on the unperturbed image (Chiang et al. 2020, lemma 1). An exact binomial test at
    level alpha / 2 bounds each quantile by an order statistic of the n values. Let u be the least count with
    P(Bin(n, tau) >= u) <= alpha / 2. The interval is [X_(n + 1 - u), X_(u)], where X_(i) is the i-th smallest value.

    Parameters
    ----------
    values
        The measurement on the label map of each draw: n numbers. The number n must be fixed beforehand, and the draws
        must be independent. NaN is treated as minus infinity for the lower end and as infinity for the upper end.
    sigma
        Standard deviation of the noise, for pixel values in [0, 1]; for another threat than pixels, of its parameter.
    tau
        Threshold in (0.5, 1). The radius is sigma * Phi^-1(tau).
    alpha
        Error probability of the interval, in (0, 0.5).
    name
        Name of the measurement.

    Raises
    ------
    CertificationError
        If a setting is out of range, or if there are too few draws to bound the quantiles.

    Examples
    --------
    >>> import numpy as np, segcert
    >>> areas = np.arange(100.0, 200.0)  # areas in 100 draws

    >>> interval = segcert.median_interval(areas, sigma=0.25, tau=0.75, alpha=0.05)
    >>> interval.low, interval.median, interval.high
    (116.0, 149.5, 183.0)
    >>> interval.decide(110.0), interval.decide(150.0)
    ('above', None)
    """
    check_settings(tau, alpha, "segcertify")
    draws = np.asarray(values, dtype=np.float64)
    if draws.ndim != 1 or not len(draws):
        raise CertificationError(
            f"values: found shape {draws.shape}; expected shape (n,), with one value for each draw"
        )
    n = len(draws)
    enough = np.flatnonzero(p_value_table(n, tau) <= alpha / 2)
    if not len(enough):
        raise CertificationError(
            f"values: found {n} draws, which are too few to bound the {tau} quantile with error probability "
            f"{alpha / 2:g}; expected {smallest_draws(tau, alpha)} or more"
        )
    upper = int(enough[0])
    low = np.sort(np.where(np.isnan(draws), -np.inf, draws))[n - upper]
    high = np.sort(np.where(np.isnan(draws), np.inf, draws))[upper - 1]
    median = float(np.nanmedian(draws)) if not np.isnan(draws).all() else math.nan
    return CertifiedInterval(name, float(low), median, float(high), certified_radius(sigma, tau), alpha, n)


def certify_measurements(
    votes: Votes, measurements: Mapping[str, npt.ArrayLike] | None = None, tau: float = 0.75, alpha: float = 0.001
) -> dict[str, CertifiedInterval]:
    """Certify the medians of several measurements of an image simultaneously, with a shared alpha.

    Parameters
    ----------
    votes
        Votes of the image. All n0 + n draws are used, because no class has to be chosen first.
    measurements
        Mapping from each measurement's name to its n0 + n values, one per draw. By default, `votes.measurements`.
    tau
        Threshold in (0.5, 1). The radius is sigma * Phi^-1(tau).
    alpha
        Error probability of all intervals together. The error probability of each interval is alpha divided by the
        number of measurements.

    Returns
    -------
    dict
        Maps the name of each measurement to its interval. With probability at least 1 - alpha, all intervals are
        correct.
    """
    values = dict(votes.measurements if measurements is None else measurements)
    return {
        name: median_interval(of_name, votes.sigma, tau, alpha / len(values), name) for name, of_name in values.items()
    }
