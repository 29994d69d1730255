"""Numbers as people read them: as many digits as a small number needs, no more than a large one does."""

from __future__ import annotations

import math


def decimals_for(value: float, figures: int = 4, least: int = 4) -> int:
    """Returns how many decimals show a number with so many significant figures.

    Use it for a column whose entries share their decimals, such as a value and its interval.

    Args:
        value: The number, or the one that its neighbours are read beside.
        figures: Significant figures. Default 4.
        least: Decimals in any case. Default 4.

    Example:

    >>> decimals_for(0.4512), decimals_for(0.005512), decimals_for(0.0)
    (4, 6, 4)
    """
    if not math.isfinite(value) or value == 0.0:
        return least
    # What rounds up to the next power of ten has a figure more before the point.
    exponent = int(f"{abs(value):.{figures - 1}e}".partition("e")[2])
    return min(max(least, figures - 1 - exponent), 20)


def figures_text(value: float, figures: int = 4, decimals: int | None = None, sign: str = "") -> str:
    """Returns a number with at least four decimals and so many significant figures; large ones with an exponent.

    Args:
        value: The number.
        figures: Significant figures. Default 4.
        decimals: Decimals in place of those. Default `None`: from the figures.
        sign: `"+"` to have one in front of positive numbers too. Default `""`.

    Returns:
        The text; `-` where the number is undefined (NaN).

    Example:

    >>> figures_text(0.4512), figures_text(0.005512345), figures_text(575203048542256704.0)
    ('0.4512', '0.005512', '5.752e+17')
    """
    if math.isnan(value):
        return "-"
    if abs(value) >= 10.0**6:
        return f"{value:{sign}.{figures - 1}e}"
    return f"{value:{sign}.{decimals_for(value, figures) if decimals is None else decimals}f}"


def share_text(share: float, decimals: int = 2) -> str:
    """Returns a share as a percentage with at least three significant figures; `-` where it is undefined.

    Args:
        share: The share, 1 for all.
        decimals: Decimals in any case. Default 2.

    Example:

    >>> share_text(0.0398), share_text(0.000745)
    ('3.98 %', '0.0745 %')
    """
    if math.isnan(share):
        return "-"
    return f"{100.0 * share:.{decimals_for(100.0 * share, 3, decimals)}f} %"
