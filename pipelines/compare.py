"""Compare models on one data set: the same search effort for each, several seeds, paired tests on the test split.

`python -m pipelines.compare --config pipelines/configs/criteo_display_ads.toml --models lr fm --output runs/lr-fm`
searches each model's hyper-parameters on the validation split with `pipelines.tune`, trains the best of each with
every seed, and prints AUC and logloss with intervals and tests against the reference, rows/s, memory and zero rows.
Each training runs in its own process, `--workers` of them at a time. Started again after a kill, it goes on where
it was. A model may come several times with options of its own: `--models dpn "dpn-tag=dpn contexts=x:tag"` compares
two under these names. Where the data has scenarios, a table and pictures say what each model reaches in each; with
`per_scenario` among the models the others are tested there against it, scenario by scenario. With `--fuxictr-python`
each model that FuxiCTR has is trained there too, on the same encoded rows: `fuxictr-dnn` beside `dnn`, with our
embedding size and hidden units and otherwise the network of the speed benchmark.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from dynctr_tf.child_processes import child_environment
from dynctr_tf.configuration import (
    JobSettings,
    ModelSettings,
    SettingsParser,
    job_settings,
    parse_value,
    read_file,
    write_settings,
)
from dynctr_tf.durable_files import make_folder, read_array, read_json, remove_abandoned, write_json, write_text
from dynctr_tf.evaluation.text_table import align
from dynctr_tf.nearest import unknown_name_message
from pipelines import errors_as_messages
from pipelines.options import table_options
from pipelines.peers import PEER_MODELS
from pipelines.peers.installed import check_peer

# So long a job that was asked to end has time to finish its step and to save.
_SECONDS_TO_STOP = 30.0


class _Job(NamedTuple):
    """A pipeline with its options, run in a process of its own; what it prints goes to the file `log`."""

    model: str
    words: Sequence[str]
    log: Path
    interpreter: str = sys.executable
    environment: Mapping[str, str] | None = None

    def run(self, environment: Mapping[str, str], processes: _Processes) -> None:
        """Runs it; the process of this interpreter finds this one's packages, and ends with this one.

        Raises:
            RuntimeError: It failed; the end of what it said is in the message.
        """
        own = self.environment or {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment = {**os.environ, **own, **environment, **child_environment()}
        with self.log.open("w", encoding="utf-8") as file:
            status = processes.run([self.interpreter, "-m", *self.words], file, environment)
        if status:
            raise RuntimeError(
                f"{' '.join(self.words)} ended with {status}; its end says:\n"
                + "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            )


class _Processes:
    """The processes that run at the moment, so that they can be stopped together."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], output: IO[str], environment: Mapping[str, str]) -> int:
        """Runs a command to its end and returns its status."""
        with self._guard:
            if self._stopped:
                return -signal.SIGTERM
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)

    def stop(self) -> None:
        """Asks all to end, ends those that do not, and lets none start."""
        with self._guard:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while any(process.poll() is None for process in running) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in running:
            process.kill()


def _run_all(phases: Sequence[Callable[[], Sequence[_Job]]], total: int, workers: int) -> None:
    """Runs the jobs of each phase, some at a time, each with its share of the cores; the first failure ends it.

    Args:
        phases: What gives the jobs of each that are not done yet; a phase begins when the one before has ended.
        total: How many jobs there are with those that an earlier run has done.
        workers: Jobs at a time.

    Raises:
        RuntimeError: A job failed. Those that run then are waited for.
    """
    from dynctr_tf.tuning.search import share_of_cores

    environment = share_of_cores(workers) if workers > 1 else {}
    processes = _Processes()
    with tqdm(total=total, desc="trainings", unit="job") as bar, ThreadPoolExecutor(workers) as pool:
        for phase in phases:
            running = {pool.submit(job.run, environment, processes): job for job in phase()}
            try:
                for ended in as_completed(running):
                    ended.result()
                    bar.set_postfix_str(running[ended].model)
                    bar.update()
            except KeyboardInterrupt:  # or another signal: the jobs save what they have and end
                processes.stop()
                raise
            finally:
                for future in running:
                    future.cancel()
        bar.update(total - bar.n)


class Variant(NamedTuple):
    """A model of the catalogue, and the options that it has in this comparison alone."""

    name: str
    model: str
    options: dict[str, Any]


def _variant(text: str) -> Variant:
    """Reads `model`, or `name=model option=value ...`, a model under a name and with options of its own.

    Raises:
        ValueError: Another form, a name that is none of a file, or an unknown model or option.
    """
    from dynctr_tf.models.catalogue import model_entry

    if not text.strip():
        raise ValueError("--models has an empty name; give models of the catalogue, such as --models lr fm.")
    head, *words = text.split()
    name, separator, model = head.partition("=")
    if not separator:
        model = name
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or (words and not separator):
        raise ValueError(f"A model is given as `model` or as `name=model option=value ...`, got {text!r}.")
    known, options = model_entry(model).defaults, {}
    for word in words:
        option, separator, value = word.partition("=")
        if not separator or option not in known:
            raise ValueError(unknown_name_message(f"option of model {model!r} (option=value)", option, known))
        options[option] = parse_value(value)
    return Variant(name, model, options)


def settings_of(settings: JobSettings, variant: Variant) -> JobSettings:
    """The settings of one model; options of models that this one has not are left out."""
    from dynctr_tf.models.catalogue import model_entry
    from dynctr_tf.tuning.search_space import space_by_path

    known = model_entry(variant.model).defaults
    options = {path: value for path, value in settings.model.options.items() if path in known}
    space = dict(settings.search.space)
    if isinstance(space.get("model"), Mapping):
        space["model"] = {path: value for path, value in space_by_path(space["model"], known).items() if path in known}
    return dataclasses.replace(
        settings,
        model=ModelSettings(variant.model, {**options, **variant.options}),
        search=dataclasses.replace(settings.search, space=space),
    )


class FuxiCTR(NamedTuple):
    """Where FuxiCTR is: an interpreter that has it, and the folder of its models."""

    interpreter: str
    zoo: str

    def job(self, name: str, file: Path, folder: Path) -> _Job:
        """The training that the file describes."""
        environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "FUXICTR_ZOO": self.zoo}
        words = ["pipelines.peers.fuxictr_train", str(file), str(folder)]
        return _Job(name, words, folder.with_name(f"{folder.name}.log"), self.interpreter, environment)


def compare_models(
    settings: JobSettings,
    models: Sequence[str],
    seeds: int,
    trials: int,
    reference: str,
    output: Path,
    single: str | None = None,
    workers: int = 1,
    fuxictr: FuxiCTR | None = None,
) -> None:
    """Searches, trains and compares; writes `comparison.json`, `comparison.txt` and a picture."""
    from dynctr_tf.evaluation import compare, plot_comparison, plot_scenarios, plot_transfer
    from pipelines.comparison_caption import differences
    from pipelines.peers.fuxictr_comparison import digest_of, peer_finished, peer_job, peer_result, write_rows
    from pipelines.records import finished, folder_of, load_logits, training_record
    from pipelines.stages import (
        check_evaluation,
        check_model,
        check_one_at_a_time,
        complete_settings,
        judge_scenarios,
        prepare,
        task_of_cluster,
        training_click_rate,
        worse_than_base_rate,
    )
    from pipelines.tune import search_record, search_space, trials_of

    check_one_at_a_time(settings, workers)

    variants = {variant.name: variant for variant in map(_variant, models)}
    if len(variants) < len(models):
        raise ValueError(f"Models of one name: {list(models)}; give each a name of its own: `name=model ...`.")
    models = list(variants)
    if reference not in models:
        raise ValueError(f"The reference {reference!r} is not among the models {list(models)}; add it to --models.")
    if single is None:
        single = next((variant.name for variant in variants.values() if variant.model == "per_scenario"), None)
    elif single not in models:
        raise ValueError(unknown_name_message("model for --single", single, models))
    if seeds < 1 or trials < 0 or workers < 1:
        raise ValueError(
            "A comparison needs at least one seed, one worker and no negative trials, "
            f"got {seeds}, {workers} and {trials}."
        )
    # Ours -> the name of FuxiCTR's beside it.
    peers = {name: f"fuxictr-{name}" for name, variant in variants.items() if variant.model in PEER_MODELS["FuxiCTR"]}
    peers = {} if fuxictr is None else peers
    if set(peers.values()) & set(models):
        raise ValueError(f"These names are for FuxiCTR's models: {sorted(set(peers.values()) & set(models))}.")
    for variant in variants.values():
        check_model(settings_of(settings, variant))
    if fuxictr is not None and peers:
        check_peer("FuxiCTR", fuxictr.interpreter, [variants[name].model for name in peers], fuxictr.zoo)
    cluster = task_of_cluster(settings)
    make_folder(output)
    remove_abandoned(output)
    chief = cluster is None or cluster.is_chief
    data = prepare(settings.data, cluster)
    complete_settings(settings, data)
    check_evaluation(settings, data)
    # All processes of a cluster write into one folder.
    part = "" if cluster is None or chief else f"-{cluster.task_type}{cluster.task_index}"
    own_settings = {model: settings_of(settings, variants[model]) for model in models}
    for model in models:
        write_settings(output / f"{model}{part}.toml", own_settings[model])
    searched: dict[str, Path] = {}
    folders: dict[str, list[Path]] = {}

    def searches() -> list[_Job]:
        jobs = []
        for model in models if trials else ():
            _, _, given = search_space(own_settings[model])
            record = search_record(given, data)
            folder = folder_of(output / f"tune-{model}", "", record, say=chief)
            # A search of more settings than asked for would be another effort.
            if trials_of(folder) > trials:
                folder = folder.with_name(f"{folder.name}-{trials}-trials")
            searched[model] = folder
            if trials_of(folder) != trials:
                words = ["--config", output / f"{model}{part}.toml", "--trials", trials, "--output", folder]
                jobs.append(_Job(model, ["pipelines.tune", *map(str, words)], output / f"{folder.name}{part}.log"))
        return jobs

    def trainings() -> list[_Job]:
        jobs = []
        for model in models:
            file = searched[model] / "best.toml" if trials else output / f"{model}{part}.toml"
            found = job_settings(read_file(file))
            folders[model] = []
            for seed in range(seeds):
                used = dataclasses.replace(found, training=dataclasses.replace(found.training, seed=seed))
                record = training_record(complete_settings(used, data, say=False), data)
                folder = folder_of(output / f"{model}-seed{seed}", "", record, say=chief)
                folders[model].append(folder)
                if not finished(folder, record):
                    words = ["--config", file, "--training.seed", seed, "--export.directory", "none"]
                    words = ["pipelines.train", *words, "--run-directory", folder]
                    jobs.append(_Job(model, [*map(str, words)], output / f"{folder.name}{part}.log"))
        return [*jobs, *peer_trainings()]

    def peer_trainings() -> list[_Job]:
        jobs: list[_Job] = []
        if fuxictr is None or not chief:
            return jobs
        for model, peer in peers.items():
            rows = output / f"rows-{data.fingerprint[:8]}"
            write_rows(data, rows)
            folder = output / peer
            job = peer_job(complete_settings(own_settings[model], data, say=False), data, rows, seeds, trials)
            if peer_result(folder) not in (None, job):
                folder = folder.with_name(f"{peer}-{digest_of(job)}")
                print(f"{output / peer} holds another run; this one goes to {folder}")
            folders[peer] = [folder]
            if not peer_finished(folder, job):
                # Not with_suffix: what follows a point may be a part of the name, as in "dnn-0.5".
                file = folder.with_name(f"{folder.name}.json")
                write_json(file, job)
                jobs.append(fuxictr.job(peer, file, folder))
        return jobs

    _run_all([searches, trainings], len(models) * (seeds + (trials > 0)) + len(peers), workers)
    if not chief:
        return
    runs = {model: [read_json(folder / "result.json") for folder in folders[model]] for model in models}
    predictions = {model: [load_logits(folder, data) for folder in folders[model]] for model in models}
    peer_runs = {}
    for peer in peers.values():
        (folder,) = folders[peer]
        peer_runs[peer] = read_json(folder / "result.json")
        predictions[peer] = [read_array(folder / f"seed{seed}.npy") for seed in range(seeds)]
    schema = data.schema
    comparison = compare(
        data.column("test", "label"),
        predictions,
        reference=reference,
        weights=data.column("test", "weight") if schema.row_weight else None,
        true_probability=data.column("test", "true_probability") if schema.true_probability else None,
        base_rate=training_click_rate(data),
        replicates=settings.evaluation.replicates,
    )
    rows = [["model", "parameters", "rows/s", "peak MiB", "zero rows", "best step"]]
    for model, figures in runs.items():
        rows.append([
            model,
            f"{figures[0]['parameters']:,}",
            f"{statistics.median(run['rows_per_second'] for run in figures):,.0f}",
            f"{max(run['peak_memory_mib'] for run in figures):,.0f}",
            f"{statistics.mean(run['zero_rows'] for run in figures):.1%}",
            ", ".join(str(run["best"]["step"]) for run in figures),
        ])  # fmt: skip
    for peer, result in peer_runs.items():
        rows.append([
            peer,
            f"{result['parameters']:,}",
            f"{statistics.median(result['rows_per_second']):,.0f}",
            f"{result['peak_memory_mib']:,.0f}",
            "",
            ", ".join(map(str, result["best_steps"])),
        ])  # fmt: skip
    text = comparison.to_text() + "\n" + "\n".join(align(rows)) + "\n"
    for model, figures in runs.items():
        losses = [run["best"]["val_logloss"] for run in figures]
        worse = [line for loss in losses if (line := worse_than_base_rate(data, loss))]
        text += f"\n{model}, {len(worse)} of {len(losses)} runs: {worse[0]}\n" if worse else ""
    trained = {
        model: job_settings(read_file(searched[model] / "best.toml" if trials else output / f"{model}{part}.toml"))
        for model in models
    }
    caption = differences(
        {model: complete_settings(found, data, say=False) for model, found in trained.items()},
        {model: len(search_space(own_settings[model])[1]) if trials else 0 for model in models},
    )
    text += f"\n{caption}\n" if caption else ""
    write_text(output / "comparison.txt", text)
    made_of = {
        "rows": data.fingerprint,
        "runs": {name: [folder.name for folder in of] for name, of in folders.items()},
    }
    write_text(output / "comparison.json", comparison.to_json())
    write_json(output / "made_of.json", made_of)
    print(text)
    if len(predictions) > 1:
        plot_comparison(output / "comparison.png", comparison)
        print(f"picture: {output / 'comparison.png'}")
    scenarios = judge_scenarios(settings, data, {model: predictions[model] for model in models}, single=single)
    if scenarios is not None:
        scenarios.save(output / "scenarios.json")
        write_text(output / "scenarios.txt", scenarios.to_text(max_scenarios=10_000))
        for model in models:
            plot_scenarios(output / f"scenarios-{model}.png", scenarios, model)
        if single is not None and len(models) > 1:
            plot_transfer(output / "transfer.png", scenarios)
        print(f"\n{scenarios.to_text()}pictures: {output / 'scenarios-*.png'}")
    print("settings found for each model:")
    for model, found in trained.items():
        print(f"  {model}: {dict(found.model.options)} {dict(found.optimizer.options)}")
    for peer, result in peer_runs.items():
        print(f"  {peer}: {result['found']}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and compares."""
    parser = SettingsParser(__doc__ or "", prog="python -m pipelines.compare", table_options=table_options)
    parser.add_argument("--models", nargs="+", required=True, help="models, or `name=model option=value ...`")
    parser.add_argument("--seeds", type=int, default=3, help="trainings per model (default 3)")
    parser.add_argument("--trials", type=int, default=8, help="searched settings per model, 0 for defaults (default 8)")
    parser.add_argument("--reference", help="model that the others are tested against (default the first)")
    parser.add_argument("--single", help="model that is one per scenario (default per_scenario, if it is among them)")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="trainings at a time, each with its share of the cores; rows/s are then those of a share (default 1)",
    )
    parser.add_argument("--fuxictr-python", help="interpreter that has torch and fuxictr, to train its models too")
    parser.add_argument("--fuxictr-zoo", help="the model_zoo folder of a FuxiCTR checkout")
    parser.add_argument("--output", type=Path, required=True, help="folder of everything that comes out")
    settings, namespace = parser.parse_settings(arguments)
    if (namespace.fuxictr_python is None) != (namespace.fuxictr_zoo is None):
        parser.error("--fuxictr-python and --fuxictr-zoo go together: the package lacks most of its models")
    fuxictr = FuxiCTR(namespace.fuxictr_python, namespace.fuxictr_zoo) if namespace.fuxictr_python else None
    reference = namespace.reference or namespace.models[0].strip().partition(" ")[0].partition("=")[0]
    with errors_as_messages(parser):
        from pipelines.stages import as_part_of_cluster

        as_part_of_cluster(
            settings,
            lambda: compare_models(
                settings,
                namespace.models,
                namespace.seeds,
                namespace.trials,
                reference,
                namespace.output,
                namespace.single,
                namespace.workers,
                fuxictr,
            ),
            grace_seconds=600.0,  # between two trainings there is no chief
        )


if __name__ == "__main__":
    main()
