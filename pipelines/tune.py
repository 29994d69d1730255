"""Search a model's hyper-parameters on the validation split and write the best as a file for `pipelines.train`.

`python -m pipelines.tune --config pipelines/configs/criteo_display_ads.toml --model.name dnn --trials 8` trains the
model's defaults and eight sets of values from its search space in the catalogue, of model and optimizer together.
The test split is not touched. A killed search goes on where it was when the same command is started again.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.configuration import JobSettings, SettingsParser, to_toml
from pipelines import PAIRS, errors_as_messages


def with_values(settings: JobSettings, values: Mapping[str, Any]) -> JobSettings:
    """The settings with hyper-parameters named `model.NAME` and `optimizer.NAME` put into their options."""
    sections = {}
    for section in ("model", "optimizer"):
        own = getattr(settings, section)
        drawn = {key.split(".", 1)[1]: value for key, value in values.items() if key.startswith(f"{section}.")}
        sections[section] = dataclasses.replace(own, options={**own.options, **drawn})
    return dataclasses.replace(settings, **sections)


def search_space(settings: JobSettings) -> tuple[str, dict[str, Any]]:
    """The kind of optimizer and what is drawn: the catalogue's space without the options that the settings fix."""
    from dynctr_tf.models.catalogue import OPTIMIZER_SEARCH_SPACES, model_entry

    entry = model_entry(settings.model.name)
    kind = entry.optimizer if settings.optimizer.name == "default" else settings.optimizer.name
    fixed = set(settings.model.options)
    if kind == "group_ftrl":
        fixed.add("row_regularizer_l2")  # G-FTRL penalises the rows itself.
    optimizer_space = OPTIMIZER_SEARCH_SPACES["lazy_adam" if kind == "adam" else kind]
    return kind, {
        **{f"model.{name}": draw for name, draw in entry.search_space.items() if name not in fixed},
        **{
            f"optimizer.{name}": draw
            for name, draw in optimizer_space.items()
            if name not in settings.optimizer.options
        },
    }


def tune(settings: JobSettings, trials: int, tuner: str, directory: Path) -> JobSettings:
    """Searches, prints the trials, writes `best.toml` and returns the settings of the best trial."""
    from tensorflow import keras

    from dynctr_tf.tuning import search
    from pipelines.stages import check_model, fit_model, prepare

    check_model(settings)
    data = prepare(settings.data)
    kind, space = search_space(settings)
    print(f"searching {', '.join(space)} under {kind}")

    def train(values: Mapping[str, Any], folder: Path) -> float:
        kept = folder / "score.json"
        if kept.exists():
            return float(json.loads(kept.read_text(encoding="utf-8"))["score"])
        keras.backend.clear_session()
        _, result = fit_model(with_values(settings, values), data, folder)
        score = result.best.val_auc if settings.training.monitor == "auc" else result.best.val_logloss
        for part in ("checkpoints", "best"):
            shutil.rmtree(folder / part)
        kept.write_text(json.dumps({"score": score, "values": dict(values)}) + "\n", encoding="utf-8")
        return score

    results = search(
        train,
        space,
        trials=trials,
        directory=directory,
        start={},
        maximize=settings.training.monitor == "auc",
        tuner=tuner,  # type: ignore[arg-type]
        seed=settings.training.seed,
    )
    print(f"{settings.model.name} on {settings.data.name}: validation {settings.training.monitor}, best first")
    for trial in results:
        print(f"  {trial.score:.5f}  {dict(trial.values) or 'defaults'}{'  ' + trial.error if trial.error else ''}")
    best = with_values(settings, results[0].values)
    file = directory / "best.toml"
    file.write_text(to_toml(best), encoding="utf-8")
    print(f"best settings: {file}")
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and searches."""
    parser = SettingsParser(__doc__ or "", prog="python -m pipelines.tune", pairs=PAIRS)
    parser.add_argument("--trials", type=int, default=16, help="sets of values to train beside the defaults (16)")
    parser.add_argument("--tuner", choices=("random", "bayesian"), default="random", help="how values are drawn")
    parser.add_argument("--output", type=Path, help="folder of the search; without it runs/tune-<data set>-<model>")
    settings, namespace = parser.parse_settings(arguments)
    fingerprint = settings.fingerprint()
    directory = namespace.output or Path("runs") / f"tune-{settings.data.name}-{settings.model.name}-{fingerprint}"
    with errors_as_messages(parser):
        tune(settings, namespace.trials, namespace.tuner, directory)


if __name__ == "__main__":
    main()
