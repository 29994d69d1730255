"""The jobs that a person starts: `python -m pipelines.train`, `tune`, `compare`, `benchmark`, `schema`."""

from pathlib import Path

PAIRS = Path(__file__).parent / "configs"
"""Settings files of data sets and models, `<data set>/<model>.toml`."""
