"""Rows of our own in the format of the Kaggle file, for tests."""

from __future__ import annotations

import numpy as np


def criteo_lines(num_rows: int, seed: int = 0) -> list[str]:
    """Makes lines of a label, 13 counts and 26 hashes, tab-separated, with missing cells; no line ends."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(num_rows):
        label = str(int(generator.random() < 0.25))
        counts = [
            str(int(v)) if keep else ""
            for v, keep in zip(generator.geometric(0.05, 13) - 3, generator.random(13) < 0.7, strict=True)
        ]
        hashes = [
            f"{int(v) * 2654435761 % 2**32:08x}" if keep else ""
            for v, keep in zip(generator.zipf(1.5, 26) % 1000, generator.random(26) < 0.85, strict=True)
        ]
        lines.append("\t".join([label, *counts, *hashes]))
    return lines
