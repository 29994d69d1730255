"""Prepare data, train a model, judge it on the test split, export it; killed and started again, it goes on.

`python -m pipelines.train` without arguments trains DynInt-DGP on clicks that the project makes itself.
`--config pipelines/configs/criteo_dynint_dgp.toml` takes a job from a file; options override it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dynctr_tf.configuration import JobSettings, SettingsParser


def run_directory(settings: JobSettings, runs: Path = Path("runs")) -> Path:
    """The folder of a job's checkpoints, log and reports: the same for the same data, model and training settings."""
    fingerprint = settings.fingerprint("data", "model", "optimizer", "training")
    return runs / f"{settings.data.name}-{settings.model.name}-{fingerprint}"


def run(settings: JobSettings, directory: Path) -> None:
    """Runs all stages and prints what came out."""
    from dynctr_tf.datasets.row_source import first_rows
    from dynctr_tf.evaluation import plot_run, sparsity_report
    from dynctr_tf.export import export_model, serving_line
    from dynctr_tf.training import TrainingLog
    from pipelines.stages import fit_model, judge, open_source, prepare

    start = time.perf_counter()
    data = prepare(settings.data)
    model, result = fit_model(settings, data, directory)
    if result.resumed_at:
        print(f"resumed at step {result.resumed_at:,} of {directory}")
    print(
        f"trained {result.steps:,} steps, best validation after {result.best.step:,} "
        f"(logloss {result.best.val_logloss:.4f}, AUC {result.best.val_auc:.4f}); "
        f"{result.rows_per_second:,.0f} rows/s, peak memory {result.peak_memory_mib:,.0f} MiB"
    )

    evaluation = judge(settings, data, model)
    (directory / "evaluation.json").write_text(evaluation.to_json(), encoding="utf-8")
    sparsity = sparsity_report(model, data.features)
    (directory / "sparsity.txt").write_text(sparsity.to_text() + "\n", encoding="utf-8")
    log = TrainingLog(directory / "log.csv")
    log.read(up_to_step=result.steps)
    picture = directory / "run.png"
    plot_run(log.validations, evaluation, picture)

    print(f"\n{settings.model.name} on the test split of {settings.data.name}")
    print(evaluation.to_text())
    print(
        f"\nrows of the embedding table that are zero: {np.mean(list(sparsity.zero_rows.values())):.1%}"
        f" (by field and variable: {directory / 'sparsity.txt'})"
    )
    print(f"picture of the run: {picture}")
    if settings.export.directory is not None:
        name = settings.export.name or f"{settings.data.name}-{settings.model.name}"
        sample = first_rows(open_source(settings.data), "test", 1000)
        path = export_model(model, data.encoder(), Path(settings.export.directory) / name, sample)
        print(f"SavedModel: {path}")
        print(f"serve it:   {serving_line(path)}")
    print(f"done in {time.perf_counter() - start:.0f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job, or lists the models."""
    parser = SettingsParser(__doc__ or "", prog="python -m pipelines.train")
    parser.add_argument("--list-models", action="store_true", help="list the models with their options and stop")
    settings, namespace = parser.parse_settings(arguments)
    if namespace.list_models:
        from dynctr_tf.models.catalogue import describe_models

        print(describe_models())
        return
    try:
        run(settings, run_directory(settings))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
