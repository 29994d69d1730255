"""Go on with tomorrow's rows: score them, train on them with vocabularies that grow, export the next version.

`dynctr update runs/tabular_file-dnn-1a2b3c4d --data.path monday.csv tuesday.csv` takes a run that is finished and files
of its columns, a file a day; an export, such as saved_models/clicks/1, stands for the run that made it. Each day is
scored before it is trained on. Killed and started again, it goes on; a file that was trained on is skipped. Model,
optimizer, schema and the rest are the run's; `--training.epochs` (default 1), the learning rates and the folder of the
export can be given. `--rollback 3` serves version 3 again, and the next day goes on from the state that made it.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynctr_tf.jobs.option_tables import table_options
from dynctr_tf.jobs.settings import JobSettings
from pipelines import errors_as_messages
from pipelines.settings_parser import SettingsParser

if TYPE_CHECKING:
    from dynctr_tf.jobs.run_places import RunPlace

_SECTIONS = ("data", "model", "pretrained", "optimizer", "training", "keys", "evaluation", "export")


def update(
    run: Path | RunPlace, settings: JobSettings, paths: Sequence[str | None], drop_after: int | None = None
) -> None:
    """Goes on with some days and prints the results.

    Args:
        run: The folder of the run, or its place.
        settings: Its settings, with the changes that were asked for.
        paths: The files of the days; `None` for rows that the project makes itself.
        drop_after: Days after which a value that was not seen loses its id. Default `None`: never.
    """
    from dynctr_tf.jobs.days import Days
    from dynctr_tf.jobs.update import report, run_days

    start = time.perf_counter()
    days = Days(run)
    run_days(days, settings, paths, drop_after=drop_after)
    text = report(days)
    if text:
        print(f"\n{text}picture of the days: {days.run / 'days' / 'days.png'}")
    print(f"done in {time.perf_counter() - start:.0f} s")


def _paths(words: list[str]) -> tuple[list[str], list[str]]:
    """The values of `--data.path`, of which there may be several, and the other words."""
    paths: list[str] = []
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word.startswith("--data.path="):
            paths.append(word.partition("=")[2])
        elif word == "--data.path":
            while words and not words[0].startswith("--"):
                paths.append(words.pop(0))
        else:
            rest.append(word)
    return paths, rest


@contextlib.contextmanager
def _run(named: str) -> Iterator[RunPlace]:
    """The place of the run that is named, by itself or by an export."""
    from dynctr_tf.jobs.days import Days, run_of
    from dynctr_tf.jobs.run_places import place_of

    run, day = run_of(named)
    with place_of(run) as place:
        days = Days(place)  # for a message that names the folder and not a file in it
        if day is not None:
            print(f"{named} was made by the run in {run}")
            if day != days.head:
                print(
                    "The run has gone on since. It goes on from its newest state; --rollback VERSION goes back first."
                )
        yield place


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    paths, rest = _paths(words)
    parser = SettingsParser(__doc__ or "", _SECTIONS, prog="python -m pipelines.update", table_options=table_options)
    parser.add_argument(
        "run",
        help="the folder or URI of a run that is finished, such as runs/clicks-dnn-1a2b3c4d, or of what it exported",
    )
    parser.add_argument(
        "--drop-ids-after",
        type=int,
        metavar="DAYS",
        help="values that were not seen on this many days one after another lose their ids; by default none does",
    )
    parser.add_argument(
        "--rollback",
        type=int,
        metavar="VERSION",
        help="serve an earlier version again, and let the next day go on from the state that made it",
    )
    with errors_as_messages(parser), contextlib.ExitStack() as held:
        if {"--help", "-h"} & set(rest):
            parser.parse_settings(rest)
        if not rest or rest[0].startswith("-"):
            parser.error("The run comes first: dynctr update runs/clicks-dnn-1a2b3c4d --data.path tomorrow.csv")
        place = held.enter_context(_run(rest[0]))
        rest = ["--config", str(place.folder / "settings.toml"), "--training.epochs", "1", *rest]
        settings, namespace = parser.parse_settings(rest)
        if namespace.rollback is not None:
            if paths:
                parser.error("Go back first, then give the files of new days in a command of its own.")
            from dynctr_tf.jobs.days import Days
            from dynctr_tf.jobs.update import go_back

            go_back(Days(place), settings, namespace.rollback)
            return
        if not paths and settings.data.path is not None:
            parser.error("Give the files of the new days: --data.path monday.csv tuesday.csv")
        update(place, settings, paths or [None], namespace.drop_ids_after)


if __name__ == "__main__":
    main()
