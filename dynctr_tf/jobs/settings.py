"""The settings of a job: typed values from a TOML file and from the command line.

Each section is a frozen dataclass whose fields carry their type, default and explanation. A file gives some of
them, the command line others (`--training.batch_size 1024`), and the command line wins. A key or value that
is not known is an error that names the nearest known one. Values are data: nothing of a file or a flag is
ever executed.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import math
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dynctr_tf.durable_files import refuse_uri
from dynctr_tf.nearest import either, nearest_full_names, nearest_name, unknown_name_message
from dynctr_tf.uris import is_uri

# Settings that are tables with keys of their own; each key has an option on the command line.
TABLES = ("options", "space", "vectors")
# A section whose other keys, and the tables in it, are options of what it names: [model.embedding] dim = 16.
OPEN_SECTION = "model"


_MOST_SEED = 2**32 - 1  # the largest seed that NumPy and Keras take
_MOST_ROWS = 2**31 - 1
NUM_KEYS = "embedding.num_keys"
"""The option of models that lets ids take rows of the table when they are first seen."""

SEVERAL_FILES = ("path", "validation_path", "test_path")
"""Settings of [data] that name a file of rows or several: a list, a folder, a pattern or a URI."""

_PLACES = ("path", "validation_path", "test_path", "schema", "directory")


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
        "synthetic_ctr, criteo_display_ads, avazu, ipinyou, frappe, kuairand, iaac, ali_ccp, amexpert, movielens_tag, "
        "movielens_1m, amazon_reviews; tfds for any that tensorflow-datasets has prepared, which data.options.dataset "
        "names; or tabular_file for your own CSV or Parquet file",
    )
    path: str | None = _setting(
        None,
        "the raw file; synthetic_ctr needs none, and without data.name it is a file of your own (tabular_file); of "
        "your own also several, a folder, a pattern in quotes ('logs/day=*/*.csv.gz') or a URI (gs://, s3://, hdfs://)",
    )
    schema: str | None = _setting(
        None,
        "the schema file of your own data, or of a data set of tfds that is not this project's; draft one with "
        "pipelines.schema; without it <file>.schema.json beside the file",
    )
    validation_path: str | None = _setting(
        None, "a file or files of your own validation rows, in place of a part of data.path"
    )
    test_path: str | None = _setting(None, "a file or files of your own test rows, in place of a part of data.path")
    split_by: str = _setting(
        "random",
        "random: 70/10/20 by a seeded hash of the row; order: the last rows are the test split; time:COLUMN: the rows "
        "with the latest times are, time:COLUMN@BEGIN,BEGIN: validation and test begin at these times; user:COLUMN: "
        "all rows of a user in one split, file: the last files are the test split, partition:COLUMN: the last folders "
        "COLUMN=... are",
    )
    min_count: int | None = _setting(
        None, "values seen fewer times in training go to the unknown bucket; on your own file the schema says it", 1
    )
    max_size: int | None = _setting(
        None, "keep at most this many values per categorical field; on your own file the schema says it", 1, _MOST_ROWS
    )
    keys: str | None = _setting(
        None,
        "features whose values are hashed to keys without a vocabulary, with commas between them, or all; for models "
        "with embedding.num_keys, with which it is auto unless you say otherwise: those that the schema names, or all "
        "where it names none",
    )
    binning: Literal["log_squared", "log_squared_plus_one", "log_of_square", "quantile"] | None = _setting(
        None, "how numbers become bins; without it what the data set's schema says"
    )
    negative_sampling_rate: float | None = _setting(
        None,
        "share of the rows without a click that is in the files; the served model is corrected for it, and the "
        "test split "
        "is judged both as it is and as if none had been left out",
    )
    on_bad_row: Literal["error", "skip"] = _setting("error", "stop at a bad row, or skip and count it")
    seed: int = _setting(0, "seed of the split, and of the rows that the project makes itself", 0, _MOST_SEED)
    options: dict[str, Any] = _setting({}, "further options of the data set, such as num_scenarios")
    directory: str = _setting(
        "runs/data",
        "where encoded data is kept between runs, also at a URI (gs://, s3://, hdfs://): what is not there yet is "
        "prepared in runs/at_uris and copied there",
    )
    readers: int | None = _setting(
        None,
        "requests at a time by which a process reads encoded data; without it 8 for a URI, and files are read as they "
        "are; a number also for a mounted bucket",
        1,
        1024,
    )
    processes: int | None = _setting(
        None,
        "processes that fit and encode; without it one for each core, or one alone where there are few rows",
        1,
        1024,
    )


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which model; its own options are listed by --list-models."""

    name: str = _setting("dynint_dgp", "model of the catalogue, see --list-models")
    options: dict[str, Any] = _setting(
        {}, "an option of the model, such as num_layers or embedding.dim; in code, all of them by their paths"
    )


@dataclasses.dataclass(frozen=True)
class PretrainedSettings:
    """Embeddings that were trained elsewhere."""

    vectors: dict[str, Any] = _setting(
        {},
        "by field, the file of its values' vectors: .npy with .keys.txt beside it, Parquet with key and vector, or the "
        "text of word2vec; of another size than model.embedding.dim they are projected; model.embedding.frozen names "
        "the fields that do not train; none takes a field's file away that a settings file names",
    )

    def files(self) -> dict[str, str]:
        """Returns the file of each field that has one.

        Raises:
            ValueError: A value that is not the name of a file.
        """
        named = {field: path for field, path in self.vectors.items() if path not in (None, "none")}
        for field, path in named.items():
            if not isinstance(path, str):
                raise ValueError(f"pretrained.vectors.{field} must be the name of a file, or none; got {path!r}.")
        return named


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """Which optimizer."""

    name: str = _setting(
        "default",
        "row_wise_adagrad (row-wise Adagrad on embeddings, Adam on the rest), group_ftrl (G-FTRL on embeddings, FTRL "
        "on the rest), lazy_adam, adam, sparse_adagrad, Keras' own such as keras.adamw, or on TensorFlow 2.15 those of "
        "tensorflow-addons such as tfa:LazyAdam; default: the model's",
    )
    options: dict[str, Any] = _setting({}, "options of the optimizer, such as learning_rate")
    schedule: Literal["constant", "cosine", "step"] = _setting(
        "constant", "how all learning rates go on after the warm-up: they stay, fall along a cosine, or fall in steps"
    )
    warmup_steps: int = _setting(0, "steps in which all learning rates rise from near 0")
    decay_steps: int | None = _setting(
        None, "steps of the cosine, by default all that are left; or steps between two falls, which need this number"
    )
    decay_end: float | None = _setting(
        None, "share of the rates that is left at the end of the cosine (default 0), or after each fall (0.1)"
    )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How long a model is trained, in which steps, and with which checks."""

    batch_size: int | None = _setting(
        None,
        "rows per step, over all replicas; without it the power of two from 64 to 4096 that makes 100 steps an epoch",
        1,
        _MOST_ROWS,
    )
    epochs: int = _setting(
        20, "at most this many passes over the training rows; patience ends most trainings after a few", 1, 10**6
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
class KeySettings:
    """When rows of the table are taken from keys, for models with embedding.num_keys."""

    unseen_for: int | None = _setting(
        None, "steps in which a key was not seen until its row is free for another; without it keys keep their rows", 1
    )
    free_share: float = _setting(
        0.0, "share of the rows that is kept free for new keys: those of the keys not seen for longest are taken"
    )
    every: int = _setting(
        1000, "steps between two times at which rows are taken from keys; it is done at each validation too", 1
    )


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How the test split is judged."""

    replicates: int = _setting(1000, "bootstrap replicates for every interval", 40, 10**6)
    slice_by: str | None = _setting(
        None, "fields, with commas between them, whose values group the rows for calibration, such as site_id,hour"
    )
    group_by: str | None = _setting(None, "field whose values group the rows for the grouped AUC, such as user_id")
    batch_size: int = _setting(4096, "rows per prediction step", 1, _MOST_ROWS)


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """Where the served model goes."""

    directory: str | None = _setting(
        "saved_models", "the model goes to <directory>/<name>/<version>/, also at a URI; none: no export"
    )
    name: str | None = _setting(None, "name of the served model; without it <data set>-<model>")
    fold: bool = _setting(True, "whether factors that adaptive layers need only in training are multiplied out")
    group_tables: bool = _setting(
        False, "whether group-wise adaptive layers look up what they generate, group by group"
    )
    constant_weights: bool = _setting(
        True, "whether kernels are constants of the served graph, which answers small requests faster"
    )
    without_zero_rows: bool = _setting(
        True, "whether all rows of a table that are zero, as G-FTRL makes them, are held as one; needs constant_weights"
    )
    table_numbers: Literal["float32", "bfloat16", "int8"] = _setting(
        "float32",
        "bits of a number in served tables: 32, 16, or 8 and a scale for each row; the AUC is printed",
    )
    even_if_worse_than_base_rate: bool = _setting(
        False, "whether to export a model even if it is no better on the validation rows than their click rate alone"
    )


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """How hyper-parameters are searched; for pipelines.tune alone."""

    tuner: Literal["random", "bayesian", "hyperband", "grid"] = _setting(
        "random",
        "how values are drawn; hyperband stops the worse trials after fewer epochs; grid trains every set of values of "
        "a space of lists, and the given settings only where they are one of them",
    )
    trials: int = _setting(
        16, "sets of values to train beside the given settings; for grid at least as many as there are", 0, 10**6
    )
    workers: int = _setting(1, "processes that train trials at the same time", 1, 1024)
    space: dict[str, Any] = _setting(
        {},
        "what is searched, as model.NAME, optimizer.NAME or training.NAME: a list of values, {low = 1e-4, high = 1e-2}"
        ' with scale = "log" or "linear" and, for a list of that many values, points = 4; or one value, which is then '
        "fixed",
    )
    catalogue_space: bool = _setting(
        True, "whether the model's and the optimizer's own space is searched too; false: only what space says"
    )


@dataclasses.dataclass(frozen=True)
class JobSettings:
    """All sections of one training job."""

    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    pretrained: PretrainedSettings = PretrainedSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    keys: KeySettings = KeySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    export: ExportSettings = ExportSettings()
    search: SearchSettings = SearchSettings()

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """The settings as plain nested dicts, which `job_settings` takes."""
        mapping = dataclasses.asdict(self)
        opened: dict[str, Any] = {"name": self.model.name}
        for path, value in mapping[OPEN_SECTION]["options"].items():
            put_value(opened, path.split("."), value)
        return {**mapping, OPEN_SECTION: opened}

    def fingerprint(self, *sections: str) -> str:
        """Eight characters that change when a setting of these sections does (all sections without names)."""
        mapping = self.to_mapping()
        chosen = {name: mapping[name] for name in (sections or mapping)}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:8]


def type_text(annotation: Any) -> str:
    """How messages and help texts call the type of a setting."""
    if get_origin(annotation) is Literal:
        return "|".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(type_text(part) for part in get_args(annotation))
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


def on_one_device(settings: JobSettings) -> JobSettings:
    """Returns settings without a strategy and what belongs to one, for work of one process on a trained model."""
    training = dataclasses.replace(settings.training, strategy=None, replicas=None, tpu_address=None)
    return dataclasses.replace(settings, training=training)


def full_names() -> list[str]:
    """Every setting with its section, such as `"training.epochs"`; tables by themselves, `"data.options"`."""
    return [
        f"{section}.{field.name}"
        for section, cls in get_type_hints(JobSettings).items()
        for field in dataclasses.fields(cls)
        if section != OPEN_SECTION or field.name not in TABLES
    ]


def _plain_value(name: str, value: Any, depth: int = 0) -> None:
    """Refuses values that no option can have: dates, numbers that are not finite or have over 64 bits, deep nesting.

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
    # These are the options that every job knows; `SettingsParser` knows more. An equal name in another section is
    # suggested before a similar one here.
    names = [*full_names(), *KNOWN_OPTIONS]
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
KNOWN_OPTIONS = (
    "optimizer.options.learning_rate",
    "model.embedding.dim",
    "model.embedding.num_keys",
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
    if name != OPEN_SECTION:
        return cls(**_section_values(cls, given, name))
    own = {field.name for field in dataclasses.fields(cls)} - set(TABLES)
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
    # Several files are one text, a JSON list, which `list_row_files` reads.
    given = {
        key: json.dumps(list(value), ensure_ascii=False)
        if key in SEVERAL_FILES and isinstance(value, (list, tuple)) and all(isinstance(file, str) for file in value)
        else value
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
            raise ValueError(f"{name}.{key} must be {type_text(hints[key])}, got {value!r}.")
        least, most = fields[key].metadata["least"], fields[key].metadata["most"]
        if isinstance(value, int) and least is not None and value < least:
            raise ValueError(f"{name}.{key} must be at least {least}, got {value}.")
        if isinstance(value, int) and most is not None and value > most:
            raise ValueError(f"{name}.{key} must be at most {most:,}, got {value:,}.")
        if isinstance(value, str) and key in _PLACES and ("\0" in value or not value):
            raise ValueError(f"{name}.{key} must be the name of a file or folder, got {value!r}.")
        # Encoded data and exports are copied to URIs.
        at_uri = name == "data" or (name == "export" and is_uri(str(value)))
        if isinstance(value, str) and key == "directory" and not at_uri:
            refuse_uri(value, f"files of {name}.directory")
    return dict(given)


def job_settings(mapping: Mapping[str, Any]) -> JobSettings:
    """Checks nested plain settings and returns them typed.

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
        meant = [] if isinstance(given, Mapping) else nearest_full_names(name, [*full_names(), *KNOWN_OPTIONS], 0.75)
        if meant and nearest_name(name, sections, 0.8) is None:
            table, _, key = meant[0].rpartition(".")
            raise ValueError(
                f"Unknown section of the settings: {name!r}. Did you mean {either(meant)}, which a file gives as "
                f"{key} = ... under [{table}]?"
            )
        raise ValueError(unknown_name_message("section of the settings", name, sections))
    settings = JobSettings(**{name: _section(sections[name], given, name) for name, given in mapping.items()})
    if settings.data.keys is None and has_keys(settings):
        settings = dataclasses.replace(settings, data=dataclasses.replace(settings.data, keys="auto"))
    return settings


def has_keys(settings: JobSettings) -> bool:
    """Whether the table of the model has rows for a number of keys, or a search tries that."""
    space = settings.search.space
    searched = space.get("model")
    named = paths_of(searched) if isinstance(searched, Mapping) else {}
    return (
        settings.model.options.get(NUM_KEYS) is not None
        or f"{OPEN_SECTION}.{NUM_KEYS}" in space
        or any(path.startswith(NUM_KEYS) for path in named)
    )


def put_value(table: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Sets a value in a table within tables."""
    *outer, last = path
    for part in outer:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ValueError(f"{'.'.join(path)} cannot be set: {part} is {table!r} in the settings, not a table.")
    table[last] = value
