"""Compare models on one data set: the same search effort for each, several seeds, paired tests on the test split.

`python -m pipelines.compare --config pipelines/configs/criteo_display_ads.toml --models lr fm --output runs/lr-fm`
searches each model's hyper-parameters on the validation split with `pipelines.tune`, trains the best of each with
every seed, and prints AUC and logloss with intervals and tests against the reference, rows/s, memory and zero rows.
Each training runs in its own process, `--workers` of them at a time. Started again after a kill, it goes on where it
stopped. A model may be given several times with different options: `--models dpn "dpn-tag=dpn contexts=x:tag"` compares
two under these names. If the data has scenarios, a table and pictures show each model in each scenario; if
`per_scenario` is among the models, the others are tested against it, scenario by scenario. With `--fuxictr-python`
FuxiCTR's models are trained too, on the same encoded rows: `fuxictr-dnn` beside `dnn`, with our embedding size and
hidden units; the rest of the network is that of the speed benchmark. A table shows each model beside FuxiCTR's, and one
each dynamic model beside its static one, where both are compared, with the mean over the pairs.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dynctr_tf.durable_files import make_folder, read_array, read_json, remove_abandoned, write_json, write_text
from dynctr_tf.evaluation.text_table import align
from dynctr_tf.jobs.child_jobs import Job, run_all
from dynctr_tf.jobs.option_tables import table_options
from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import read_file, write_settings
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.uris import is_uri
from pipelines import errors_as_messages
from pipelines.peers import PEER_MODELS
from pipelines.peers.installed import check_peer
from pipelines.rows_options import path_or_uri
from pipelines.settings_parser import SettingsParser

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset


class FuxiCTR(NamedTuple):
    """Where FuxiCTR is: an interpreter that has it, and the folder of its models."""

    interpreter: str
    zoo: str

    def job(self, name: str, file: Path, folder: Path) -> Job:
        """The training that the file describes."""
        environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "FUXICTR_ZOO": self.zoo}
        words = ["pipelines.peers.fuxictr_train", str(file), str(folder)]
        return Job(name, words, folder.with_name(f"{folder.name}.log"), self.interpreter, environment)


class Comparison:
    """The searches and trainings of a comparison, each in a folder of the output.

    Args:
        settings: The settings of each model, by its name in the comparison.
        seeds: Trainings of each.
        trials: Searched settings of each model; one number for all, 0 for none.
        output: The folder of all results.
        fuxictr: Where FuxiCTR is, to train its models too; `None` for none.
        others: Folders of other comparisons. What one of them has finished with the same settings, rows, seed and code,
            a search or a training, is taken from there and not done again. Default none.

    Raises:
        ValueError: One of these is wrong; no data has been read by then.
    """

    def __init__(
        self,
        settings: Mapping[str, JobSettings],
        seeds: int,
        trials: int | Mapping[str, int],
        output: Path,
        fuxictr: FuxiCTR | None = None,
        others: Sequence[Path] = (),
    ) -> None:
        from dynctr_tf.jobs.stages import check_model, task_of_cluster

        self.settings = dict(settings)
        self.models = list(self.settings)
        self.trials = {name: trials if isinstance(trials, int) else trials[name] for name in self.models}
        if seeds < 1 or any(number < 0 for number in self.trials.values()):
            raise ValueError(f"A comparison needs at least one seed and no negative trials, got {seeds} and {trials}.")
        self.seeds, self.output, self.fuxictr = seeds, output, fuxictr
        # From the name of our model to that of FuxiCTR's.
        self.peers: dict[str, str] = {}
        if fuxictr is not None:
            known = [name for name, own in self.settings.items() if own.model.name in PEER_MODELS["FuxiCTR"]]
            self.peers = {name: f"fuxictr-{name}" for name in known}
        if taken := sorted(set(self.peers.values()) & set(self.models)):
            raise ValueError(f"These names are for FuxiCTR's models: {taken}.")
        for own in self.settings.values():
            check_model(own)
        if fuxictr is not None and self.peers:
            peers = [self.settings[name].model.name for name in self.peers]
            check_peer("FuxiCTR", fuxictr.interpreter, peers, fuxictr.zoo)
        self.cluster = task_of_cluster(next(iter(self.settings.values())))
        self.is_chief = self.cluster is None or self.cluster.is_chief
        # All processes of a cluster write into one folder.
        self.part = (
            "" if self.cluster is None or self.is_chief else f"-{self.cluster.task_type}{self.cluster.task_index}"
        )
        self.others = others
        self.folders: dict[str, list[Path]] = {}
        self.searched: dict[str, Path] = {}

    def run(self, data: EncodedDataset, workers: int, copy: Callable[..., None] | None = None) -> None:
        """Runs the searches and trainings that are not finished yet.

        Args:
            data: The encoded rows.
            workers: Jobs at a time.
            copy: Called when a job has ended, with the names of the folders in which others still work. Default `None`.

        Raises:
            RuntimeError: A job failed; the end of what it said is in the message.
        """
        for model, own in self.settings.items():
            write_settings(self.output / f"{model}{self.part}.toml", own)
        searches = sum(number > 0 for number in self.trials.values())
        trainings = len(self.models) * self.seeds + len(self.peers)

        def after_each(running: Sequence[Job]) -> None:
            if copy is not None:
                copy([job.log.name.removesuffix(f"{self.part}.log") for job in running])

        phases = [(searches, lambda: self._searches(data)), (trainings, lambda: self._trainings(data))]
        run_all(phases, workers, after_each)

    def trained_settings(self, model: str) -> JobSettings:
        """The settings that a model is trained with: those that its search found, or its own."""
        return job_settings(read_file(self._settings_file(model)))

    def _settings_file(self, model: str) -> Path:
        return self.searched[model] / "best.toml" if self.trials[model] else self.output / f"{model}{self.part}.toml"

    @functools.cached_property
    def _held(self) -> Mapping[str, Sequence[Path]]:
        """The folders here and of the other comparisons, by the fingerprint of the run that each holds."""
        from dynctr_tf.training.run_record import RECORD, RunRecord

        found: dict[str, list[Path]] = {}
        for place in (self.output, *self.others):
            for file in sorted(place.glob(f"*/{RECORD}")):
                if (held := RunRecord.load(file.parent)) is not None:
                    found.setdefault(held.fingerprint, []).append(file.parent)
        return found

    def _taken(self, folders: Iterable[Path]) -> Path | None:
        """The first of some folders; that it is of another comparison is printed. `None` if there is none."""
        folder = next(iter(folders), None)
        if folder is not None and folder.parent != self.output and self.is_chief:
            print(f"taken from another comparison: {folder}")
        return folder

    def _searches(self, data: EncodedDataset) -> list[Job]:
        from dynctr_tf.jobs.records import folder_of
        from dynctr_tf.jobs.search import search_record, search_space, trials_of

        jobs = []
        for model in filter(self.trials.get, self.models):
            trials = self.trials[model]
            _, _, given = search_space(self.settings[model])
            record = search_record(given, data)
            done = (path for path in self._held.get(record.fingerprint, ()) if trials_of(path) == trials)
            if (folder := self._taken(done)) is not None:
                self.searched[model] = folder
                continue
            folder = folder_of(self.output / f"tune-{model}", "", record, say=self.is_chief)
            # A search of more settings than asked for would not be the same effort.
            if trials_of(folder) > trials:
                folder = folder.with_name(f"{folder.name}-{trials}-trials")
            self.searched[model] = folder
            if trials_of(folder) != trials:
                file = self.output / f"{model}{self.part}.toml"
                words = ["--config", file, "--trials", trials, "--output", folder]
                jobs.append(Job(model, ["pipelines.tune", *map(str, words)], self._log(folder)))
        return jobs

    def _trainings(self, data: EncodedDataset) -> list[Job]:
        from dynctr_tf.jobs.records import finished, folder_of, training_record
        from dynctr_tf.jobs.stages import complete_settings

        jobs = []
        for model in self.models:
            found = self.trained_settings(model)
            self.folders[model] = []
            for seed in range(self.seeds):
                used = dataclasses.replace(found, training=dataclasses.replace(found.training, seed=seed))
                record = training_record(complete_settings(used, data, say=False), data)
                done = (path for path in self._held.get(record.fingerprint, ()) if finished(path, record))
                if (folder := self._taken(done)) is None:
                    folder = folder_of(self.output / f"{model}-seed{seed}", "", record, say=self.is_chief)
                    words = ["--config", self._settings_file(model), "--training.seed", seed]
                    words += ["--export.directory", "none", "--run-directory", folder]
                    jobs.append(Job(model, ["pipelines.train", *map(str, words)], self._log(folder)))
                self.folders[model].append(folder)
        return [*jobs, *self._peer_trainings(data)]

    def _peer_trainings(self, data: EncodedDataset) -> list[Job]:
        from dynctr_tf.jobs.stages import complete_settings
        from pipelines.peers.fuxictr_comparison import digest_of, peer_finished, peer_job, peer_result, write_rows

        jobs: list[Job] = []
        if self.fuxictr is None or not self.is_chief:
            return jobs
        for model, peer in self.peers.items():
            rows = self.output / f"rows-{data.fingerprint[:8]}"
            write_rows(data, rows)
            folder = self.output / peer
            completed = complete_settings(self.settings[model], data, say=False)
            job = peer_job(completed, data, rows, self.seeds, self.trials[model])
            if peer_result(folder) not in (None, job):
                folder = folder.with_name(f"{peer}-{digest_of(job)}")
                print(f"{self.output / peer} holds another run; this one goes to {folder}")
            self.folders[peer] = [folder]
            if not peer_finished(folder, job):
                # Not with_suffix: a name may hold a point, as in "dnn-0.5".
                file = folder.with_name(f"{folder.name}.json")
                write_json(file, job)
                jobs.append(self.fuxictr.job(peer, file, folder))
        return jobs

    def _log(self, folder: Path) -> Path:
        return self.output / f"{folder.name}{self.part}.log"


def compare_models(
    settings: JobSettings,
    models: Sequence[str],
    seeds: int,
    trials: int,
    reference: str,
    output: Path | str,
    single: str | None = None,
    workers: int = 1,
    fuxictr: FuxiCTR | None = None,
) -> None:
    """Searches, trains and compares; writes `comparison.json`, `comparison.txt` and a picture.

    `output` is a folder, or the URI to which what each job has done is copied when it ends.
    """
    from dynctr_tf.folders_at_uris import working_folder
    from dynctr_tf.jobs.preparing import prepare
    from dynctr_tf.jobs.run_places import check_run_place, place_of
    from dynctr_tf.jobs.stages import check_evaluation, check_one_at_a_time, complete_settings
    from dynctr_tf.jobs.variants import check_options_of_all, read_variant, settings_of

    if workers < 1:
        raise ValueError(f"A comparison needs at least one worker, got {workers}.")
    check_one_at_a_time(settings, workers)
    variants = {variant.name: variant for variant in map(read_variant, models)}
    if len(variants) < len(models):
        raise ValueError(f"Several models have one name: {list(models)}; give each another name: `name=model ...`.")
    check_options_of_all(settings, list(variants.values()))
    own = {name: settings_of(settings, variant) for name, variant in variants.items()}
    here = working_folder(str(output)) if is_uri(output) else Path(output)
    comparison = Comparison(own, seeds, trials, here, fuxictr)
    names = comparison.models
    if reference not in names:
        raise ValueError(f"The reference {reference!r} is not among the models {names}; add it to --models.")
    if single is None:
        single = next((name for name, variant in variants.items() if variant.model == "per_scenario"), None)
    elif single not in names:
        raise ValueError(unknown_name_message("model for --single", single, names))
    check_run_place(output, settings, "--output")
    with place_of(output, new=True) as place:
        make_folder(here)
        remove_abandoned(here)
        data = prepare(settings.data, comparison.cluster)
        complete_settings(settings, data)
        check_evaluation(settings, data)
        comparison.run(data, workers, place.copy)
        if comparison.is_chief:
            _report(comparison, settings, data, reference, single)


def _pairs(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Models that have a partner among the compared ones: FuxiCTR's of the same name, or the static one."""
    from pipelines.benchmarks.dynamic_costs import PAIRS

    static = {pair.dynamic: pair.static for pair in PAIRS}
    names = {name: static.get(own.model.name) for name, own in comparison.settings.items()}
    return {
        "FuxiCTR's of the same name": comparison.peers,
        "the static model that it is compared with": {
            name: partner for name, partner in names.items() if partner in comparison.settings
        },
    }


def _report(
    comparison: Comparison, settings: JobSettings, data: EncodedDataset, reference: str, single: str | None
) -> None:
    """Prints, writes and draws the results of a comparison."""
    from dynctr_tf.evaluation import compare, plot_comparison, plot_scenarios, plot_transfer
    from dynctr_tf.jobs.records import load_logits
    from dynctr_tf.jobs.stages import judge_scenarios, training_click_rate

    models, folders, output = comparison.models, comparison.folders, comparison.output
    runs = {model: [read_json(folder / "result.json") for folder in folders[model]] for model in models}
    predictions = {model: [load_logits(folder, data) for folder in folders[model]] for model in models}
    peer_runs = {}
    for peer in comparison.peers.values():
        (folder,) = folders[peer]
        peer_runs[peer] = read_json(folder / "result.json")
        predictions[peer] = [read_array(folder / f"seed{seed}.npy") for seed in range(comparison.seeds)]
    schema = data.schema
    result = compare(
        data.column("test", "label"),
        predictions,
        reference=reference,
        pairs=_pairs(comparison),
        weights=data.column("test", "weight") if schema.row_weight else None,
        true_probability=data.column("test", "true_probability") if schema.true_probability else None,
        base_rate=training_click_rate(data),
        replicates=settings.evaluation.replicates,
    )
    trained = {model: comparison.trained_settings(model) for model in models}
    paragraphs = [result.to_text(), _costs(runs, peer_runs), _worse(runs, data), caption(comparison, trained, data)]
    paragraphs += ["\n".join(removed_matrices(runs))]
    text = "\n\n".join(paragraph.strip("\n") for paragraph in paragraphs if paragraph) + "\n"
    write_text(output / "comparison.txt", text)
    write_text(output / "comparison.json", result.to_json())
    made_of = {name: [folder.name for folder in of] for name, of in folders.items()}
    write_json(output / "made_of.json", {"rows": data.fingerprint, "runs": made_of})
    print(text)
    if len(predictions) > 1:
        plot_comparison(output / "comparison.png", result)
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
    for peer, figures in peer_runs.items():
        print(f"  {peer}: {figures['found']}")


def _costs(runs: Mapping[str, list[dict[str, Any]]], peer_runs: Mapping[str, dict[str, Any]]) -> str:
    """The table of what each model costs."""
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
    return "\n".join(align(rows))


def _worse(runs: Mapping[str, list[dict[str, Any]]], data: EncodedDataset) -> str:
    """Which runs are no better than the base rate; empty where all are."""
    from dynctr_tf.jobs.stages import worse_than_base_rate

    lines = []
    for model, figures in runs.items():
        losses = [run["best"]["val_logloss"] for run in figures]
        worse = [line for loss in losses if (line := worse_than_base_rate(data, loss))]
        lines += [f"{model}, {len(worse)} of {len(losses)} runs: {worse[0]}"] if worse else []
    return "\n\n".join(lines)


def removed_matrices(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Says of which matrices no weight is left in trained models, a line for each model that has some.

    Args:
        runs: What `result.json` of each run says, by the model's name. Runs of other libraries say nothing of it.

    Example:

    >>> removed_matrices({"da": [{"removed": ["da_1/generator/kernel_1"]}, {"removed": []}], "fm": [{}]})
    ['da, 1 of 2 runs: no weight is left of da_1/generator/kernel_1, so what it gives is the same for every row.']
    """
    lines = []
    for model, figures in runs.items():
        found = [run["removed"] for run in figures if run.get("removed")]
        if found:
            names = list(dict.fromkeys(name for removed in found for name in removed))
            lines.append(
                f"{model}, {len(found)} of {len(figures)} runs: no weight is left of {', '.join(names)}, so what "
                f"{'it gives' if len(names) == 1 else 'each gives'} is the same for every row."
            )
    return lines


def caption(comparison: Comparison, trained: Mapping[str, JobSettings], data: EncodedDataset) -> str:
    """The settings in which models differ beside their architecture, and what was searched too narrowly; may be empty.

    Args:
        comparison: The comparison, after its run.
        trained: The settings that each model was trained with.
        data: The encoded rows.
    """
    from dynctr_tf.jobs.comparison_caption import differences, narrow_searches
    from dynctr_tf.jobs.search import reached_ends_of, search_space
    from dynctr_tf.jobs.stages import complete_settings

    completed = {model: complete_settings(found, data, say=False) for model, found in trained.items()}
    spaces = {
        model: search_space(own)[1] if comparison.trials[model] else {} for model, own in comparison.settings.items()
    }
    parts = [
        differences(completed, {model: len(space) for model, space in spaces.items()}),
        narrow_searches({model: reached_ends_of(folder) for model, folder in comparison.searched.items()}),
    ]
    return "\n".join(filter(None, parts))


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
    parser.add_argument("--output", type=path_or_uri, required=True, help="folder or URI of all results")
    settings, namespace = parser.parse_settings(arguments)
    if (namespace.fuxictr_python is None) != (namespace.fuxictr_zoo is None):
        parser.error("--fuxictr-python and --fuxictr-zoo go together: the package lacks most of its models")
    fuxictr = FuxiCTR(namespace.fuxictr_python, namespace.fuxictr_zoo) if namespace.fuxictr_python else None
    reference = namespace.reference or namespace.models[0].strip().partition(" ")[0].partition("=")[0]
    with errors_as_messages(parser):
        from dynctr_tf.jobs.stages import as_part_of_cluster

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
