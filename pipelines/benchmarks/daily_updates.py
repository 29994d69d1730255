"""Replays a week: a model that is updated each day, one that is trained anew each day, and one that never changes.

`python -m pipelines.benchmarks.daily_updates --data.name criteo_display_ads --data.path train.txt.gz` cuts the rows,
which are in time order, into seven days. The first one trains each model. Each later day is scored by three models: the
one that `pipelines.update` continues with, one that `pipelines.train` trains from scratch on all days before, and the
first one as it was. It prints AUC and log loss by day with intervals, and the seconds; the picture shows them.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynctr_tf.jobs.option_tables import table_options
from dynctr_tf.jobs.settings import JobSettings
from pipelines import errors_as_messages
from pipelines.settings_parser import SettingsParser

if TYPE_CHECKING:
    from dynctr_tf.evaluation import Evaluation

UPDATED, ANEW, LEFT = "updated each day", "trained anew each day", "never changed"


def write_parts(settings: JobSettings, place: Path, sizes: Sequence[int]) -> list[Path]:
    """Writes the rows in their order as Parquet files, a day each, with their schema beside them.

    Args:
        settings: Where the rows are.
        place: The folder.
        sizes: The rows of each day; 0 as the last number stands for all rows that are left.

    Returns:
        The files.

    Raises:
        ValueError: There are fewer rows than the days need.
    """
    import pyarrow as pa
    import pyarrow.parquet

    from dynctr_tf.durable_files import make_folder
    from dynctr_tf.jobs.preparing import open_source

    source = open_source(settings.data)
    rows = pa.Table.from_batches([batch.columns for batch in source.batches()])
    if rows.num_rows < sum(sizes):
        raise ValueError(f"There are {rows.num_rows:,} rows, and the days have {sum(sizes):,}.")
    make_folder(place)
    source.schema.save(place / "schema.json")
    files, start = [], 0
    for number, size in enumerate(sizes):
        files.append(place / f"day_{number}.parquet")
        pa.parquet.write_table(rows.slice(start, size or None), files[-1])
        start += size
    return files


def replay(
    settings: JobSettings, place: Path, files: Sequence[Path]
) -> tuple[dict[str, dict[str, Evaluation]], dict[str, float]]:
    """Trains one model on the first day, and replays the other days in the three ways.

    Returns:
        For each way, the evaluation of each day, and the seconds of all days.
    """
    from dynctr_tf.datasets.one_split import OneSplit
    from dynctr_tf.encoding import write_encoded_dataset
    from dynctr_tf.evaluation import Evaluation, evaluate
    from dynctr_tf.jobs.days import Days
    from dynctr_tf.jobs.preparing import open_source
    from dynctr_tf.jobs.stages import build_for_training
    from dynctr_tf.jobs.update import day_settings, run_days
    from dynctr_tf.training import predict_logits, restore_training
    from pipelines.train import run

    def trained(name: str, path: str, test: Path | None) -> Path:
        shares = {"train": 0.9, "validation": 0.05, "test": 0.05}
        # If the test split has its own file, the other splits share the remaining rows in their proportions.
        data = dataclasses.replace(
            settings.data,
            name="tabular_file",
            path=path,
            schema=str(place / "schema.json"),
            test_path=None if test is None else str(test),
            options={"splits": shares},
            min_count=None,
            max_size=None,
            binning=None,
            split_by="random",
            directory=str(place / "encoded"),
        )
        export = dataclasses.replace(settings.export, directory=None)
        return run(dataclasses.replace(settings, data=data, export=export), place / settings.model.name / name)

    names = [file.stem for file in files[1:]]
    found: dict[str, dict[str, Evaluation]] = {UPDATED: {}, ANEW: {}, LEFT: {}}
    seconds = {}
    first = trained("first", str(files[0]), None)
    days = Days(first)
    start = time.perf_counter()
    run_days(days, _one_pass(days.settings(0)), [str(file) for file in files[1:]])
    seconds[UPDATED] = time.perf_counter() - start
    found[UPDATED] = {Path(name).stem: evaluation for name, evaluation in days.evaluations().items()}

    encoder, _ = days.encoder(0)
    model, optimizer = build_for_training(days.settings(0), encoder.features)
    restore_training(model, optimizer, first)
    for name, file in zip(names, files[1:], strict=True):
        source = OneSplit(open_source(day_settings(days, days.settings(0), str(file)).data))
        folder = place / settings.model.name / f"left-{name}"
        data = write_encoded_dataset(source, encoder, folder, progress=False)
        found[LEFT][name] = evaluate(data.column("train", "label"), predict_logits(model, data, "train"))
    seconds[LEFT] = 0.0

    start = time.perf_counter()
    for number, file in enumerate(files[1:], start=1):
        path = str(place / f"day_[0-{number - 1}].parquet") if number > 1 else str(files[0])
        folder = trained(f"before-{file.stem}", path, file)
        found[ANEW][file.stem] = Evaluation.load(folder / "evaluation.json")
    seconds[ANEW] = time.perf_counter() - start
    return found, seconds


def _one_pass(settings: JobSettings) -> JobSettings:
    return dataclasses.replace(settings, training=dataclasses.replace(settings.training, epochs=1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, replays the days, prints the table and draws the picture."""
    sections = ("data", "model", "optimizer", "training", "evaluation")
    parser = SettingsParser(
        __doc__ or "", sections, prog="python -m pipelines.benchmarks.daily_updates", table_options=table_options
    )
    parser.add_argument("--models", default="dnn,dynint_dgp", help="models, with commas between them")
    parser.add_argument("--days", default="7", help="how many days of equal size, or the rows of each with commas")
    parser.add_argument("--output", type=Path, default=Path("runs/daily_updates"), help="where all of it goes")
    settings, namespace = parser.parse_settings(arguments)
    with errors_as_messages(parser, goes_on=False):
        from dynctr_tf.evaluation import days_text, plot_days
        from dynctr_tf.jobs.preparing import open_source

        sizes = [int(size) for size in namespace.days.split(",")]
        if len(sizes) == 1:
            total = sum(len(batch.splits) for batch in open_source(settings.data).batches())
            sizes = [total // sizes[0]] * sizes[0]
        files = write_parts(settings, namespace.output, sizes)
        for name in namespace.models.split(","):
            model = dataclasses.replace(settings.model, name=name)
            found, seconds = replay(dataclasses.replace(settings, model=model), namespace.output, files)
            for way, evaluations in found.items():
                print(f"\n{name}, {way}: {seconds[way]:.0f} s\n{days_text(evaluations)}")
            picture = namespace.output / f"{name}.png"
            plot_days(picture, found, f"{name}, each day scored before it is trained on")
            print(f"picture: {picture}")


if __name__ == "__main__":
    main()
