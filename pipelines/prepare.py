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
    settings, _ = parser.parse_settings(arguments)
    with errors_as_messages(parser):
        from dynctr_tf.jobs.stages import prepare

        prepare(settings.data)


if __name__ == "__main__":
    main()
