"""What a job is told: typed settings from a TOML file and from the command line.

Each section is a frozen dataclass whose fields carry their type, default and explanation. A file gives some of
them, the command line others (`--training.batch_size 1024`), and the command line wins. A key or value that
is not known is an error that names the nearest known one. Values are data: nothing of a file or a flag is
ever executed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import json
import math
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from dynctr_tf.durable_files import DamagedFileError, checksum_of, write_bytes
from dynctr_tf.nearest import either, nearest_full_names, nearest_name, unknown_name_message

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


# Settings that are tables with keys of their own; each key has an option on the command line.
_TABLES = ("options", "space")
# A section whose other keys, and the tables in it, are options of what it names: [model.embedding] dim = 16.
_OPEN = "model"


_MOST_SEED = 2**32 - 1  # what NumPy and Keras take
_MOST_ROWS = 2**31 - 1


def _setting(default: Any, explanation: str, least: int | None = None, most: int | None = None) -> Any:
    """A field with its explanation; a number lies between `least` and `most`, both included."""
    metadata = {"help": explanation, "least": least, "most": most}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which rows, and how they become ids."""

    name: str = _setting(
        "synthetic_ctr",
        "synthetic_ctr, criteo_display_ads, avazu, ali_ccp, amexpert, movielens_tag, movielens_1m, amazon_reviews, or "
        "tabular_file for your own CSV or Parquet file",
    )
    path: str | None = _setting(
        None, "the raw file; synthetic_ctr needs none, and without data.name it is a file of your own (tabular_file)"
    )
    schema: str | None = _setting(
        None,
        "the schema file of your own data; draft one with pipelines.schema; without it <file>.schema.json beside it",
    )
    split_by: Literal["random", "order"] = _setting(
        "random", "random: 70/10/20 by a seeded hash of the row; order: the last rows are the test split"
    )
    min_count: int | None = _setting(
        None, "values seen fewer times in training go to the unknown bucket; on your own file the schema says it", 1
    )
    max_size: int | None = _setting(
        None, "keep at most this many values per categorical field; on your own file the schema says it", 1, _MOST_ROWS
    )
    binning: Literal["log_squared", "log_squared_plus_one", "quantile"] | None = _setting(
        None, "how numbers become bins; without it what the data set's schema says"
    )
    on_bad_row: Literal["error", "skip"] = _setting("error", "stop at a bad row, or skip and count it")
    seed: int = _setting(0, "seed of the split, and of the rows that the project makes itself", 0, _MOST_SEED)
    options: dict[str, Any] = _setting({}, "further options of the data set, such as num_scenarios")
    directory: str = _setting("runs/data", "where encoded data is kept between runs")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which model; its own options are listed by --list-models."""

    name: str = _setting("dynint-dgp", "model of the catalogue, see --list-models")
    options: dict[str, Any] = _setting(
        {}, "an option of the model, such as num_layers or embedding.dim; in code, all of them by their paths"
    )


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer."""

    name: str = _setting(
        "default",
        "row_wise_adagrad (row-wise Adagrad on embeddings, Adam on the rest), group_ftrl (G-FTRL on embeddings, FTRL "
        "on the rest), lazy_adam, adam, sparse_adagrad, or Keras' own such as keras.adamw; default: the model's",
    )
    options: dict[str, Any] = _setting({}, "options of the optimizer, such as learning_rate")
    schedule: Literal["constant", "cosine", "step"] = _setting(
        "constant", "how all learning rates go on after the warm-up: they stay, fall along a cosine, or in steps"
    )
    warmup_steps: int = _setting(0, "steps in which all learning rates rise from near 0")
    decay_steps: int | None = _setting(
        None, "steps of the cosine, without it all that are left; or between two steps down, which need it"
    )
    decay_end: float | None = _setting(
        None, "share of the rates at the end of the cosine (without it 0), or what a step down multiplies by (0.1)"
    )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How long, in which steps, with which checks."""

    batch_size: int | None = _setting(
        None,
        "rows per step, over all replicas; without it the power of two from 64 to 4096 that makes 100 steps an epoch",
        1,
        _MOST_ROWS,
    )
    epochs: int = _setting(
        20, "passes over the training rows at the most; patience ends most trainings after a few", 1, 10**6
    )
    evaluate_every: int | None = _setting(
        None, "steps between validations (and checkpoints); without it, four times per epoch", 1, _MOST_ROWS
    )
    monitor: Literal["logloss", "auc"] = _setting("logloss", "validation metric that picks the best checkpoint")
    patience: int | None = _setting(
        None,
        "stop after this many validations without a better one; 0 for never; without it those of two epochs",
        0,
        _MOST_ROWS,
    )
    seed: int = _setting(0, "seed of initial weights, row order and dropout", 0, _MOST_SEED)
    deterministic: bool = _setting(
        True,
        "same seed, same weights to the last bit on the same machine with the same number of threads "
        "(TF_NUM_INTRAOP_THREADS); with another number they differ by rounding, 1e-6 to 1e-4; slower on GPUs",
    )
    mixed_precision: bool = _setting(
        False, "matrix products in bfloat16, the rest in float32; for processors that have bfloat16"
    )
    xla: bool = _setting(False, "let XLA compile what it can of a step; slower on the CPUs that were measured")
    tensorboard: bool = _setting(True, "write TensorBoard event files")
    strategy: Literal["mirrored", "multi_worker", "parameter_server", "tpu"] | None = _setting(
        None, "how the training is spread over devices and machines, also --strategy; see dynctr_tf.training.traffic"
    )
    replicas: int | None = _setting(
        None, "GPUs for mirrored, or logical CPU devices where there is no GPU; without it all GPUs", 1, 1024
    )
    tpu_address: str | None = _setting(None, "name or address of the TPU; without it that of this machine")
    max_restarts: int = _setting(
        3, "how often a multi_worker process starts itself again after it has lost another", 0, 10**6
    )


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How the test split is judged."""

    replicates: int = _setting(1000, "bootstrap replicates for every interval", 40, 10**6)
    group_by: str | None = _setting(None, "field whose values group the rows for the grouped AUC, such as user_id")
    batch_size: int = _setting(16384, "rows per prediction step", 1, _MOST_ROWS)


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
    even_if_worse_than_base_rate: bool = _setting(
        False, "whether a model is exported that is no better on the validation rows than their click rate alone"
    )


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How hyper-parameters are searched; for pipelines.tune alone."""

    tuner: Literal["random", "bayesian", "hyperband"] = _setting(
        "random", "how values are drawn; hyperband stops the worse trials after fewer epochs"
    )
    trials: int = _setting(16, "sets of values to train beside the given settings", 0, 10**6)
    workers: int = _setting(1, "processes that train trials at the same time", 1, 1024)
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
        """The settings as plain nested dicts, which `job_settings` takes."""
        mapping = dataclasses.asdict(self)
        opened: dict[str, Any] = {"name": self.model.name}
        for path, value in mapping[_OPEN]["options"].items():
            _put(opened, path.split("."), value)
        return {**mapping, _OPEN: opened}

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


def full_names() -> list[str]:
    """Every setting with its section, such as `"training.epochs"`; tables by themselves, `"data.options"`."""
    return [
        f"{section}.{field.name}"
        for section, cls in get_type_hints(JobSettings).items()
        for field in dataclasses.fields(cls)
        if section != _OPEN or field.name not in _TABLES
    ]


def _plain_value(name: str, value: Any, depth: int = 0) -> None:
    """Refuses what an option cannot be: dates, numbers that are not finite or have over 64 bits, deep nesting.

    Raises:
        ValueError: One of these, with the option's name.
    """
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must be a number of at most 64 bits, got one of {len(str(abs(value)))} digits.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}.")
    elif depth > 8:
        raise ValueError(f"{name} has more than 8 tables or lists within one another.")
    elif isinstance(value, (list, tuple)):
        for part in value:
            _plain_value(name, part, depth + 1)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            _plain_value(f"{name}.{key}", part, depth + 1)
    elif isinstance(value, (datetime.date, datetime.time)):
        raise ValueError(
            f"{name} must be a number, a text, a list or true|false, got the date or time {value}; put it "
            f'into quotes: "{value}".'
        )
    else:
        raise ValueError(f"{name} must be a number, a text, a list or true|false, got {value!r}.")


def _unknown_setting(section: str, key: str, known: Iterable[str]) -> str:
    """Says that a section has no such setting, and which one is meant, here or in another section."""
    # Those of the tables that any job knows; a job knows more of them, see `SettingsParser`. One that is spelt so, in
    # another section, comes before one here that looks alike.
    names = [*full_names(), *_KNOWN_OPTIONS]
    near = nearest_name(key, known, 0.75)
    elsewhere = [] if near else nearest_full_names(f"{section}.{key}", names, 1.01)
    near = near or (None if elsewhere else nearest_name(key, known))
    elsewhere = elsewhere or ([] if near else nearest_full_names(f"{section}.{key}", names, 0.75))
    if elsewhere:
        table, _, name = elsewhere[0].rpartition(".")
        return (
            f"Unknown setting of [{section}]: {key!r}. Did you mean {either(elsewhere)}, which a file gives as "
            f"{name} = ... under [{table}]?"
        )
    hint = f" Did you mean {near!r}?" if near else ""
    return f"Unknown setting of [{section}]: {key!r}.{hint} Known: {', '.join(sorted(known))}."


# Options that most models or optimizers have; the catalogue, which knows them all, needs TensorFlow.
_KNOWN_OPTIONS = (
    "optimizer.options.learning_rate",
    "model.embedding.dim",
    "model.deep.units",
    "model.deep.dropout",
    "model.deep.batch_norm",
    "model.deep.activation",
    "model.num_layers",
    "model.embedding.row_regularizer_l2",
    "model.deep.kernel_regularizer_l2",
)


def _section(cls: type, given: Any, name: str) -> Any:
    if not isinstance(given, Mapping):
        raise ValueError(f"[{name}] must be a table of settings, got {given!r}.")
    if name != _OPEN:
        return cls(**_section_values(cls, given, name))
    own = {field.name for field in dataclasses.fields(cls)} - set(_TABLES)
    opened = {key: value for key, value in given.items() if key not in own}
    _plain_value(name, opened)
    values = _section_values(cls, {key: value for key, value in given.items() if key in own}, name)
    return cls(**values, options=paths_of(opened))


def paths_of(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Returns the values of tables within tables by their paths.

    Example:

    >>> paths_of({"rank": 4, "embedding": {"dim": 16}})
    {'rank': 4, 'embedding.dim': 16}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        found.update(paths_of(value, f"{before}{key}.") if isinstance(value, Mapping) else {before + key: value})
    return found


def _section_values(cls: type, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    # TOML has no null: a text "none" stands for it, as on the command line.
    given = {
        key: None if value == "none" and key in hints and _matches(None, hints[key]) else value
        for key, value in given.items()
    }
    for key, value in given.items():
        if key not in hints:
            raise ValueError(_unknown_setting(name, key, hints))
        _plain_value(f"{name}.{key}", value)
        if not _matches(value, hints[key]):
            choices = _choices(hints[key])
            if isinstance(value, str) and choices:
                raise ValueError(unknown_name_message(f"value of {name}.{key}", value, choices))
            raise ValueError(f"{name}.{key} must be {_type_text(hints[key])}, got {value!r}.")
        least, most = fields[key].metadata["least"], fields[key].metadata["most"]
        if isinstance(value, int) and least is not None and value < least:
            raise ValueError(f"{name}.{key} must be at least {least}, got {value}.")
        if isinstance(value, int) and most is not None and value > most:
            raise ValueError(f"{name}.{key} must be at most {most:,}, got {value:,}.")
        if isinstance(value, str) and key in ("path", "schema", "directory") and ("\0" in value or not value):
            raise ValueError(f"{name}.{key} must be the name of a file or folder, got {value!r}.")
    return dict(given)


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
    for name, given in mapping.items():
        if name in sections:
            continue
        meant = [] if isinstance(given, Mapping) else nearest_full_names(name, [*full_names(), *_KNOWN_OPTIONS], 0.75)
        if meant and nearest_name(name, sections, 0.8) is None:
            table, _, key = meant[0].rpartition(".")
            raise ValueError(
                f"Unknown section of the settings: {name!r}. Did you mean {either(meant)}, which a file gives as "
                f"{key} = ... under [{table}]?"
            )
        raise ValueError(unknown_name_message("section of the settings", name, sections))
    return JobSettings(**{name: _section(sections[name], given, name) for name, given in mapping.items()})


def read_file(path: str | Path) -> dict[str, Any]:
    """Reads a TOML settings file into nested plain settings.

    Raises:
        ValueError: Not TOML, or not there.
        DamagedFileError: It is empty, or is not what `write_settings` wrote.
    """
    try:
        content = Path(path).read_bytes()
        _check_first_line(path, content)
        return tomllib.loads(content.decode("utf-8-sig"))
    except DamagedFileError:
        raise
    except FileNotFoundError as error:
        raise ValueError(f"There is no settings file {str(path)!r}.") from error
    except IsADirectoryError as error:
        raise ValueError(f"The settings file {str(path)!r} is a folder; give a TOML file in it.") from error
    except OSError as error:
        raise ValueError(f"The settings file {str(path)!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not TOML: byte {error.start} is not UTF-8. A file of rows is given as --data.path."
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"{path} is not TOML that can be read: too many lists or tables within one another."
        ) from error
    except ValueError as error:  # not TOML, or a number of thousands of digits
        raise ValueError(f"{path} is not TOML: {error}.") from error


def write_settings(path: str | Path, settings: JobSettings) -> None:
    """Writes settings as a TOML file whose first line holds a checksum of the others, which `read_file` checks.

    Whoever edits the file deletes that line, which says so.

    Raises:
        OSError: It cannot be written, with its name.
    """
    lines = to_toml(settings).encode("utf-8", "surrogateescape")
    write_bytes(path, _first_line(lines) + lines)


def _first_line(lines: bytes) -> bytes:
    return f"# {checksum_of(lines)} of the lines below; delete this line when you change them\n".encode()


def _check_first_line(path: str | Path, content: bytes) -> None:
    begin = _first_line(b"")[: len("# crc32:")]
    # Also a file that was cut within its first line, or is empty.
    if not begin.startswith(content[: len(begin)]):
        return
    first, newline, lines = content.partition(b"\n")
    if first + newline != _first_line(lines):
        if not content:
            raise DamagedFileError(f"The settings file {str(path)!r} is empty. Make it again, or leave it out.")
        raise DamagedFileError(
            f"The settings file {str(path)!r} is damaged or was changed: its first line has another checksum than the "
            "lines below it. Make it again; or, where the change is yours, delete its first line."
        )


def parse_value(text: str) -> Any:
    """Reads one value from the command line: a TOML value (`3`, `0.1`, `true`, `[400, 400]`), `none`, or else a text.

    A date is a text here: no setting is one.

    Example:

    >>> parse_value("[400, 400]"), parse_value("1e-3"), parse_value("dgp"), parse_value("2020-01-01")
    ([400, 400], 0.001, 'dgp', '2020-01-01')
    """
    if text.lower() in ("none", "null"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "\n" in text or "\r" in text:
        return text
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, (datetime.date, datetime.time)) else value


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml_value(part)}" for key, part in value.items()) + "}"
    # A JSON string is a TOML basic string, but for the one control character that JSON leaves as it is.
    return json.dumps("none" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _put(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a value in a table within tables."""
    *outer, last = path
    for part in outer:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(path)} cannot be set: {part} is {table!r} in the settings, not a table.")
    table[last] = value


def _toml_table(name: str, given: Mapping[str, Any]) -> list[str]:
    """The lines of a table; tables within it follow it, but for `{low = ..., high = ...}`, which stay in one line."""
    inner = {key: value for key, value in given.items() if isinstance(value, Mapping) and "low" not in value}
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in given.items() if key not in inner]
    lines = [f"[{name}]", *lines, ""] if lines else []
    for key, value in inner.items():
        lines += _toml_table(f"{name}.{_toml_key(key)}", value)
    return lines


def to_toml(settings: JobSettings) -> str:
    """Writes settings as a TOML file that `read_file` takes; what has its default is left out.

    Example:

    >>> print(to_toml(job_settings({"training": {"epochs": 2}})), end="")
    [training]
    epochs = 2
    """
    lines: list[str] = []
    mapping = settings.to_mapping()
    for section, defaults in JobSettings().to_mapping().items():
        given = mapping[section]
        lines += _toml_table(section, {key: value for key, value in given.items() if value != defaults.get(key, ...)})
    return "\n".join(lines[:-1]) + "\n"


_SHORT = {"data.name": ("--dataset",), "model.name": ("--model",), "training.strategy": ("--strategy",)}
"""Settings that have a shorter option beside their own."""


_FILE_SUFFIXES = (".csv", ".tsv", ".txt", ".gz", ".bz2", ".zst", ".zip", ".parquet", ".jsonl", ".json", ".arrow")


def _stems(path: str) -> list[Path]:
    """The names of a file without one, two, ... of its endings."""
    stems = [Path(path)]
    while stems[-1].suffix and stems[-1].stem:
        stems.append(stems[-1].with_suffix(""))
    return stems


def _schema_beside(path: str) -> str | None:
    """The schema that was drafted for a file, where there is one."""
    files = [stem.with_name(f"{stem.name}.schema.json") for stem in _stems(path) if stem.name]
    return next((str(file) for file in files if file.is_file()), None)


def _drafted_schema(path: str) -> str:
    """The name that the schema drafted for a file gets."""
    stem = Path(path)
    while stem.suffix.lower() in _FILE_SUFFIXES:
        stem = stem.with_suffix("")
    return str(stem.with_name(f"{stem.name}.schema.json"))


def _is_no_option(name: str) -> bool:
    """Whether what follows `--model.` is the setting `name`, its like, or in a table that [model] does not have."""
    return name.partition(".")[0] in _TABLES or nearest_name(name, ["name"], 0.8) is not None


class SettingsParser(argparse.ArgumentParser):
    """An argument parser with an option for every setting, whose errors name the nearest known option.

    Args:
        description: What the program does.
        sections: The sections that get options. Default `None`: all.
        pairs: A folder of settings files `<data set>/<model>.toml`, which are read where the command line names
            no file. Default `None`: no such folder.
        table_options: Gives, for the names of data set, model and optimizer, the options that each of their tables
            takes, such as `{"model": ["embedding.dim"]}`; asked only where an option is not known.
            Default `None`: those that most models have.
        **kwargs: Arguments of `argparse.ArgumentParser`.
    """

    def __init__(
        self,
        description: str,
        sections: Sequence[str] | None = None,
        pairs: str | Path | None = None,
        table_options: Callable[[str, str, str], Mapping[str, Iterable[str]]] | None = None,
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
        self._table_options = table_options
        self._sections = {
            name: cls for name, cls in get_type_hints(JobSettings).items() if sections is None or name in sections
        }
        for section, cls in self._sections.items():
            group = self.add_argument_group(f"[{section}]", cls.__doc__)
            hints = get_type_hints(cls)
            for field in dataclasses.fields(cls):
                if field.name in _TABLES:
                    group.add_argument(
                        f"--{section}.NAME" if section == _OPEN else f"--{section}.{field.name}.NAME",
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

    def _refuse_words(self, words: Sequence[str], namespace: argparse.Namespace) -> NoReturn:
        """Ends the program for words that are no option, with what each of them was meant to be."""
        rest, found = list(words), []
        while rest:
            word = rest.pop(0)
            if word.startswith("-"):
                value = rest.pop(0) if rest and not rest[0].startswith("--") and "=" not in word else ""
                found.append(self._unknown_option(word, value, namespace))
            else:
                found.append(self._bare_word(word))
        self.error(" ".join(found))

    def _unknown_option(self, word: str, value: str, namespace: argparse.Namespace) -> str:
        name, equals, after = word.lstrip("-").partition("=")
        value = after if equals else value
        section, _, setting = name.partition(".")
        if section in self._sections and setting in ("", *_TABLES):
            names = [field.name for field in dataclasses.fields(self._sections[section])]
            first = f"{section}.{'name' if 'name' in names else names[0]} VALUE"
            if setting:
                first = f"{section if section == _OPEN else name}.NAME VALUE"
            return (
                f"Unknown option: {word!r}. It is the name of a table of settings; give one of them, as in --{first}."
            )
        if name in full_names() and section not in self._sections:
            jobs = "pipelines.tune and pipelines.compare have" if section == "search" else "other jobs have"
            return f"Unknown option: {word!r}, which {jobs}; leave it out here."
        known = [
            option.lstrip("-")
            for action in self._actions
            for option in action.option_strings
            if option.startswith("--") and not option.endswith(".NAME")
        ]
        for table, options in self._options_of_tables(namespace).items():
            known += [f"{table}.{option}" for option in options]
        cutoff = 0.6 if setting else 0.75  # a word alone says less
        meant = sorted(nearest_full_names(name, known, cutoff), key=lambda option: not option.startswith("training."))
        if not meant and self._table_options is not None:
            elsewhere = self._table_options("", "", "default")
            everywhere = [f"{table}.{option}" for table, options in elsewhere.items() for option in options]
            if others := nearest_full_names(name, everywhere, 1.01):
                return (
                    f"Unknown option: {word.partition('=')[0]!r}. {either(f'--{option}' for option in others)} belongs "
                    "to another model, optimizer or data set than the one named here; see --list-models."
                )
        hint = f" Did you mean {either(f'--{option}' for option in meant)}?" if meant else ""
        example = f" As in: --{meant[0]} {value}." if len(meant) == 1 and value and " " not in value else ""
        return f"Unknown option: {word.partition('=')[0]!r}.{hint}{example} --help lists all options."

    def _options_of_tables(self, namespace: argparse.Namespace) -> Mapping[str, Iterable[str]]:
        if self._table_options is None:
            tables: dict[str, list[str]] = {}
            for option in _KNOWN_OPTIONS:
                section, _, rest = option.partition(".")
                table, name = (section, rest) if section == _OPEN else option.rsplit(".", 1)
                tables.setdefault(table, []).append(name)
            return tables
        defaults = {"data": DataSettings().name, "model": ModelSettings().name, "optimizer": OptimizerSettings().name}
        names = [getattr(namespace, f"{section}.name", default) for section, default in defaults.items()]
        return self._table_options(*names)

    def _bare_word(self, word: str) -> str:
        """Says what to do with a word that stands by itself, such as the name of a file."""
        path = Path(word)
        suffix = path.suffix.lower()
        if suffix == ".toml":
            return f"A settings file is given as --config {word}."
        if suffix == ".json":
            return f"{word!r} is no option. A schema is given as --data.schema {word}."
        if suffix in _FILE_SUFFIXES or path.is_file():
            schema = _schema_beside(word)
            draft = "" if schema else f"draft a schema, `python -m pipelines.schema {word}`, and then "
            return (
                f"A file of rows is given as --data.path: {draft}`{self.prog} --data.name tabular_file --data.path "
                f"{word} --data.schema {schema or _drafted_schema(word)}`."
            )
        if path.is_dir():
            return f"{word!r} is a folder; give a file of rows, as --data.path FILE."
        return f"{word!r} is no option: every setting is given as --SECTION.SETTING VALUE; --help lists them."

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit status 2 and a message."""
        # Bytes of the command line that are no text would fail in print.
        super().error(message.encode("utf-8", "backslashreplace").decode("utf-8"))

    def _infer_own_file(self, mapping: Mapping[str, Any], namespace: argparse.Namespace) -> None:
        """Takes a file without the name of a data set as a file of one's own, and its schema from beside it."""
        file = mapping.get("data")
        file = file if isinstance(file, Mapping) else {}

        def given(name: str) -> Any:
            return getattr(namespace, f"data.{name}", file.get(name))

        name, path, schema = given("name"), given("path"), given("schema")
        if "data" not in self._sections or (name is None and path is None and schema is None):
            return
        if name is None:
            print(f"data.name: tabular_file, a file of your own, for data.{'path' if path else 'schema'} is given")
            setattr(namespace, "data.name", "tabular_file")
        elif name != "tabular_file":
            return
        if not isinstance(path, str) or path in ("", "none"):
            raise ValueError("A file of your own (data.name tabular_file) needs its path: give --data.path FILE.")
        if schema is None:
            found = _schema_beside(path)
            if found is None:
                absent = "" if Path(path).exists() else " But there is no such file."
                raise ValueError(
                    f"The file {path!r} needs a schema, which says what its columns mean. Draft one with `python -m "
                    f"pipelines.schema {path}` and start again with --data.schema {_drafted_schema(path)}. Where the "
                    f"file is one of a data set that the project knows, give its --data.name.{absent}"
                )
            print(f"data.schema: {found}, beside the file")
            setattr(namespace, "data.schema", found)

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
            f"--{section}." if section == _OPEN else f"--{section}.{field.name}.": (section, field.name)
            for section, cls in self._sections.items()
            for field in dataclasses.fields(cls)
            if field.name in _TABLES
        }
        while words:
            word = words.pop(0)
            prefix = next((prefix for prefix in prefixes if word.startswith(prefix)), None)
            name, equals, value = word[len(prefix or "") :].partition("=")
            if prefix is None or (prefix == f"--{_OPEN}." and _is_no_option(name)):
                rest.append(word)
                continue
            if not name:
                self.error(f"argument {word}: needs the name of an option, as in {prefix}NAME VALUE")
            if not equals:
                if not words:
                    self.error(f"argument {word}: expected one value")
                value = words.pop(0)
            tables.setdefault(prefixes[prefix], {})[name] = parse_value(value)
        namespace, unknown = self.parse_known_args(rest)
        if unknown:
            self._refuse_words(unknown, namespace)
        try:
            mapping = {} if namespace.config is None else read_file(namespace.config)
            self._infer_own_file(mapping, namespace)
            mapping = mapping if namespace.config is not None else self._pair(namespace)
            for section, cls in self._sections.items():
                for key, annotation in get_type_hints(cls).items():
                    if hasattr(namespace, f"{section}.{key}"):
                        text = getattr(namespace, f"{section}.{key}")
                        if annotation not in (str, str | None) or text.lower() in ("none", "null"):
                            text = text if annotation is str else parse_value(text)
                        _put(mapping, [section, key], text)
            for (section, key), values in tables.items():
                for name, value in values.items():
                    path = name.split(".") if section == _OPEN or key == "space" else [name]
                    _put(mapping, [section, *([] if section == _OPEN else [key]), *path], value)
            return job_settings(mapping), namespace
        except ValueError as error:
            self.error(str(error))
