"""Fit vocabularies and encode rows to disk, with all cores; stopped and started again, it goes on.

`python -m pipelines.prepare --data.path logs/` does what the other jobs do first, and they find what it made.
"""

from __future__ import annotations

from collections.abc import Sequence

from dynctr_tf.jobs.option_tables import table_options
from pipelines import PAIRS, errors_as_messages
from pipelines.settings_parser import SettingsParser


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = SettingsParser(
        __doc__ or "", ["data"], prog="python -m pipelines.prepare", pairs=PAIRS, table_options=table_options
    )
    parser.add_argument(
        "--runner",
        metavar="NAME",
        help="runner of Apache Beam, such as DirectRunner; without it this machine's processes",
    )
    parser.add_argument(
        "--runner-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="option of Beam's pipeline, as in --runner-option=--region=europe-west1; may be given several times",
    )
    settings, namespace = parser.parse_settings(arguments)
    if namespace.runner_option and namespace.runner is None:
        parser.error("--runner-option is for Apache Beam; give --runner too.")
    runner = None if namespace.runner is None else [f"--runner={namespace.runner}", *namespace.runner_option]
    with errors_as_messages(parser):
        from dynctr_tf.jobs.preparing import prepare

        prepare(settings.data, runner=runner)


if __name__ == "__main__":
    main()
