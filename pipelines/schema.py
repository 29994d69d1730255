"""Drafts a schema file for files of rows: `python -m pipelines.schema clicks.csv`."""

from __future__ import annotations

import argparse
import csv
import json
import logging
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dynctr_tf.datasets.draft_schema import draft_schema
from dynctr_tf.jobs.settings_file import parse_value
from pipelines.settings_parser import drafted_schema


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.schema",
        description="Reads a file's first rows, guesses what its columns mean, prints the guesses with their "
        "reasons and "
        "writes them as a schema file; read and edit it before training.",
    )
    parser.add_argument(
        "path",
        nargs="+",
        help="a CSV file (plain or compressed), JSON lines or a Parquet file; or several, a folder, a pattern or a "
        "URI, of which some files are looked at",
    )
    parser.add_argument("--label", help="the label's column; by default recognised by its name and its values")
    parser.add_argument(
        "--positive",
        metavar="RULE",
        help='what counts as a click: a value such as "yes", or a comparison such as ">= 4"',
    )
    parser.add_argument(
        "--impressions",
        metavar="COLUMN",
        help="the column of impressions, where the label counts the clicks among them",
    )
    parser.add_argument(
        "--output", type=Path, help="the schema file; by default <name of the file or folder>.schema.json beside it"
    )
    parser.add_argument("--force", action="store_true", help="overwrite the schema file if there is one")
    parser.add_argument("--rows", type=int, default=200_000, help="how many rows to look at (default %(default)s)")
    parser.add_argument(
        "--delimiter", help="between the values of a CSV file; by default recognised from its first row"
    )
    parser.add_argument("--quote", help='encloses values of a CSV file (default "); none if no character does')
    parser.add_argument("--encoding", help="of a file of text, such as latin-1 (default UTF-8)")
    parser.add_argument(
        "--column-names",
        metavar="NAMES",
        help="the columns of a CSV file that has no header, with commas between them, or as a JSON list",
    )
    parser.add_argument(
        "--missing",
        action="append",
        metavar="TEXT",
        help="a cell that means a missing value, beside the empty one; may be given several times",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    output = options.output or drafted_schema(options.path)
    if output.exists() and not options.force:
        print(f"{output} exists already. Give --force to overwrite it, or another --output.", file=sys.stderr)
        return 2
    logger, handler = logging.getLogger("dynctr_tf"), logging.StreamHandler()
    handler.addFilter(_named_as_options)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        draft = draft_schema(
            options.path,
            label=options.label,
            positive=options.positive,
            impressions=options.impressions,
            max_rows=options.rows,
            delimiter=options.delimiter,
            quote=None if options.quote == "none" else options.quote or '"',
            missing_values=("", *(options.missing or ())),
            encoding=options.encoding,
            column_names=_names(options.column_names),
        )
    except ValueError as error:
        print(_as_options(str(error)), file=sys.stderr)
        return 2
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    print(draft.table())
    print(f"\n{draft.num_rows:,} rows looked at.", end="")
    if draft.num_left_out:
        print(
            f" {draft.num_left_out:,} more have too few or too many columns: training stops at them, or skips them "
            "when told to.",
            end="",
        )
    try:
        draft.schema.save(output)
    except OSError as error:
        print(f"\n{output} cannot be written: {error.strerror or error}. Give another --output.", file=sys.stderr)
        return 2
    print(f"\nWrote {output}. Read the reasons, edit what is wrong, and train with it:")
    print(f"  {train_command(options.path, output, draft.options)}")
    return 0


def _names(given: str | None) -> list[str] | None:
    """Reads the names of columns.

    Raises:
        ValueError: A text that starts as a JSON list is not a list of texts.
    """
    if given is None:
        return None
    if not given.lstrip().startswith("["):
        return next(csv.reader([given]))
    try:
        names = json.loads(given)
    except json.JSONDecodeError as error:
        raise ValueError(f"--column-names is not a JSON list: {error}. Got {given!r}.") from error
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"--column-names must be a JSON list of texts, got {given!r}.")
    return list(names)


def _as_options(message: str) -> str:
    """Replaces arguments of `TabularFile` in a message by the options of this command."""
    message = re.sub(
        r'\b(encoding|delimiter)="([^"]*)"', lambda match: f"--{match[1]} {shlex.quote(match[2])}", message
    )
    message = message.replace("delimiter=...", "--delimiter").replace("quote=None", "--quote none")
    message = message.replace(', or give on_bad_row="skip" to leave such rows out and count them', "")
    return message.replace("column_names=[...]", "--column-names")


def _named_as_options(record: logging.LogRecord) -> bool:
    record.msg, record.args = _as_options(record.getMessage()), ()
    return True


def train_command(paths: Sequence[str | Path], schema: Path, options: Mapping[str, object]) -> str:
    """Returns the command that trains on files.

    Args:
        paths: The file, or several.
        schema: The schema's file.
        options: Options of `TabularFile`.
    """
    parts = ["python", "-m", "pipelines.train", "--data.name", "tabular_file"]
    for name, values in {"path": [str(path) for path in paths], "schema": [str(schema)]}.items():
        # A value that starts with a dash would be taken for an option, and the text none for no file.
        special = [value.startswith("-") or value.lower() in ("none", "null") for value in values]
        plain = [f"./{value}" if odd else value for value, odd in zip(values, special, strict=True)]
        parts += [f"--data.{name}", *plain]
    for name, option in options.items():
        parts += [f"--data.options.{name}", _as_setting(option)]
    return " ".join(shlex.quote(part) for part in parts)


def _as_setting(value: object) -> str:
    """Writes a value as the training job reads it: a text that looks like a number or the like becomes a TOML text."""
    if value is None:
        return "none"
    if isinstance(value, str) and value.isprintable() and parse_value(value) == value:
        return value
    # A JSON text is a TOML text, but for the one control character that TOML wants escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


if __name__ == "__main__":
    sys.exit(main())
