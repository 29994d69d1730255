"""Student's t distribution, which NumPy and the standard library lack."""

from __future__ import annotations

import math
from statistics import NormalDist


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Returns the regularised incomplete beta function by its continued fraction (modified Lentz)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # where the fraction converges fast only for the mirrored arguments
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    fraction = d = 1.0 / max(1.0 - (a + b) * x / (a + 1.0), tiny)
    c = 1.0
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1.0 / ((1.0 + term * d) or tiny)
            c = (1.0 + term / c) or tiny
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return math.exp(log_front) * fraction / a


def two_sided_p_value(t: float, degrees: float) -> float:
    """Returns the probability that `|T| >= |t|`; `degrees` may be infinite, which is the normal distribution."""
    if math.isnan(t) or math.isnan(degrees):
        return math.nan
    if math.isinf(degrees) or degrees > 1e7:
        return math.erfc(abs(t) / math.sqrt(2.0))
    return _incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t))


def two_sided_quantile(confidence: float, degrees: float) -> float:
    """Returns the t for which `|T| <= t` has the probability `confidence`."""
    if math.isnan(degrees):
        return math.nan
    normal = NormalDist().inv_cdf(0.5 + 0.5 * confidence)
    if math.isinf(degrees) or degrees > 1e7:
        return normal
    lower, upper = 0.0, 2.0 * normal
    while two_sided_p_value(upper, degrees) > 1.0 - confidence:
        upper *= 2.0
    for _ in range(200):
        middle = 0.5 * (lower + upper)
        if two_sided_p_value(middle, degrees) > 1.0 - confidence:
            lower = middle
        else:
            upper = middle
    return 0.5 * (lower + upper)
