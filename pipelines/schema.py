"""Drafts a schema file for a CSV or Parquet file: `python -m pipelines.schema clicks.csv`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dynctr_tf.configuration import parse_value
from dynctr_tf.datasets.draft_schema import draft_schema


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.schema",
        description="Looks at a file's rows, guesses what its columns mean, prints the guesses with their reasons and "
        "writes them as a schema file, to be read and edited before training.",
    )
    parser.add_argument("path", type=Path, help="a CSV file with a header (plain or gzip) or a Parquet file")
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
    parser.add_argument("--output", type=Path, help="the schema file; by default <file's name>.schema.json beside it")
    parser.add_argument("--force", action="store_true", help="overwrite the schema file if there is one")
    parser.add_argument("--rows", type=int, default=200_000, help="how many rows to look at (default %(default)s)")
    parser.add_argument("--delimiter", help="between the values of a CSV file (default: tab for .tsv, else comma)")
    parser.add_argument(
        "--missing",
        action="append",
        metavar="TEXT",
        help="a cell that means a missing value, beside the empty one; may be given several times",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    name = options.path.name
    for suffix in (".gz", ".csv", ".tsv", ".txt", ".parquet"):
        name = name.removesuffix(suffix)
    output = options.output or options.path.with_name(f"{name}.schema.json")
    if output.exists() and not options.force:
        print(f"{output} is there already. Give --force to overwrite it, or another --output.", file=sys.stderr)
        return 2
    try:
        draft = draft_schema(
            options.path,
            label=options.label,
            positive=options.positive,
            impressions=options.impressions,
            max_rows=options.rows,
            delimiter=options.delimiter,
            missing_values=("", *(options.missing or ())),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(draft.table())
    print(f"\n{draft.num_rows:,} rows looked at.", end="")
    if draft.num_left_out:
        print(
            f" {draft.num_left_out:,} more have too few or too many columns: training stops at them, or skips them "
            "when told to.",
            end="",
        )
    draft.schema.save(output)
    print(f"\nWrote {output}. Read the reasons, edit what is wrong, and train with it:")
    print(f"  {train_command(options.path, output, {'delimiter': options.delimiter})}")
    return 0


def train_command(path: Path, schema: Path, options: Mapping[str, object]) -> str:
    """Returns the command that trains on a file.

    Args:
        path: The file.
        schema: The schema's file.
        options: Options of `TabularFile`; what is `None` is left out.
    """
    parts = ["python", "-m", "pipelines.train", "--data.name", "tabular_file"]
    for name, value in {"path": path, "schema": schema}.items():
        parts += [f"--data.{name}", _as_setting(f"./{value}" if str(value).startswith("-") else str(value))]
    for name, option in options.items():
        parts += [] if option is None else [f"--data.options.{name}", _as_setting(option)]
    return " ".join(shlex.quote(part) for part in parts)


def _as_setting(value: object) -> str:
    """Writes a value as the training job reads it: what would be a number or the like there as a TOML text."""
    if isinstance(value, str) and value.isprintable() and parse_value(value) == value:
        return value
    # A JSON text is a TOML text, but for the one control character that TOML wants escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


if __name__ == "__main__":
    sys.exit(main())
