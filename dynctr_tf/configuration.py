"""What a job is told: typed settings from a TOML file and from the command line.

Each section is a frozen dataclass whose fields carry their type, default and explanation. A file gives some of
them, the command line others (`--training.batch_size 1024`), and the command line wins. A key or value that
is not known is an error that names the nearest known one. Values are data: nothing of a file or a flag is
ever executed.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from dynctr_tf.nearest import unknown_name_message

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Settings that are tables with keys of their own; each key has an option on the command line.
_TABLES = ("options", "space")


def _setting(default: Any, explanation: str) -> Any:
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata={"help": explanation})
    return dataclasses.field(default=default, metadata={"help": explanation})


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which rows, and how they become ids."""

    name: str = _setting(
        "synthetic_ctr",
        "synthetic_ctr, criteo_display_ads, avazu, ali_ccp, amexpert, movielens_tag, movielens_1m, amazon_reviews, or "
        "tabular_file for your own CSV or Parquet file",
    )
    path: str | None = _setting(None, "the raw file; synthetic_ctr needs none")
    schema: str | None = _setting(None, "the schema file of your own data; draft one with pipelines.schema")
    split_by: Literal["random", "order"] = _setting(
        "random", "random: 70/10/20 by a seeded hash of the row; order: the last rows are the test split"
    )
    min_count: int | None = _setting(None, "values seen fewer times in training go to the unknown bucket")
    max_size: int | None = _setting(None, "keep at most this many values per categorical field")
    binning: Literal["log_squared", "log_squared_plus_one", "quantile"] | None = _setting(
        None, "how numbers become bins; without it what the data set's schema says"
    )
    on_bad_row: Literal["error", "skip"] = _setting("error", "stop at a bad row, or skip and count it")
    seed: int = _setting(0, "seed of the split, and of the rows that the project makes itself")
    options: dict[str, Any] = _setting({}, "further options of the data set, such as num_scenarios")
    directory: str = _setting("runs/data", "where encoded data is kept between runs")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which model; its own options are listed by --list-models."""

    name: str = _setting("dynint-dgp", "model of the catalogue, see --list-models")
    options: dict[str, Any] = _setting({}, "options of the model, such as num_layers or embedding_dim")


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer."""

    name: Literal["default", "group_ftrl", "lazy_adam", "adam"] = _setting(
        "default", "group_ftrl (G-FTRL on embeddings, FTRL on the rest), lazy_adam, adam; default: the model's"
    )
    options: dict[str, Any] = _setting({}, "options of the optimizer, such as learning_rate")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How long, in which steps, with which checks."""

    batch_size: int = _setting(4096, "rows per step, over all replicas")
    epochs: int = _setting(3, "passes over the training rows at the most")
    evaluate_every: int | None = _setting(
        None, "steps between validations (and checkpoints); without it, four times per epoch"
    )
    monitor: Literal["logloss", "auc"] = _setting("logloss", "validation metric that picks the best checkpoint")
    patience: int = _setting(4, "stop after this many validations without a better one; 0 for never")
    seed: int = _setting(0, "seed of initial weights, row order and dropout")
    deterministic: bool = _setting(True, "same seed, same weights, to the last bit; slower on GPUs")
    mixed_precision: bool = _setting(
        False, "matrix products in bfloat16, the rest in float32; for processors that have bfloat16"
    )
    xla: bool = _setting(False, "let XLA compile what it can of a step; on CPUs it was slower, see the README")
    tensorboard: bool = _setting(True, "write TensorBoard event files")
    strategy: Literal["mirrored", "multi_worker", "parameter_server", "tpu"] | None = _setting(
        None, "how the training is spread over devices and machines, also --strategy; see dynctr_tf.training.strategies"
    )
    replicas: int | None = _setting(
        None, "GPUs for mirrored, or logical CPU devices where there is no GPU; without it all GPUs"
    )
    tpu_address: str | None = _setting(None, "name or address of the TPU; without it that of this machine")
    max_restarts: int = _setting(3, "how often a multi_worker process starts itself again after it has lost another")


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How the test split is judged."""

    replicates: int = _setting(1000, "bootstrap replicates behind every interval")
    group_by: str | None = _setting(None, "field whose values group the rows for the grouped AUC, such as user_id")
    batch_size: int = _setting(16384, "rows per prediction step")


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Where the served model goes."""

    directory: str | None = _setting("saved_models", "the model goes to <directory>/<name>/<version>/; none: no export")
    name: str | None = _setting(None, "name of the served model; without it <data set>-<model>")
    fold: bool = _setting(True, "whether factors that adaptive layers have for training alone are multiplied out")
    group_tables: bool = _setting(
        False, "whether group-wise adaptive layers look up what they generate, group by group"
    )
    constant_weights: bool = _setting(
        True, "whether kernels are constants of the served graph, which answers small requests faster"
    )


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How hyper-parameters are searched; for pipelines.tune alone."""

    tuner: Literal["random", "bayesian", "hyperband"] = _setting(
        "random", "how values are drawn; hyperband stops the worse trials after fewer epochs"
    )
    trials: int = _setting(16, "sets of values to train beside the given settings")
    workers: int = _setting(1, "processes that train trials at the same time")
    space: dict[str, Any] = _setting(
        {},
        "what is searched, as model.NAME, optimizer.NAME or training.NAME: a list of values, {low = 1e-4, high = 1e-2}"
        ' with scale = "log" or "linear", or one value, which is then fixed; beside it the model\'s own space',
    )


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """All sections of one training job."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    export: ExportSettings = ExportSettings()
    search: SearchSettings = SearchSettings()

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """The settings as plain nested dicts."""
        return dataclasses.asdict(self)

    def fingerprint(self, *sections: str) -> str:
        """Eight characters that change when a setting of these sections does (all sections without names)."""
        mapping = self.to_mapping()
        chosen = {name: mapping[name] for name in (sections or mapping)}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:8]


def _type_text(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type_text(part) for part in get_args(annotation))
    if annotation is type(None):
        return "none"
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true|false"}.get(
        getattr(annotation, "__name__", ""), "a table"
    )


def _matches(value: Any, annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal:
        return value in get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_matches(value, part) for part in get_args(annotation))
    if origin is dict:
        return isinstance(value, dict)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation)


def _choices(annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(choice for part in get_args(annotation) for choice in _choices(part))
    return ()


def _section(cls: type, given: Any, name: str) -> Any:
    if not isinstance(given, Mapping):
        raise ValueError(f"[{name}] must be a table of settings, got {given!r}.")
    hints = get_type_hints(cls)
    # TOML has no null: a text "none" stands for it, as on the command line.
    given = {
        key: None if value == "none" and key in hints and _matches(None, hints[key]) else value
        for key, value in given.items()
    }
    for key, value in given.items():
        if key not in hints:
            raise ValueError(unknown_name_message(f"setting of [{name}]", key, hints))
        if not _matches(value, hints[key]):
            choices = _choices(hints[key])
            if isinstance(value, str) and choices:
                raise ValueError(unknown_name_message(f"value of {name}.{key}", value, choices))
            raise ValueError(f"{name}.{key} must be {_type_text(hints[key])}, got {value!r}.")
    return cls(**given)


def job_settings(mapping: Mapping[str, Any]) -> JobSettings:
    """Checks nested plain settings and makes them typed.

    Raises:
        ValueError: An unknown section, key or value, or a value of another type; the message names it and the
            nearest known one.

    Example:

    >>> job_settings({"training": {"epochs": 2}}).training.epochs
    2
    """
    sections = get_type_hints(JobSettings)
    for name in mapping:
        if name not in sections:
            raise ValueError(unknown_name_message("section of the settings", name, sections))
    return JobSettings(**{name: _section(sections[name], given, name) for name, given in mapping.items()})


def read_file(path: str | Path) -> dict[str, Any]:
    """Reads a TOML settings file into nested plain settings.

    Raises:
        ValueError: Not TOML, or not there.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"There is no settings file {str(path)!r}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error


def parse_value(text: str) -> Any:
    """Reads one value from the command line: a TOML value (`3`, `0.1`, `true`, `[400, 400]`), `none`, or else a text.

    Example:

    >>> parse_value("[400, 400]"), parse_value("1e-3"), parse_value("dgp")
    ([400, 400], 0.001, 'dgp')
    """
    if text.lower() in ("none", "null"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml_value(part)}" for key, part in value.items()) + "}"
    # A JSON string is a TOML basic string.
    return json.dumps("none" if value is None else value, ensure_ascii=False)


def _put(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a value in a table within tables."""
    *outer, last = path
    for part in outer:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(path)} cannot be set: {part} is {table!r} in the settings file, not a table.")
    table[last] = value


def _toml_table(name: str, given: Mapping[str, Any]) -> list[str]:
    """The lines of a table; tables within it follow it, but for `{low = ..., high = ...}`, which stay in one line."""
    inner = {key: value for key, value in given.items() if isinstance(value, Mapping) and "low" not in value}
    lines = [f"{key} = {_toml_value(value)}" for key, value in given.items() if key not in inner]
    lines = [f"[{name}]", *lines, ""] if lines else []
    for key, value in inner.items():
        lines += _toml_table(f"{name}.{key}", value)
    return lines


def to_toml(settings: JobSettings) -> str:
    """Writes settings as a TOML file that `read_file` takes; what has its default is left out.

    Example:

    >>> print(to_toml(job_settings({"training": {"epochs": 2}})), end="")
    [training]
    epochs = 2
    """
    lines: list[str] = []
    for section, defaults in JobSettings().to_mapping().items():
        given = settings.to_mapping()[section]
        lines += _toml_table(section, {key: value for key, value in given.items() if value != defaults[key]})
    return "\n".join(lines[:-1]) + "\n"


_SHORT = {"data.name": ("--dataset",), "model.name": ("--model",), "training.strategy": ("--strategy",)}
"""Settings that have a shorter option beside their own."""


class SettingsParser(argparse.ArgumentParser):
    """An argument parser with an option for every setting, whose errors name the nearest known option.

    Args:
        description: What the program does.
        sections: The sections that get options. Default `None`: all.
        pairs: A folder of settings files `<data set>/<model>.toml`, which are read where the command line names
            no file. Default `None`: no such folder.
        **kwargs: Arguments of `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        description: str,
        sections: Sequence[str] | None = None,
        pairs: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            description=description,
            usage="%(prog)s [--config FILE] [--SECTION.SETTING VALUE ...]",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **kwargs,
        )
        self.add_argument(
            "--config",
            metavar="FILE",
            help="settings file (TOML); options given here override it"
            + ("; without it, that of the data set and model where there is one" if pairs else ""),
        )
        self._pairs = None if pairs is None else Path(pairs)
        self._sections = {
            name: cls for name, cls in get_type_hints(JobSettings).items() if sections is None or name in sections
        }
        for section, cls in self._sections.items():
            group = self.add_argument_group(f"[{section}]", cls.__doc__)
            hints = get_type_hints(cls)
            for field in dataclasses.fields(cls):
                if field.name in _TABLES:
                    group.add_argument(
                        f"--{section}.{field.name}.NAME",
                        dest=argparse.SUPPRESS,
                        metavar="VALUE",
                        default=argparse.SUPPRESS,
                        help=field.metadata["help"],
                    )
                    continue
                default = "none" if field.default is None else str(field.default)
                setting = f"{section}.{field.name}"
                group.add_argument(
                    f"--{setting}",
                    *_SHORT.get(setting, ()),
                    dest=setting,
                    metavar="VALUE",
                    default=argparse.SUPPRESS,
                    help=f"{field.metadata['help']} ({_type_text(hints[field.name])}; default {default})",
                )

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit status 2, naming the nearest known option for one that is not known."""
        if message.startswith("unrecognized arguments: "):
            known = [option for action in self._actions for option in action.option_strings]
            given = message.split(": ", 1)[1].split()[0].split("=")[0]
            message = unknown_name_message("option", given, known)
        super().error(message)

    def _pair(self, namespace: argparse.Namespace) -> dict[str, Any]:
        """Reads the file of the data set and model that the command line names, `<data set>/<model>.toml`."""
        if self._pairs is None:
            return {}
        data = getattr(namespace, "data.name", DataSettings().name)
        model = getattr(namespace, "model.name", ModelSettings().name)
        file = self._pairs / data / f"{model}.toml"
        if not file.exists():
            return {}
        print(f"settings: {file.parent.name}/{file.name}")
        return read_file(file)

    def parse_settings(self, arguments: Sequence[str] | None = None) -> tuple[JobSettings, argparse.Namespace]:
        """Parses the command line: the settings, file and options together, and the parser's other arguments.

        Ends the program with exit status 2 and a message for a file, key or value that is not right.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        tables: dict[tuple[str, str], dict[str, Any]] = {}
        rest: list[str] = []
        prefixes = {
            f"--{section}.{field.name}.": (section, field.name)
            for section, cls in self._sections.items()
            for field in dataclasses.fields(cls)
            if field.name in _TABLES
        }
        while words:
            word = words.pop(0)
            prefix = next((prefix for prefix in prefixes if word.startswith(prefix)), None)
            if prefix is None:
                rest.append(word)
                continue
            name, equals, value = word[len(prefix) :].partition("=")
            if not equals:
                if not words:
                    self.error(f"argument {word}: expected one value")
                value = words.pop(0)
            tables.setdefault(prefixes[prefix], {})[name] = parse_value(value)
        namespace = self.parse_args(rest)
        try:
            mapping = read_file(namespace.config) if namespace.config else self._pair(namespace)
            for section, cls in self._sections.items():
                for key, annotation in get_type_hints(cls).items():
                    if hasattr(namespace, f"{section}.{key}"):
                        text = getattr(namespace, f"{section}.{key}")
                        mapping.setdefault(section, {})[key] = text if annotation is str else parse_value(text)
            for (section, key), values in tables.items():
                for name, value in values.items():
                    _put(mapping, [section, key, *(name.split(".") if key == "space" else [name])], value)
            return job_settings(mapping), namespace
        except ValueError as error:
            self.error(str(error))
