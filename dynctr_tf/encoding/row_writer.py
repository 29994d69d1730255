"""Encoded rows to blocks on the disk, and the index of a folder of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from dynctr_tf.durable_files import (
    DamagedFileError,
    checksum_of,
    make_folder,
    new_folder,
    remove_abandoned,
    write_inside,
    write_json,
)
from dynctr_tf.encoding.encoded_features import feature_key
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.read_ahead import read_ahead
from dynctr_tf.schema import Schema

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowBatch, RowSource

FORMAT = 2
INDEX = "index.json"
ENCODER = "encoder"
ROWS_PER_BLOCK = 1 << 16
# At a URI all files but the index lie in a folder within, which the index names: see `encoded_at_uris`.
FOLDER = "folder"
_COPY = re.compile(r"copy-[0-9a-f]{8}")


class Column(NamedTuple):
    """Where a column stands in the rows of a block."""

    name: str
    start: int
    width: int
    is_float: bool


def folder_of_files(index: Mapping[str, Any], place: str | Path) -> str:
    """The start of the names of all files but the index: empty, or the folder that the index names, with `/`.

    Raises:
        DamagedFileError: The index names another folder than a copy makes.
    """
    folder = index.get(FOLDER)
    if folder is None:
        return ""
    if not isinstance(folder, str) or not _COPY.fullmatch(folder):
        raise DamagedFileError(f"The {INDEX} in {place} names the folder {folder!r}, which no copy makes.")
    return f"{folder}/"


def row_layout(encoder: Encoder) -> list[Column]:
    """Returns the columns of a block: label, weight and true probability where there are such, then the ids."""
    schema = encoder.schema
    floats = ["label"]
    floats += ["weight"] if schema.row_weight is not None else []
    floats += ["true_probability"] if schema.true_probability is not None else []
    columns = [Column(name, start, 1, True) for start, name in enumerate(floats)]
    start = len(columns)
    for name, width in encoder.id_columns:
        columns.append(Column(feature_key(name), start, width, False))
        start += width
    return columns


class BlockWriter:
    """Collects the rows of one split and writes them as blocks."""

    def __init__(self, directory: Path, number: int, rows_per_block: int, width: int) -> None:
        self._directory = directory
        # The split's number: its name may hold characters that a file's name cannot.
        self._prefix = f"split{number}"
        self._buffer = np.empty((rows_per_block, width), "<i4")
        self._filled = 0
        self.blocks: list[dict[str, Any]] = []

    @property
    def rest(self) -> np.ndarray:
        """The rows that do not fill a block yet."""
        return self._buffer[: self._filled]

    def go_on(self, blocks: Sequence[dict[str, Any]], rest: np.ndarray) -> None:
        """Goes on after blocks that were written earlier, with rows that do not fill a block yet."""
        self.blocks = list(blocks)
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

    def add(self, rows: np.ndarray) -> None:
        """Takes further rows."""
        while len(rows):
            taken = rows[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == len(self._buffer):
                self.flush()

    def flush(self) -> None:
        """Writes the remaining rows as a last, smaller block."""
        if self._filled:
            file = f"{self._prefix}-{len(self.blocks):06d}.block"
            rows = self._buffer[: self._filled]
            write_inside(self._directory / file, rows)
            digest = hashlib.sha256(rows.data).hexdigest()
            self.blocks.append({
                "file": file,
                "rows": self._filled,
                "sha256": digest,  # for the fingerprint
                "checksum": checksum_of(rows),  # checked at each reading; several times faster
            })  # fmt: skip
            self._filled = 0


def _float_columns(columns: pa.RecordBatch, schema: Schema) -> list[np.ndarray]:
    found = []
    for name in (schema.label, schema.row_weight, schema.true_probability):
        if name is None:
            continue
        values = columns.column(name)
        if values.null_count:
            raise ValueError(f"Column {name!r} has {values.null_count} missing values; a source must refuse them.")
        found.append(values.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).view(np.int32))
    return found


def encoded_rows(batch: RowBatch, encoder: Encoder) -> np.ndarray:
    """Encodes a batch to rows as they stand in blocks: int32 `(rows, width)`, floats as their bits."""
    floats = _float_columns(batch.columns, encoder.schema)
    ids = encoder.encode_matrix(batch.columns)
    rows = np.empty((len(ids), len(floats) + ids.shape[1]), np.int32)
    for place, values in enumerate(floats):
        rows[:, place] = values
    rows[:, len(floats) :] = ids
    return rows


def block_writers(source: RowSource, encoder: Encoder, directory: Path, rows_per_block: int) -> list[BlockWriter]:
    """Makes a writer for each split of a source."""
    layout = row_layout(encoder)
    width = layout[-1].start + layout[-1].width
    return [BlockWriter(directory, number, rows_per_block, width) for number in range(len(source.split_names))]


def put_into_splits(rows: np.ndarray, splits: np.ndarray, writers: Sequence[BlockWriter], names: Sequence[str]) -> None:
    """Gives each writer the rows of its split.

    Raises:
        ValueError: Rows of a split that does not exist.
    """
    if len(splits) and not 0 <= splits.min() <= splits.max() < len(writers):
        raise ValueError(f"The source has rows of a split that is not one of {tuple(names)}.")
    for split, writer in enumerate(writers):
        in_split = splits == split
        writer.add(rows if in_split.all() else rows[in_split])


def check_wanted(directory: Path, rows_per_block: int) -> None:
    """Refuses a directory that cannot be made.

    Raises:
        ValueError: It exists, or blocks of less than one row.
    """
    if directory.exists():
        raise ValueError(f"{directory} exists already; give another directory, or delete it.")
    if rows_per_block < 1:
        raise ValueError(f"rows_per_block must be at least 1, got {rows_per_block}.")


def write_encoded_rows(
    source: RowSource,
    encoder: Encoder,
    directory: str | Path,
    about: Mapping[str, Any] | None,
    check: Callable[[], None] | None,
    rows_per_block: int,
    progress: bool,
) -> None:
    """Writes an encoded data set, see `dynctr_tf.encoding.write_encoded_dataset`.

    Raises:
        ValueError: As there.
    """
    directory = Path(directory)
    check_wanted(directory, rows_per_block)
    if source.schema != encoder.schema:
        raise ValueError("The source's schema is not the one that the encoder was fitted with; fit it again.")
    make_folder(directory.parent)
    remove_abandoned(directory.parent)
    try:
        with new_folder(directory) as unfinished:
            write_rows(source, encoder, unfinished, about, rows_per_block, progress)
            if check is not None:
                check()
    except FileExistsError as error:
        raise ValueError(f"Another process has made {directory} meanwhile; open it.") from error


def write_rows(
    source: RowSource,
    encoder: Encoder,
    directory: Path,
    about: Mapping[str, Any] | None,
    rows_per_block: int,
    progress: bool,
) -> None:
    """Encodes all rows of a source into a folder, with the encoder and the index."""
    writers = block_writers(source, encoder, directory, rows_per_block)
    with tqdm(total=source.num_rows, desc="encoding rows", unit=" rows", unit_scale=True, disable=not progress) as bar:
        for batch in read_ahead(source.batches()):
            put_into_splits(encoded_rows(batch, encoder), batch.splits, writers, source.split_names)
            bar.update(len(batch.splits))
    encoder.save(directory / ENCODER)
    write_index(source, encoder, directory, writers, about, rows_per_block)


def write_index(
    source: RowSource,
    encoder: Encoder,
    directory: Path,
    writers: Sequence[BlockWriter],
    about: Mapping[str, Any] | None,
    rows_per_block: int,
) -> None:
    """Writes the last blocks, and the index that makes an encoded data set of the folder."""
    layout = row_layout(encoder)
    for writer in writers:
        writer.flush()
    index: dict[str, Any] = {
        "format": FORMAT,
        "encoder_fingerprint": encoder.fingerprint,
        "schema": json.loads(encoder.schema.to_json()),
        "features": json.loads(encoder.features.to_json()),
        "layout": [column._asdict() for column in layout],
        "rows_per_block": rows_per_block,
        "splits": [
            {"name": name, "rows": sum(block["rows"] for block in writer.blocks), "blocks": writer.blocks}
            for name, writer in zip(source.split_names, writers, strict=True)
        ],
    }
    # It depends on the rows alone, not on the files that they were read from: equal rows train equal models.
    content = json.dumps(index, sort_keys=True, ensure_ascii=False)
    index["fingerprint"] = hashlib.sha256(content.encode()).hexdigest()[:16]
    index["skipped"] = dict(source.skipped)
    index["about"] = dict(about or {})
    write_json(directory / INDEX, index, indent=1)
