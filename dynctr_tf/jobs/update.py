"""Tomorrow's rows: a trained model goes on with them, day by day, with vocabularies that grow."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynctr_tf.datasets.one_split import OneSplit
from dynctr_tf.datasets.row_source import RowSource, first_rows
from dynctr_tf.durable_files import make_folder, only_process, read_json, remove_folder, write_text
from dynctr_tf.encoding import EncodedDataset, Encoder, ValueTally, grow_encoder, id_map, write_encoded_dataset
from dynctr_tf.evaluation import Evaluation, days_text, evaluate, plot_days
from dynctr_tf.evaluation.json_records import to_plain
from dynctr_tf.export import TableStorage, check_export_directory, export_model, roll_back
from dynctr_tf.export.export_card import CARD
from dynctr_tf.jobs.days import Day, Days, encoded_rows, plain
from dynctr_tf.jobs.exporting import folder_here, served_folder, to_its_place
from dynctr_tf.jobs.keys import check_keys, key_callbacks, key_counts
from dynctr_tf.jobs.preparing import open_source
from dynctr_tf.jobs.pretrained import load_vectors
from dynctr_tf.jobs.records import check_unchanged, data_record, load_logits, save_logits, vector_digests
from dynctr_tf.jobs.settings import JobSettings, has_keys, on_one_device
from dynctr_tf.jobs.settings_file import write_settings
from dynctr_tf.jobs.stages import build_for_training
from dynctr_tf.training import (
    carry_over,
    indexed_features,
    plan_steps,
    predict_logits,
    restore_training,
    train,
)
from dynctr_tf.training.checkpoints import Checkpoints
from dynctr_tf.training.reproducibility import machine_record
from dynctr_tf.version import __version__


def day_settings(days: Days, settings: JobSettings, path: str | None) -> JobSettings:
    """The settings of one day: those of the run, with the file of the day.

    Args:
        days: The run.
        settings: The settings that were asked for.
        path: The file of the day; `None` for rows that the project makes itself, by `data.seed`.

    Raises:
        ValueError: Another model, optimizer or schema than the run's.
    """
    first = days.settings(0)
    for section in ("model", "optimizer"):
        mine, runs = (getattr(one, section) for one in (settings, first))
        if mine.name != runs.name or (section == "model" and mine.options != runs.options):
            raise ValueError(
                f"The {section} is the run's, {runs.name!r} with its options: an update goes on from its weights and "
                f"state. To train {'another model' if section == 'model' else 'by another optimizer'}, start "
                "`dynctr train`."
            )
    if settings.optimizer.schedule == "cosine":
        raise ValueError(
            "The learning rates of the run have fallen along a cosine to its end, so that nothing would be learnt from "
            "new rows: give --optimizer.schedule constant, and --optimizer.options.learning_rate for another rate."
        )
    fixed = ("name", "schema", "min_count", "max_size", "binning", "keys", "options")
    for name in fixed:
        asked, had = getattr(settings.data, name), getattr(first.data, name)
        if asked != had:
            raise ValueError(
                f"data.{name} is the run's, {had!r}: its vocabularies and bins were fitted by it (got {asked!r})."
            )
    # All rows of the day are trained on, whatever split they would be in.
    data = dataclasses.replace(settings.data, split_by="random", validation_path=None, test_path=None, path=path)
    if first.data.schema is not None:
        data = dataclasses.replace(data, schema=str(days.run / "schema.json"))
    training = dataclasses.replace(settings.training, evaluate_every=None, patience=None)
    made = on_one_device(dataclasses.replace(settings, data=data, training=training))
    check_keys(made)
    return made


def run_days(
    days: Days, settings: JobSettings, paths: Sequence[str | None], *, drop_after: int | None = None
) -> list[Day]:
    """Trains a model on days of new rows, one after another, and exports a version after each.

    Each day's rows are first scored with the weights of the day before: that is what the served model reached on that
    day. Then the vocabularies grow, and each value keeps its table row and its optimizer state. The model is trained on
    all rows of the day, `training.epochs` times, and the next version is exported beside the earlier ones. A day that
    was interrupted goes on where it stopped; a day whose rows were trained on before is skipped.

    Args:
        days: The run.
        settings: The run's settings, with the changes that were asked for.
        paths: The files of the days; `None` for rows that the project makes itself.
        drop_after: As in `dynctr_tf.encoding.grow_encoder`. Default `None`: no id is dropped.

    Returns:
        The days that were trained on.

    Raises:
        ValueError: What `day_settings` refuses, rows of another schema, or a file that lacks a column.
        BusyError: Another process updates the run.
    """
    served = served_folder(settings)
    if served is not None:
        check_export_directory(served)
    all_settings = [day_settings(days, settings, path) for path in paths]
    # Errors of the last file come before the first one is trained on.
    sources = [OneSplit(open_source(one.data)) for one in all_settings]
    done = []
    with only_process(make_folder(days.run / "days") / ".lock", f"updates {days.run}"):
        for one, source in zip(all_settings, sources, strict=True):
            day = _run_day(days, one, source, drop_after)
            if day is not None:
                done.append(day)
    return done


def go_back(days: Days, settings: JobSettings, version: int) -> Path:
    """Serves an earlier version of a run again, and lets the next day go on from the state that made it.

    Args:
        days: The run.
        settings: The run's settings, with the changes that were asked for.
        version: The number of the version.

    Returns:
        The folder of the version that is served now.

    Raises:
        ValueError: Nothing is exported, there is no such version, another run made it, or its state is not kept any
            more.
        BusyError: Another process updates the run.
    """
    served = served_folder(settings)
    if served is None:
        raise ValueError("export.directory is none, so there are no versions to go back to; give --export.directory.")
    if isinstance(served, str):
        raise ValueError(
            f"{served}: an update goes back to versions in a folder of this machine. `dynctr publish --to {served} "
            f"--rollback {version}` serves version {version} again; the next update goes on from the newest "
            "state of the run."
        )
    folder = served / str(version)
    with only_process(make_folder(days.run / "days") / ".lock", f"updates {days.run}"):
        number = 0
        if folder.exists():
            # Checked before anything changes: whether the next day could go on from there.
            card = folder / CARD
            number = days.day_of_version(folder, read_json(card) if card.exists() else {})
            days.training(number)
        path = roll_back(served, version)
        days.go_on_from(number)
    print(
        f"{path} is version {version}; the next update goes on from {f'day {number}' if number else 'the run itself'}"
    )
    return path


def _run_day(days: Days, settings: JobSettings, source: RowSource, drop_after: int | None) -> Day | None:
    fingerprint, about = data_record(settings.data, source)
    digests = sorted(file["digest"] for file in about["files"])
    rows_key = ",".join(digests) or json.dumps({**about["settings"], "directory": None}, sort_keys=True)
    name = Path(settings.data.path).name if settings.data.path is not None else f"seed {settings.data.seed}"
    before = days.head
    if digests and digests == sorted(file["digest"] for file in days.record.rows["files"]):
        print(f"{name}: the run itself was trained on these rows; they are not trained on again")
        return None
    chain = days.chain()
    for earlier in chain:
        if earlier.rows_key == rows_key:
            print(f"{name}: trained on before, as day {earlier.number}; it is not trained on again")
            return None

    encoder, tally = days.encoder(before)
    if source.schema != encoder.schema:
        raise ValueError(
            f"{name} is read by another schema than that of {days.place.name}, whose vocabularies were fitted by it."
        )
    training = settings.training
    of_training = ("batch_size", "epochs", "seed", "deterministic", "mixed_precision")
    asked = {
        # Model, encoder and tally follow from the run and the day before.
        "run": days.record.fingerprint,
        "goes_on_from": [earlier.made_of for earlier in chain[-1:]],
        "optimizer": dataclasses.asdict(settings.optimizer),
        "training": {key: getattr(training, key) for key in of_training},
        "drop_after": drop_after,
        "rows": fingerprint,
        **({"vectors": vector_digests(settings)} if settings.pretrained.files() else {}),
        **({"keys": dataclasses.asdict(settings.keys)} if has_keys(settings) else {}),
    }
    made_of = hashlib.sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    number = days.begun(rows_key, made_of)
    folder = days.folder(number)
    day = Day(number, before, name, rows_key, made_of)
    if days.load(number) is None:
        # A day has begun once it has a record; its settings are written by then.
        write_settings(make_folder(folder) / "settings.toml", settings)
        days.save(day)
    else:
        print(f"day {number}, {name}, was interrupted; it goes on")

    model, optimizer = build_for_training(days.settings(before), encoder.features)
    restore_training(model, optimizer, days.training(before))
    fixed = indexed_features(model, encoder.features)
    data = _encoded(settings, source, about, encoder, tally, made_of, fixed, drop_after)
    grown = data.encoder()
    print(f"\nday {number}, {name}: {data.num_rows('train'):,} rows")
    for reason, count in data.skipped.items():
        print(f"skipped {count:,} rows: {reason}")
    for line in growth_lines(data.about["growth"], grown):
        print(line)
    ids = id_map(encoder, grown)
    grown_model, grown_optimizer = build_for_training(settings, grown.features)
    grown_optimizer.build(grown_model.trainable_variables)
    carry_over(model, grown_model, ids, optimizer, grown_optimizer)
    del model, optimizer

    evaluation = _progressive(days, day, settings, data, grown_model)
    # What was served knew no new value, so that their vectors come after its score.
    for line in load_vectors(settings, grown, grown_model, new=ids, optimizer=grown_optimizer):
        print(line)
    keys_before = key_counts(grown_model)
    plan = plan_steps(data.num_rows("train"), batch_size=training.batch_size)
    result = train(
        grown_model,
        data,
        grown_optimizer,
        directory=folder / "training",
        batch_size=plan.batch_size,
        epochs=training.epochs,
        evaluate_every=plan.evaluate_every,
        monitor="none",
        seed=training.seed,
        tensorboard=False,
        callbacks=key_callbacks(settings, grown_model),
        after_checkpoint=days.place.copy,
    )
    print(f"trained {result.steps:,} steps; {result.rows_per_second:,.0f} rows/s")
    for counts, now in zip(keys_before, key_counts(grown_model), strict=True):
        print(now.to_text(since=counts))
    if not (folder / "encoder" / "encoder.json").exists():
        if (folder / "encoder").exists():
            remove_folder(folder / "encoder")
        grown.tally = ValueTally.load(Path(data.directory) / "encoder")
        grown.save(folder / "encoder")
    version = _export(days, day, settings, source, about, grown, grown_model, evaluation)
    weights = _weights(data)
    labels = data.column("train", "label").astype(np.float64)
    day = dataclasses.replace(
        day,
        finished=True,
        clicks=float((labels * weights).sum()),
        weight=float(weights.sum()),
        version=version,
        about=plain({**about, "growth": data.about["growth"], "rows": data.num_rows("train"), "steps": result.steps}),
    )
    days.save(day)
    days.go_on_from(number)
    Checkpoints(folder / "training").keep_only(result.steps)
    days.forget_old_states()
    days.place.copy()
    remove_folder(data.directory)
    return day


def _weights(data: EncodedDataset) -> np.ndarray:
    if data.schema.row_weight:
        return data.column("train", "weight").astype(np.float64)
    return np.ones(data.num_rows("train"))


def _encoded(
    settings: JobSettings,
    source: RowSource,
    about: Mapping[str, Any],
    encoder: Encoder,
    tally: ValueTally | None,
    made_of: str,
    fixed: Sequence[str],
    drop_after: int | None,
) -> EncodedDataset:
    """Lets the vocabularies grow and encodes the rows, or opens the rows that were encoded before the interruption."""
    directory = encoded_rows(settings, made_of)
    with only_process(
        make_folder(directory.parent) / f".{directory.name}.lock", "encodes the same rows", wait_seconds=None
    ):
        if (directory / "index.json").exists():
            return EncodedDataset.open(directory)
        if tally is None and any(
            feature.vocabulary.min_count > 1 or feature.vocabulary.max_size is not None
            for feature in encoder.schema.features
        ):
            print(
                "NOTE: the counts of values without an id are not known, because the rows were encoded by an "
                "earlier version; their counts begin with this day"
            )
        grown, growth = grow_encoder(encoder, tally, source, fixed=fixed, drop_after=drop_after)
        return write_encoded_dataset(
            source,
            grown,
            directory,
            about={**about, "growth": {name: dataclasses.asdict(each) for name, each in growth.items()}},
            check=lambda: check_unchanged(source, settings.data, about),
        )


def growth_lines(growth: Mapping[str, Mapping[str, Any]], encoder: Encoder) -> list[str]:
    """Says how vocabularies have grown, in a few lines.

    Args:
        growth: What `grow_encoder` returned, as plain values.
        encoder: The grown encoder.
    """
    added = {name: each["added"] for name, each in growth.items() if each["added"]}
    shown = ", ".join(f"{name} +{count:,}" for name, count in sorted(added.items(), key=lambda pair: -pair[1])[:5])
    more = f" and {len(added) - 5} more" if len(added) > 5 else ""
    new = f"{sum(added.values()):,} are new" + (f" ({shown}{more})" if added else "")
    lines = [f"ids: {encoder.features.num_vocabulary_ids:,}, of which {new}"]
    for what, key in (("made room for more frequent ones", "displaced"), ("have not been seen for long", "dropped")):
        count = sum(each[key] for each in growth.values())
        if count:
            lines.append(f"{count:,} values lost their ids: they {what}")
    waiting = sum(each["left_out"] for each in growth.values() if not each["fixed"])
    if waiting:
        lines.append(f"{waiting:,} values are counted and have no id yet")
    lines += [
        f"NOTE: {each['left_out']:,} new values of {name!r} are treated as unknown: the model has weights for "
        "each value, and gets weights for new ones when it is trained anew"
        for name, each in growth.items()
        if each["fixed"] and each["left_out"]
    ]
    return lines


def _progressive(days: Days, day: Day, settings: JobSettings, data: EncodedDataset, model: Any) -> Evaluation:
    """Scores the day's rows before they are trained on, once."""
    folder = days.folder(day.number)
    try:
        logits = load_logits(folder, data, "train")
    except FileNotFoundError:
        logits = predict_logits(model, data, "train", settings.evaluation.batch_size)
        save_logits(folder, data, logits, "train")
    schema = data.schema
    evaluation = evaluate(
        data.column("train", "label"),
        logits,
        name=settings.model.name,
        weights=data.column("train", "weight") if schema.row_weight else None,
        true_probability=data.column("train", "true_probability") if schema.true_probability else None,
        replicates=settings.evaluation.replicates,
    )
    evaluation.save(folder / "evaluation.json")
    print("before it is trained on:")
    print("\n".join(days_text({day.name: evaluation}).splitlines()[2:]))
    return evaluation


def _export(
    days: Days,
    day: Day,
    settings: JobSettings,
    source: RowSource,
    about: Mapping[str, Any],
    encoder: Encoder,
    model: Any,
    evaluation: Evaluation,
) -> str | None:
    folder = folder_here(settings, days.run)
    if folder is None:
        return None
    card = {
        "run": days.run.name,
        "run_folder": days.place.name,
        "day": day.number,
        "goes_on_from": day.goes_on_from,
        "fingerprint": days.record.fingerprint,
        "settings": plain(settings.to_mapping()),
        "machine": machine_record(),
        "files": about["files"],
        "before_the_day": to_plain(evaluation.metrics),
        "library": __version__,
    }
    path = export_model(
        model,
        encoder,
        folder,
        first_rows(source, "train", 1000),
        about=card,
        fold=settings.export.fold,
        group_tables=settings.export.group_tables,
        constant_weights=settings.export.constant_weights,
        tables=TableStorage(settings.export.without_zero_rows, settings.export.table_numbers),
        negative_sampling_rate=settings.data.negative_sampling_rate or 1.0,
    )
    place = to_its_place(settings, path)
    print(f"SavedModel: {place}")
    return str(place)


def report(days: Days) -> str:
    """Writes the table and the picture of all days of the present state, and returns the table."""
    evaluations = days.evaluations()
    if not evaluations:
        return ""
    text = days_text(evaluations)
    write_text(days.run / "days" / "days.txt", text)
    name = days.settings(0).model.name
    plot_days(days.run / "days" / "days.png", {name: evaluations}, f"{name}, each day scored before it is trained on")
    return text
