"""The settings as options of a command line, and messages that suggest the right option."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from dynctr_tf.datasets.row_files import row_paths
from dynctr_tf.jobs.settings import (
    KNOWN_OPTIONS,
    OPEN_SECTION,
    SEVERAL_FILES,
    TABLES,
    DataSettings,
    JobSettings,
    ModelSettings,
    OptimizerSettings,
    full_names,
    job_settings,
    put_value,
    type_text,
)
from dynctr_tf.jobs.settings_file import parse_value, read_file
from dynctr_tf.nearest import either, nearest_full_names, nearest_name
from dynctr_tf.uris import is_uri

_SHORT = {"data.name": ("--dataset",), "model.name": ("--model",), "training.strategy": ("--strategy",)}
"""Settings with a second, shorter option."""


_FILE_SUFFIXES = (
    *(".csv", ".tsv", ".tab", ".txt", ".dat", ".parquet", ".jsonl", ".ndjson", ".json", ".arrow"),
    *(".gz", ".bz2", ".zst", ".zstd", ".xz", ".lz4", ".zip"),
)


def _stems(path: str) -> list[Path]:
    """The names of a file without its last ending, its last two endings, and so on."""
    stems = [Path(path)]
    while stems[-1].suffix and stems[-1].stem:
        stems.append(stems[-1].with_suffix(""))
    return stems


def _schema_beside(path: str) -> str | None:
    """The schema that was drafted for a file, or for several; `None` if there is none."""
    paths = [str(file) for file in row_paths(path)]
    drafted = drafted_schema(paths)
    if len(paths) > 1 or is_uri(path):
        return str(drafted) if drafted.is_file() else None
    files = [stem.with_name(f"{stem.name}.schema.json") for stem in _stems(path) if stem.name] + [drafted]
    return next((str(file) for file in files if file.is_file()), None)


def drafted_schema(paths: Sequence[str]) -> Path:
    """The path of the schema that is drafted for files: beside the file or folder; for a URI in this folder.

    Args:
        paths: The files; the first one decides.
    """
    path = paths[0]
    if is_uri(path):
        parts = [part for part in path.partition("?")[0].split("/") if part and not re.search(r"[*?\[=]", part)]
        return Path(f"{_plain_name(parts[-1]) or 'rows'}.schema.json")
    place = Path(path)
    if re.search(r"[*?\[]", path) and not place.exists():
        # The folder that holds all that the pattern finds.
        place = Path(*itertools.takewhile(lambda part: not re.search(r"[*?\[]", part), place.parts))
    if place.is_dir() or place == Path():
        place = place.resolve()
        return Path(os.path.relpath(place.with_name(f"{place.name or 'rows'}.schema.json")))
    return place.with_name(f"{_plain_name(place.name)}.schema.json")


def _plain_name(name: str) -> str:
    """A file's name without the endings of its format."""
    while (shorter := Path(name).with_suffix("").name) and Path(name).suffix.lower() in _FILE_SUFFIXES:
        name = shorter
    return name


def _is_no_option(name: str) -> bool:
    """Whether the text after `--model.` is the setting `name`, like it, or in a table that [model] does not have."""
    return name.partition(".")[0] in TABLES or nearest_name(name, ["name"], 0.8) is not None


class SettingsParser(argparse.ArgumentParser):
    """An argument parser with an option for every setting, whose errors name the nearest known option.

    Args:
        description: What the program does.
        sections: The sections that get options. Default `None`: all.
        pairs: A folder of settings files `<data set>/<model>.toml`, which are read where the command line names
            no file. Default `None`: no such folder.
        table_options: A function from the names of data set, model and optimizer to the options of each of their
            tables, such as `{"model": ["embedding.dim"]}`; called only for an unknown option. Default `None`: the
            options that most models have.
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
                if field.name in TABLES:
                    group.add_argument(
                        f"--{section}.NAME" if section == OPEN_SECTION else f"--{section}.{field.name}.NAME",
                        dest=argparse.SUPPRESS,
                        metavar="VALUE",
                        default=argparse.SUPPRESS,
                        help=field.metadata["help"],
                    )
                    continue
                default = "none" if field.default is None else str(field.default)
                setting = f"{section}.{field.name}"
                # A shell expands a pattern to several words: these are several files.
                several: dict[str, Any] = {"nargs": "+"} if section == "data" and field.name in SEVERAL_FILES else {}
                group.add_argument(
                    f"--{setting}",
                    *_SHORT.get(setting, ()),
                    dest=setting,
                    metavar="VALUE",
                    default=argparse.SUPPRESS,
                    help=f"{field.metadata['help']} ({type_text(hints[field.name])}; default {default})",
                    **several,
                )

    def _refuse_words(self, words: Sequence[str], namespace: argparse.Namespace) -> NoReturn:
        """Ends the program for words that are not options, and suggests an option for each."""
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
        if section in self._sections and setting in ("", *TABLES):
            names = [field.name for field in dataclasses.fields(self._sections[section])]
            first = f"{section}.{'name' if 'name' in names else names[0]} VALUE"
            if setting:
                first = f"{section if section == OPEN_SECTION else name}.NAME VALUE"
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
        cutoff = 0.6 if setting else 0.75  # a single word is less certain
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
            for option in KNOWN_OPTIONS:
                section, _, rest = option.partition(".")
                table, name = (section, rest) if section == OPEN_SECTION else option.rsplit(".", 1)
                tables.setdefault(table, []).append(name)
            return tables
        defaults = {"data": DataSettings().name, "model": ModelSettings().name, "optimizer": OptimizerSettings().name}
        names = [getattr(namespace, f"{section}.name", default) for section, default in defaults.items()]
        return self._table_options(*names)

    def _bare_word(self, word: str) -> str:
        """Says what to do with a word that is not an option's value, such as the name of a file."""
        path = Path(word)
        suffix = path.suffix.lower()
        if suffix == ".toml":
            return f"A settings file is given as --config {word}."
        if suffix == ".json":
            return f"{word!r} is not an option. A schema is given as --data.schema {word}."
        if suffix in _FILE_SUFFIXES or path.is_file():
            schema = _schema_beside(word)
            drafted = schema or drafted_schema([word])
            draft = "" if schema else f"draft a schema, `python -m pipelines.schema {word}`, and then "
            return (
                f"A file of rows is given as --data.path: {draft}`{self.prog} --data.name tabular_file --data.path "
                f"{word} --data.schema {drafted}`."
            )
        if path.is_dir():
            return f"{word!r} is a folder; give a file or a folder of rows, as --data.path {word}."
        return f"{word!r} is not an option: every setting is given as --SECTION.SETTING VALUE; --help lists them."

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit status 2 and a message."""
        # Bytes of the command line that are not text would fail in print.
        super().error(message.encode("utf-8", "backslashreplace").decode("utf-8"))

    def _infer_own_file(self, mapping: Mapping[str, Any], namespace: argparse.Namespace) -> None:
        """Reads a file without the name of a data set as the user's own, with the schema beside it."""
        file = mapping.get("data")
        file = file if isinstance(file, Mapping) else {}

        def given(name: str) -> Any:
            return getattr(namespace, f"data.{name}", file.get(name))

        name, path, schema = given("name"), given("path"), given("schema")
        if isinstance(path, list) and all(isinstance(file, str) for file in path):
            path = json.dumps(path, ensure_ascii=False)
        if "data" not in self._sections or (name is None and path is None and schema is None):
            return
        if name is None:
            print(f"data.name: tabular_file, a file of your own, because data.{'path' if path else 'schema'} is given")
            setattr(namespace, "data.name", "tabular_file")
        elif name != "tabular_file":
            return
        if not isinstance(path, str) or path in ("", "none"):
            raise ValueError("A file of your own (data.name tabular_file) needs its path: give --data.path FILE.")
        if schema is None:
            found = _schema_beside(path)
            paths = [str(file) for file in row_paths(path)]
            if found is None:
                here = [file for file in paths if not is_uri(file) and not re.search(r"[*?\[]", file)]
                absent = "" if all(Path(file).exists() for file in here) else " But there is no such file."
                raise ValueError(
                    f"The file {path!r} needs a schema, which says what its columns mean. Draft one with `python -m "
                    f"pipelines.schema {' '.join(map(shlex.quote, paths))}` and start again with --data.schema "
                    f"{drafted_schema(paths)}. Where the "
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

        It ends the program with exit status 2 and a message if a file, key or value is wrong.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        tables: dict[tuple[str, str], dict[str, Any]] = {}
        rest: list[str] = []
        prefixes = {
            f"--{section}." if section == OPEN_SECTION else f"--{section}.{field.name}.": (section, field.name)
            for section, cls in self._sections.items()
            for field in dataclasses.fields(cls)
            if field.name in TABLES
        }
        while words:
            word = words.pop(0)
            prefix = next((prefix for prefix in prefixes if word.startswith(prefix)), None)
            name, equals, value = word[len(prefix or "") :].partition("=")
            if prefix is None or (prefix == f"--{OPEN_SECTION}." and _is_no_option(name)):
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
        for key in SEVERAL_FILES:
            files = getattr(namespace, f"data.{key}", None)
            if files is not None:
                setattr(
                    namespace, f"data.{key}", files[0] if len(files) == 1 else json.dumps(files, ensure_ascii=False)
                )
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
                        put_value(mapping, [section, key], text)
            for (section, key), values in tables.items():
                for name, value in values.items():
                    path = name.split(".") if section == OPEN_SECTION or key == "space" else [name]
                    put_value(mapping, [section, *([] if section == OPEN_SECTION else [key]), *path], value)
            return job_settings(mapping), namespace
        except ValueError as error:
            self.error(str(error))
