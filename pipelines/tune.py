"""Search a model's hyper-parameters on the validation split and write the best as a file for `pipelines.train`.

`python -m pipelines.tune --config pipelines/configs/criteo_display_ads.toml --model.name dnn --trials 8` trains the
given settings and eight sets of values from the model's search space in the catalogue, of model and optimizer
together; `[search.space]` of a settings file overrides or extends it, and with `catalogue_space = false` replaces it.
`--tuner grid` trains every set of values. The test split is not touched. A killed search goes on where it stopped when
the same command is started again. `--workers 2` trains two trials at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dynctr_tf.jobs.option_tables import table_options
from pipelines import PAIRS, allow_xla_on_cpu, errors_as_messages
from pipelines.rows_options import path_or_uri
from pipelines.settings_parser import SettingsParser


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and searches."""
    parser = SettingsParser(__doc__ or "", prog="python -m pipelines.tune", pairs=PAIRS, table_options=table_options)
    parser.add_argument("--trials", type=int, help="short for --search.trials")
    parser.add_argument("--tuner", help="short for --search.tuner: random, bayesian or hyperband")
    parser.add_argument("--workers", type=int, help="short for --search.workers: trials at a time")
    parser.add_argument(
        "--output", type=path_or_uri, help="folder or URI of the search; without it runs/tune-<data set>-<model>"
    )
    words = list(sys.argv[1:] if arguments is None else arguments)
    short = ("--trials", "--tuner", "--workers")
    words = [f"--search.{word[2:]}" if word.split("=")[0] in short else word for word in words]
    settings, namespace = parser.parse_settings(words)
    if settings.training.xla:
        allow_xla_on_cpu()
    with errors_as_messages(parser):
        from dynctr_tf.jobs.search import tune
        from dynctr_tf.jobs.stages import as_part_of_cluster

        command = [sys.executable, "-m", "pipelines.tune", *words]
        as_part_of_cluster(settings, lambda: tune(settings, namespace.output, command))


if __name__ == "__main__":
    main()
