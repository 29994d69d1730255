"""The command `dynctr`, and `python -m pipelines`: lists the jobs, and starts one.

`dynctr train --model.name dnn` is `python -m pipelines.train --model.name dnn`. Only the job that is started is
imported, so that it can set TensorFlow's environment before TensorFlow's import.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from dynctr_tf.nearest import nearest_name
from dynctr_tf.version import __version__

JOBS = (
    "prepare",
    "train",
    "tune",
    "compare",
    "update",
    "predict",
    "evaluate",
    "publish",
    "embeddings",
    "schema",
    "explain",
    "api_pages",
    "benchmark",
    "benchmarks.key_costs",
    "benchmarks.layer_costs",
    "benchmarks.adaptive_costs",
    "benchmarks.scenario_costs",
    "benchmarks.dynamic_costs",
    "benchmarks.daily_updates",
    "benchmarks.gain_picture",
    "benchmarks.gain_conditions",
    "benchmarks.scoring",
    "benchmarks.preparation",
    "benchmarks.worker_input",
    "benchmarks.serving",
    "papers",
    "papers.parameter_counts",
    "peers.cross_check",
)
"""The jobs, in the order in which they are listed."""


def first_sentence(job: str) -> str:
    """The first sentence of a job's file, which says what the job does; the file is read and not run."""
    place = Path(__file__).parent.joinpath(*job.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split())
    return re.split(r"\.(?= |$)|; |: `", text)[0]


def overview() -> str:
    """The jobs, one line each."""
    width = max(map(len, JOBS))
    return "\n".join([
        "usage: dynctr JOB [...], or python -m pipelines.JOB [...]",
        "",
        *(f"  {job:{width}}  {first_sentence(job)}" for job in JOBS),
        "",
        "dynctr JOB --help explains a job's options.",
    ])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Lists the jobs, or runs one; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"dynctr_tf {__version__}")
        return 0
    given, *rest = words
    job = given.replace("-", "_")
    if job not in JOBS:
        near = nearest_name(given, JOBS)
        hint = f" Did you mean `dynctr {near}`?" if near is not None else ""
        if Path(given).suffix.lower() in (".csv", ".tsv", ".parquet", ".gz", ".txt") or Path(given).is_file():
            hint = f" For a file of rows begin with `dynctr schema {given}`."
        elif given.startswith("-"):
            hint = f" The job comes first, as in `dynctr train {' '.join(words)}`."
        print(f"dynctr: unknown job {given!r}.{hint} Jobs: {', '.join(JOBS)}.", file=sys.stderr)
        return 2
    status = importlib.import_module(f"pipelines.{job}").main(rest)
    return int(status or 0)


if __name__ == "__main__":
    sys.exit(main())
