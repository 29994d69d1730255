"""Searches hyper-parameters: what is drawn, the trials, and the settings of the best one as a file."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynctr_tf.durable_files import DamagedFileError, file_checksum, read_json, write_json, write_text
from dynctr_tf.jobs.preparing import prepare
from dynctr_tf.jobs.records import save_run, training_record
from dynctr_tf.jobs.run_places import check_run_place, new_run
from dynctr_tf.jobs.settings import JobSettings, SearchSettings
from dynctr_tf.jobs.settings_file import write_settings
from dynctr_tf.jobs.stages import (
    check_evaluation,
    check_model,
    check_one_at_a_time,
    complete_settings,
    fit_model,
    task_of_cluster,
    training_strategy,
    worse_than_base_rate,
)
from dynctr_tf.models.catalogue import model_entry
from dynctr_tf.optimizers.registry import optimizer_of
from dynctr_tf.training.strategies import is_chief
from dynctr_tf.training.workers import lost_workers_end_the_process, text_of_chief, wait_for_all
from dynctr_tf.tuning import (
    catalogue_space,
    memory_growth,
    plot_search,
    reached_ends,
    search,
    trials_table,
    with_own_space,
)
from dynctr_tf.tuning.search_space import options_of

if TYPE_CHECKING:
    import tensorflow as tf

    from dynctr_tf.encoding import EncodedDataset
    from dynctr_tf.jobs.run_places import RunPlace
    from dynctr_tf.models.catalogue import SearchSpace
    from dynctr_tf.training.run_record import RunRecord


def with_values(settings: JobSettings, values: Mapping[str, Any]) -> JobSettings:
    """The settings with values of hyper-parameters, named `model.NAME`, `optimizer.NAME` or `training.NAME`."""
    sections: dict[str, Any] = {}
    for section in ("model", "optimizer"):
        own = getattr(settings, section)
        sections[section] = dataclasses.replace(own, options={**own.options, **options_of(section, values)})
    # An option that equals the default is left out: a settings file has no word for Python's None.
    defaults = model_entry(settings.model.name).defaults
    options = {name: value for name, value in sections["model"].options.items() if value is not defaults.get(name, ...)}
    sections["model"] = dataclasses.replace(sections["model"], options=options)
    training = dataclasses.replace(settings.training, **options_of("training", values))
    return dataclasses.replace(settings, **sections, training=training)


def search_space(settings: JobSettings) -> tuple[str, dict[str, Any], JobSettings]:
    """Returns the kind of optimizer, the space that is searched, and the settings with the values that the user fixes.

    The space is the catalogue's, without the options that the settings give; the user's space overrides it.
    """
    model, optimizer = settings.model.name, settings.optimizer.name
    given = {f"model.{name}" for name in settings.model.options}
    given |= {f"optimizer.{name}" for name in settings.optimizer.options}
    own = catalogue_space(model, optimizer) if settings.search.catalogue_space else {}
    space = {name: draw for name, draw in own.items() if name not in given}
    space, fixed = with_own_space(space, settings.search.space, model, optimizer)
    if not space:
        raise ValueError("There is nothing to search: the settings give every option of the search space.")
    return optimizer_of(model, optimizer).name, space, with_values(settings, fixed)


def tune(settings: JobSettings, wanted: Path | str | None, command: Sequence[str] = ()) -> JobSettings | None:
    """Searches, prints the trials, draws them, writes `best.toml` and returns the settings of the best trial.

    Args:
        settings: The job.
        wanted: The folder of the search, or its URI; if it holds another search, a folder beside it is used. `None` for
            one under `runs/`.
        command: The command of this search, with which further workers are started.

    Returns:
        The settings of the best trial; `None` in a process that only trains trials for another.
    """
    check_model(settings)
    check_one_at_a_time(settings, settings.search.workers)
    check_run_place(wanted, settings, "--output", workers=settings.search.workers)
    strategy = training_strategy(settings)
    kind, space, settings = search_space(settings)
    data = prepare(settings.data, task_of_cluster(settings))
    # A trial may have another batch size; its steps are then planned anew.
    complete_settings(settings, data)
    check_evaluation(settings, data)
    record = search_record(settings, data)
    name = f"tune-{settings.data.name}-{settings.model.name}"
    with new_run(wanted, name, record, say=is_chief(strategy)) as place:
        print(f"searching {', '.join(space)} under {kind}")
        if not is_chief(strategy):
            _train_with_chief(settings, data, strategy)
            return None
        save_run(place.folder, settings, data, record)
        try:
            best = _search(settings, space, data, strategy, place, record, command)
        except Exception:  # a lost worker raises another error, and cannot answer
            text_of_chief(strategy, "null")
            raise
        # The other workers of a multi-worker job end too, now that everything is written.
        text_of_chief(strategy, "null")
    return best


def search_record(settings: JobSettings, data: EncodedDataset) -> RunRecord:
    """The record of a search, which does not depend on the numbers of trials and workers."""
    search = dataclasses.asdict(settings.search)
    del search["trials"], search["workers"]
    return training_record(settings, data, search=search)


def trials_of(folder: Path) -> int:
    """How many trials a finished search in a folder was asked for; 0 where there is none, or `best.toml` is damaged."""
    try:
        made_of = read_json(folder / "search.json")
        return int(made_of["trials"]) if file_checksum(folder / "best.toml") == made_of["best.toml"] else 0
    except (FileNotFoundError, DamagedFileError):
        return 0


def reached_ends_of(folder: Path) -> dict[str, str]:
    """What `reached_ends` said of the finished search in a folder."""
    found: dict[str, str] = read_json(folder / "search.json").get("reached_ends", {})
    return found


def _search(
    settings: JobSettings,
    space: SearchSpace,
    data: EncodedDataset,
    strategy: tf.distribute.Strategy,
    place: RunPlace,
    record: RunRecord,
    command: Sequence[str],
) -> JobSettings | None:
    options, monitor, directory = settings.search, settings.training.monitor, place.folder

    def train(values: Mapping[str, Any], folder: Path) -> dict[str, float]:
        place.copy()  # with the trial before this one, which is recorded now
        with lost_workers_end_the_process(strategy):
            text_of_chief(strategy, json.dumps({"values": values, "folder": str(folder)}))
            _, result = fit_model(with_values(settings, values), data, folder, place.copy)
            wait_for_all(strategy)  # until the other workers have read the best weights
        if options.tuner != "hyperband":  # which may train further from the checkpoint
            _remove_checkpoints(folder)
        loss = result.best.val_logloss
        score = result.best.val_auc if monitor == "auc" else loss
        batch_size = complete_settings(with_values(settings, values), data, say=False).training.batch_size or 1
        epochs = result.steps * batch_size / data.num_rows("train")
        stopped = float(result.stopped_early)
        steps = float(result.steps)
        return {"score": score, "epochs": epochs, "steps": steps, "stopped_early": stopped, "val_logloss": loss}

    results = search(
        train,
        space,
        trials=options.trials,
        directory=directory,
        start=None if options.tuner == "grid" else {},
        maximize=monitor == "auc",
        tuner=options.tuner,
        seed=settings.training.seed,
        budget=("training.epochs", settings.training.epochs) if options.tuner == "hyperband" else None,
        workers=options.workers,
        worker_command=command,
    )
    if not results:
        return None
    for folder in directory.glob("trial_*"):
        _remove_checkpoints(folder)
    table = trials_table(results)
    worse = worse_than_base_rate(data, results[0].figures["val_logloss"])
    given = {
        **{f"model.{name}": value for name, value in settings.model.options.items()},
        **{f"optimizer.{name}": value for name, value in settings.optimizer.options.items()},
        **{f"training.{name}": value for name, value in dataclasses.asdict(settings.training).items()},
    }
    reached = reached_ends([dataclasses.replace(trial, values={**given, **trial.values}) for trial in results], space)
    ends = "\n".join(
        f"{name}: the best is {what}; values beyond it may be better, search.space.{name} lets them be drawn"
        for name, what in reached.items()
    )
    write_text(directory / "trials.txt", "\n".join(f"{part}\n" for part in (table, ends, worse) if part))
    print(f"{settings.model.name} on {settings.data.name}: validation {monitor}, best first\n{table}")
    if ends:
        print(ends)
    stopped = sum(trial.figures.get("stopped_early", 0.0) > 0 for trial in results)
    patience = complete_settings(with_values(settings, results[0].values), data, say=False).training.patience
    print(f"{stopped} of {len(results)} trials stopped early, after {patience} validations without a better one")
    memory = memory_growth(results)
    if memory and options.workers == 1:
        print(
            f"memory: {memory['first_mib']:,.0f} MiB after the first third of the trials, "
            f"{memory['last_mib']:,.0f} MiB after the last, {memory['mib_per_trial']:+.1f} MiB per trial"
        )
    if any(trial.error is None and set(space) <= set(trial.values) for trial in results):
        plot_search(directory / "trials.png", results, space, objective=f"validation {monitor}")
        print(f"picture of what each hyper-parameter did: {directory / 'trials.png'}")
    best = dataclasses.replace(with_values(settings, results[0].values), search=SearchSettings())
    file = directory / "best.toml"
    write_settings(file, best)
    made_of = {
        "fingerprint": record.fingerprint,
        "trials": options.trials,
        "best.toml": file_checksum(file),
        "reached_ends": reached,
    }
    write_json(directory / "search.json", made_of)
    if worse:
        print(f"\nOf the best trial: {worse}")
    print(f"best settings: {file}\ntrain them: python -m pipelines.train --config {shlex.quote(str(file))}")
    return best


def _train_with_chief(settings: JobSettings, data: EncodedDataset, strategy: tf.distribute.Strategy) -> None:
    """Trains, as another worker of a multi-worker job, each trial that the chief draws, until the chief ends it."""
    while trial := json.loads(text_of_chief(strategy)):
        try:
            fit_model(with_values(settings, trial["values"]), data, Path(trial["folder"]))
            wait_for_all(strategy)
        except (ValueError, ArithmeticError) as error:
            # The chief failed in the same way, and its table names the error.
            print(f"{Path(trial['folder']).name} failed: {type(error).__name__}: {error}")


def _remove_checkpoints(folder: Path) -> None:
    for part in ("checkpoints", "best"):
        shutil.rmtree(folder / part, ignore_errors=True)
