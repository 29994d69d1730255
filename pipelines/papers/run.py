"""Runs a table: searches and trainings in separate processes, then their results, data set by data set."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynctr_tf.child_processes import child_environment
from dynctr_tf.durable_files import make_folder, read_array, remove_abandoned
from dynctr_tf.jobs.settings import JobSettings
from pipelines.compare import Comparison, FuxiCTR, caption, removed_matrices
from pipelines.papers.descriptions import Item
from pipelines.papers.experiment import Rows, Settings
from pipelines.papers.measure import Cell, Line, Measured, Runs, measure

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a table is run.

    Args:
        item: The table.
        settings: The settings file.
        seeds: Trainings of each model.
        trials: Searched settings of each model; `None` for the whole grid where the settings have one, else none.
        workers: Trainings at a time.
        output: The folder of all results.
        replicates: Bootstrap resamples for each interval.
        fuxictr: Where FuxiCTR is. Default `None`: it is not run.
        part: Which part of the rows this process trains, and of how many. Default `(1, 1)`: all.
    """

    item: Item
    settings: Settings
    seeds: int
    trials: int | None
    workers: int
    output: Path
    replicates: int
    fuxictr: FuxiCTR | None = None
    part: tuple[int, int] = (1, 1)

    @property
    def folder(self) -> Path:
        """The folder of this table."""
        return self.output / self.item.paper / self.item.key


def member_settings(plan: Plan, rows: Rows, train_rows: int | None) -> dict[str, JobSettings]:
    """The settings of each training of a table, by its name for files.

    Args:
        plan: How the table is run.
        rows: The rows.
        train_rows: How many of them train, to which G-FTRL's strengths are scaled where the settings file says so;
            `None` where that is not known yet.

    Raises:
        ValueError: The settings are wrong; the message says how.
    """
    found = {}
    for system in plan.item.systems:
        for name, model in system.members.items():
            own = plan.settings.of_system(plan.item, system, model, rows)
            data = dataclasses.replace(own.data, directory=str(plan.output / "data"))
            optimizer, search = own.optimizer, own.search
            if plan.settings.scale_by_rows and optimizer.name == "group_ftrl" and train_rows is not None:
                options = {**optimizer.options, "rows": train_rows}
                optimizer = dataclasses.replace(optimizer, options=options)
            if plan.trials is not None and search.tuner == "grid":
                search = dataclasses.replace(search, tuner="random")
            found[name] = dataclasses.replace(own, data=data, optimizer=optimizer, search=search)
    return found


def trials_of(settings: JobSettings, wanted: int | None) -> int:
    """How many settings are searched for a model: the given number, or the whole grid; 0 if there is no space.

    Args:
        settings: The settings of the model.
        wanted: As `Plan.trials`.
    """
    from dynctr_tf.tuning import grid_size, with_own_space

    model, optimizer = settings.model.name, settings.optimizer.name
    space, _ = with_own_space({}, settings.search.space, model, optimizer)
    if not space:
        return 0
    if wanted is not None:
        return wanted
    return grid_size(space) if settings.search.tuner == "grid" else 0


def encoded_rows(plan: Plan, rows: Rows) -> EncodedDataset:
    """Encodes the rows of a data set, or opens what is encoded of them.

    Args:
        plan: How the table is run.
        rows: The rows.

    Raises:
        ValueError: The rows are wrong; the message says how.
    """
    from dynctr_tf.jobs.preparing import prepare
    from dynctr_tf.jobs.settings import DataSettings

    return prepare(DataSettings(**{**rows.data, "directory": str(plan.output / "data")}))


def check_rows(plan: Plan, rows: Rows) -> None:
    """Encodes a data set and checks the settings of its trainings, before the first of all data sets begins.

    Args:
        plan: How the table is run.
        rows: The rows.

    Raises:
        ValueError: The settings or the rows are wrong; the message says how.
        OSError: A file is absent or cannot be read.
    """
    from dynctr_tf.jobs.stages import check_model

    for own in member_settings(plan, rows, None).values():
        check_model(own)
    encoded_rows(plan, rows)


def run_rows(plan: Plan, rows: Rows) -> Measured | None:
    """Runs a table on one data set, or goes on with it; `None` where this process trains a part alone.

    Args:
        plan: How the table is run.
        rows: The rows.

    Raises:
        ValueError: The settings or the rows are wrong; the message says how.
        RuntimeError: A training failed; the end of what it said is in the message.
    """
    from dynctr_tf.jobs.stages import check_evaluation, complete_settings

    folder = make_folder(plan.folder / rows.name)
    remove_abandoned(folder)
    data = encoded_rows(plan, rows)
    counts = {split: data.num_rows(split) for split in data.split_names}
    settings = member_settings(plan, rows, counts["train"])
    number, parts = plan.part
    own = dict(list(settings.items())[number - 1 :: parts])
    if not own:
        return None
    trials = {name: trials_of(one, plan.trials) for name, one in own.items()}
    # Other tables that have been run on these rows: a model that several of them have is trained once.
    others = [path for path in sorted(plan.output.glob(f"*/*/{rows.name}")) if path != folder]
    comparison = Comparison(own, plan.seeds, trials, folder, plan.fuxictr, others)
    for one in own.values():
        check_evaluation(complete_settings(one, data, say=False), data)
    comparison.run(data, plan.workers)
    if parts > 1:
        return None
    trained = {name: comparison.trained_settings(name) for name in comparison.models}
    runs = _collected(plan.item, comparison, data)
    printed = plan.item.printed.get(rows.name, {})
    lines, notes = measure(plan.item, data, runs, printed, replicates=plan.replicates)
    measured = Measured(
        rows.name,
        rows.what,
        counts,
        float(data.column("test", "label").sum()),
        data.fingerprint,
        lines,
        (
            *notes,
            *removed_matrices(runs.results),
            *(line.strip() for line in caption(comparison, trained, data).splitlines()),
        ),
        {name: _in_one_line(own) for name, own in trained.items()},
    )
    return dataclasses.replace(measured, pictures=_pictures(plan, measured, comparison))


def statistics_of(plan: Plan, rows: Rows) -> Measured:
    """Counts the rows, fields and ids of a data set, for a table of data sets."""
    data = encoded_rows(plan, rows)
    counts = {split: data.num_rows(split) for split in data.split_names}
    found = {"rows": sum(counts.values()), "fields": data.features.num_fields, "ids": data.features.num_ids}
    cells = tuple(Cell(float(found[column.metric])) for column in plan.item.columns)
    printed = plan.item.printed.get(rows.name, {}).get("data set")
    line = Line("data set", cells, tuple(printed) if printed else (None,) * len(cells), 1)
    clicks = float(data.column("test", "label").sum())
    return Measured(rows.name, rows.what, counts, clicks, data.fingerprint, (line,))


def run_command(plan: Plan) -> str:
    """Runs the job that measures a table, and returns what it printed; its files go to the table's folder.

    Raises:
        RuntimeError: It failed; the end of what it said is in the message.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **child_environment()}
    done = subprocess.run(
        [sys.executable, "-m", *plan.item.command, "--output", str(make_folder(plan.folder))],
        capture_output=True, check=False, text=True, errors="replace", env=environment,
    )  # fmt: skip
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{' '.join(plan.item.command)} ended with {done.returncode}; its end says:\n{end}")
    return done.stdout


def _collected(item: Item, comparison: Comparison, data: EncodedDataset) -> Runs:
    """Joins the runs of the trainings of each row of the table, with FuxiCTR's beside them."""
    from dynctr_tf.durable_files import read_json
    from dynctr_tf.jobs.records import load_logits

    logits = {name: [load_logits(folder, data) for folder in comparison.folders[name]] for name in comparison.models}
    results = {
        name: [read_json(folder / "result.json") for folder in comparison.folders[name]] for name in comparison.models
    }
    predictions: dict[str, list[np.ndarray]] = {}
    of_rows: dict[str, list[Any]] = {}
    settings: dict[str, JobSettings] = {}
    for system in item.systems:
        if not system.mean_of:
            predictions[system.name] = [run for name in system.members for run in logits[name]]
            of_rows[system.name] = [run for name in system.members for run in results[name]]
            settings[system.name] = comparison.trained_settings(next(iter(system.members)))
    for system in item.systems:
        if system.mean_of:
            predictions[system.name] = [run for name in system.mean_of for run in predictions[name]]
            of_rows[system.name] = [run for name in system.mean_of for run in of_rows[name]]
    for system in item.systems:
        for name in system.members:
            if (peer := comparison.peers.get(name)) is not None:
                (folder,) = comparison.folders[peer]
                files = [folder / f"seed{seed}.npy" for seed in range(comparison.seeds)]
                predictions[f"FuxiCTR {system.name}"] = [read_array(file) for file in files]
    return Runs(predictions, of_rows, settings)


def _in_one_line(settings: JobSettings) -> str:
    options = {**settings.model.options, **{f"optimizer.{k}": v for k, v in settings.optimizer.options.items()}}
    text = ", ".join(f"{path} = {value}" for path, value in sorted(options.items()))
    training = settings.training
    return f"{settings.model.name}, {settings.optimizer.name}, batch {training.batch_size}, {text}"


def _pictures(plan: Plan, measured: Measured, comparison: Comparison) -> dict[str, str]:
    from pipelines.papers.pictures import plot_lines, plot_singular_values, values_for_share

    found: dict[str, str] = {}
    if plan.item.x_label:
        path = plan.folder / f"{measured.data}.png"
        plot_lines(path, plan.item, measured.lines, f"{measured.data}, {measured.what}")
        found[path.name] = (
            f"{measured.data}: ours with 95 % intervals, the paper's shape in grey where it prints numbers."
        )
    if plan.item.kind == "singular_values":
        values = singular_values(comparison.folders[comparison.models[0]][0])
        path = plan.folder / f"{measured.data}.png"
        plot_singular_values(path, values, f"{measured.data}, {measured.what}")
        needed = {layer: values_for_share(own) for layer, own in values.items()}
        size = len(next(iter(values.values())))
        words = ", ".join(f"{count} of {layer}" for layer, count in needed.items())
        found[path.name] = (
            f"{measured.data}: of {size} singular values the largest hold 90 % of the squared sum; it takes {words}."
        )
    return found


def singular_values(folder: Path) -> dict[str, np.ndarray]:
    """The singular values of the square matrices of a trained model, layer by layer, in descending order.

    Args:
        folder: The folder of the training.

    Raises:
        ValueError: The model has no square matrix.
    """
    from dynctr_tf.jobs.explain import open_run

    run = open_run(folder)
    found = {}
    for layer in run.model.layers:
        for weight in layer.trainable_weights:
            if len(weight.shape) == 2 and weight.shape[0] == weight.shape[1] != run.data.features.num_ids:
                found[layer.name] = np.linalg.svd(np.asarray(weight), compute_uv=False)
    if not found:
        raise ValueError(f"The model in {folder} has no square matrix.")
    return found
