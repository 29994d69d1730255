"""The jobs that a person starts: `python -m pipelines.train`, `tune`, `compare`, `benchmark`, `schema`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAIRS = Path(__file__).parent / "configs"
"""Settings files of data sets and models, `<data set>/<model>.toml`."""


@contextmanager
def errors_as_messages(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Ends the program with a message in place of a traceback.

    The exit status is 2 for what the user gave (a setting, a row), as for the options themselves, and 1 for what
    went wrong on the way: a loss that is not finite, an export that differs, a file that cannot be written.
    """
    try:
        yield
    except ValueError as error:
        parser.error(str(error))
    except (RuntimeError, FloatingPointError, OSError) as error:
        parser.exit(1, f"{parser.prog}: {type(error).__name__}: {error}\n")
