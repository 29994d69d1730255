"""Prepare data, train a model, judge it on the test split, export it; killed and started again, it goes on.

`python -m pipelines.train` without arguments trains DynInt-DGP on clicks that the project makes itself.
`--config pipelines/configs/criteo_display_ads.toml` takes a job from a file; options override it.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dynctr_tf.jobs.option_tables import table_options
from dynctr_tf.jobs.settings import JobSettings
from pipelines import PAIRS, allow_xla_on_cpu, errors_as_messages
from pipelines.rows_options import path_or_uri
from pipelines.settings_parser import SettingsParser

if TYPE_CHECKING:
    from tensorflow import keras

    from dynctr_tf.encoding import EncodedDataset
    from dynctr_tf.jobs.run_places import RunPlace
    from dynctr_tf.training import TrainingResult
    from dynctr_tf.training.run_record import RunRecord


def run(settings: JobSettings, wanted: Path | str | None = None) -> Path:
    """Runs all stages and prints the results.

    Args:
        settings: The settings of the job.
        wanted: The folder of the run, or its URI. Default `None`: one under `runs/`, named after rows, settings and
            code.

    Returns:
        The folder: the wanted one, or one beside it if the wanted one holds another run; for a URI that of this machine
        which was copied there.
    """
    from dynctr_tf.export import check_export_directory
    from dynctr_tf.jobs.exporting import served_folder
    from dynctr_tf.jobs.preparing import prepare
    from dynctr_tf.jobs.records import training_record
    from dynctr_tf.jobs.run_places import check_run_place, new_run
    from dynctr_tf.jobs.stages import (
        check_evaluation,
        check_model,
        complete_settings,
        task_of_cluster,
        training_strategy,
    )
    from dynctr_tf.training.precision import bfloat16_unit, mixed_precision_advice
    from dynctr_tf.training.strategies import is_chief
    from dynctr_tf.training.workers import wait_for_all

    start = time.perf_counter()
    # Errors come before hours of work.
    check_model(settings)
    check_run_place(wanted, settings, "--run-directory")
    served = served_folder(settings)
    if served is not None:
        check_export_directory(served)
    strategy = training_strategy(settings)
    data = prepare(settings.data, task_of_cluster(settings))
    settings = complete_settings(settings, data)
    if settings.training.strategy != "tpu":  # whose cores are not part of this machine
        advice = mixed_precision_advice(bfloat16_unit(), settings.training.mixed_precision)
        print(advice, end="\n" if advice else "")
    check_evaluation(settings, data)
    record = training_record(settings, data)
    name = f"{settings.data.name}-{settings.model.name}"
    with new_run(wanted, name, record, say=is_chief(strategy)) as place:
        if is_chief(strategy):
            _train_and_report(settings, data, record, place)
        else:
            _train_with_chief(settings, data, place)
    if is_chief(strategy):
        print(f"done in {time.perf_counter() - start:.0f} s")
    wait_for_all(strategy)  # a worker that ends early would look like a lost one
    return place.folder


def _train_with_chief(settings: JobSettings, data: EncodedDataset, place: RunPlace) -> None:
    """What the other workers of a multi-worker job do."""
    from dynctr_tf.jobs.stages import fit_model
    from dynctr_tf.training import predict_logits

    model, result = fit_model(settings, data, place.folder)
    _say_trained(settings, data, model, result, place.folder)
    predict_logits(model, data, "test", settings.evaluation.batch_size)


def _say_trained(
    settings: JobSettings, data: EncodedDataset, model: keras.Model, result: TrainingResult, directory: Path
) -> None:
    from dynctr_tf.figures import figures_text
    from dynctr_tf.jobs.keys import key_lines
    from dynctr_tf.training.steps import unfinished

    if result.resumed_at:
        print(f"resumed at step {result.resumed_at:,} of {directory}")
    print(
        f"trained {result.steps:,} steps, best validation after {result.best.step:,} "
        f"(logloss {figures_text(result.best.val_logloss)}, AUC {figures_text(result.best.val_auc)}); "
        f"{result.rows_per_second:,.0f} rows/s, peak memory {result.peak_memory_mib:,.0f} MiB"
    )
    short = unfinished(
        result.steps, result.best.step, stopped_early=result.stopped_early, epochs=settings.training.epochs
    )
    if short:
        print(short)
    for line in key_lines(model, data):
        print(line)


def _train_and_report(settings: JobSettings, data: EncodedDataset, record: RunRecord, place: RunPlace) -> None:
    """Trains into a folder, judges, exports, and prints the results."""
    from dynctr_tf.durable_files import write_json, write_text
    from dynctr_tf.evaluation import (
        LearningCurve,
        plot_run,
        plot_scenarios,
        plot_slices,
        removed_message,
        sparsity_report,
    )
    from dynctr_tf.export import serving_line
    from dynctr_tf.export.versions_at_uris import newest_number
    from dynctr_tf.jobs.exporting import export_apart, export_trained, served_folder, to_its_place
    from dynctr_tf.jobs.keys import key_counts
    from dynctr_tf.jobs.records import card_of, save_logits, save_run
    from dynctr_tf.jobs.stages import (
        fit_model,
        judge,
        judge_scenarios,
        judge_served,
        judge_slices,
        model_for_export,
        training_strategy,
        worse_than_base_rate,
    )
    from dynctr_tf.training import predict_logits
    from dynctr_tf.training.key_rows import count_parameters
    from dynctr_tf.training.strategies import is_parameter_server
    from dynctr_tf.uris import parts_of

    directory, strategy, served = place.folder, training_strategy(settings), served_folder(settings)
    save_run(directory, settings, data, record)
    place.copy()
    model, result = fit_model(settings, data, directory, place.copy)
    _say_trained(settings, data, model, result, directory)
    logits = predict_logits(model, data, "test", settings.evaluation.batch_size)
    # Tables on servers stay there, as this process may not have the memory for them.
    on_servers = is_parameter_server(strategy)
    if not on_servers:
        model = model_for_export(settings, data, model)
    save_logits(directory, data, logits)
    evaluation = judge(settings, data, logits)
    evaluation.save(directory / "evaluation.json")
    as_served, slices = judge_served(settings, data, logits), judge_slices(settings, data, logits)
    scenarios = judge_scenarios(settings, data, {settings.model.name: logits})
    sparsity = sparsity_report(model, data.features)
    write_text(directory / "sparsity.txt", sparsity.to_text() + "\n")
    zero_rows = sparsity.all_fields.share
    made_by = {"fingerprint": record.fingerprint, "rows": data.fingerprint}
    zeros = {"zero_rows": zero_rows, "removed": sparsity.removed}
    figures = {**made_by, **dataclasses.asdict(result), "parameters": count_parameters(model), **zeros}
    if counts := key_counts(model):
        figures["keys"] = [dataclasses.asdict(one) for one in counts]
    write_json(directory / "result.json", figures)
    picture = directory / "run.png"
    plot_run(picture, evaluation, LearningCurve.from_csv(directory / "log.csv"))

    print(f"\n{evaluation.to_text()}")
    if as_served is not None:
        as_served.save(directory / "evaluation_as_served.json")
        rate = settings.data.negative_sampling_rate
        print(f"as served; each row without a click stands for {1.0 / (rate or 1.0):.4g} such rows:")
        print(as_served.to_text())
    if slices is not None:
        slices.save(directory / "slices.json")
        plot_slices(directory / "slices.png", slices)
        print(f"{slices.to_text()}picture of the slices: {directory / 'slices.png'}\n")
    print(f"embedding rows that are zero: {zero_rows:.1%} (by field and variable: {directory / 'sparsity.txt'})")
    if sparsity.removed:
        print(removed_message(sparsity.removed))
    print(f"picture of the run: {picture}")
    if scenarios is not None:
        scenarios.save(directory / "scenarios.json")
        write_text(directory / "scenarios.txt", scenarios.to_text(max_scenarios=10_000))
        plot_scenarios(directory / "scenarios.png", scenarios)
        print(f"\n{scenarios.to_text()}picture of the scenarios: {directory / 'scenarios.png'}")
    worse = worse_than_base_rate(data, result.best.val_logloss)
    refused = bool(worse) and not settings.export.even_if_worse_than_base_rate
    if worse:
        print(f"\n{worse}")
    if served is not None and refused:
        print("It is not exported; --export.even_if_worse_than_base_rate true exports it all the same.")
    elif served is not None:
        newest = newest_number(served)
        card = card_of(directory, record, evaluation, result.best, as_served, place=place.name)
        path, size = (
            export_apart(directory, card)
            if on_servers
            else export_trained(settings, data, model, logits, card, directory)
        )
        version = to_its_place(settings, path)
        unchanged = int(parts_of(str(version))[1]) <= newest
        print(f"SavedModel: {version}{' (exported before, unchanged)' if unchanged else ''}")
        print(f"            {size}")
        print(f"serve it:   {serving_line(version)}")


class _ListModels(argparse.Action):
    """Prints the models and ends the program, as `--help` does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from dynctr_tf.models.catalogue import describe_models

        print(describe_models())
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    sections = [section for section in JobSettings().to_mapping() if section != "search"]
    parser = SettingsParser(
        __doc__ or "", sections, prog="python -m pipelines.train", pairs=PAIRS, table_options=table_options
    )
    parser.add_argument(
        "--run-directory",
        type=path_or_uri,
        help="folder of this run, or one beside it if it holds another run; by default one under runs/; also at a URI "
        "(gs://, s3://, hdfs://), where each checkpoint is copied and another machine goes on from it",
    )
    parser.add_argument(
        "--list-models", action=_ListModels, nargs=0, help="list the models with their options and stop"
    )
    settings, namespace = parser.parse_settings(arguments)
    if settings.training.xla:
        allow_xla_on_cpu()
    with errors_as_messages(parser):
        from dynctr_tf.jobs.stages import as_part_of_cluster

        as_part_of_cluster(settings, lambda: run(settings, namespace.run_directory))


if __name__ == "__main__":
    main()
