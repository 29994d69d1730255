"""The tasks of one process in a preparation: it counts pieces of rows, adds up counts, and encodes pieces.

The same functions run in the processes of one machine and in those of a cluster. They pass whole columns of counts, or
encoded rows in batches.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.row_pieces import Findings, Piece
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.row_writer import encoded_rows
from dynctr_tf.encoding.spilled_counts import SpilledTable
from dynctr_tf.encoding.value_index import ValueIndex
from dynctr_tf.encoding.vocabulary import CountedState, FeatureCounts

_SENT_BYTES = 4 << 20  # encoded rows of more bytes than these are sent in a file
_LARGE_PIECE = 8 << 20


class CountTask(NamedTuple):
    """The arguments of a process that counts.

    Attributes:
        source: The rows.
        folder: The folder for counts that become large.
        memory: How many bytes counts may take in this process.
    """

    source: TabularFile
    folder: str
    memory: int


class EncodeTask(NamedTuple):
    """The arguments of a process that encodes.

    Attributes:
        source: The rows.
        encoder: The folder of the encoder.
        indices: For each large vocabulary the folder of its index.
        folder: The folder for encoded rows that are many.
    """

    source: TabularFile
    encoder: str
    indices: dict[str, str]
    folder: str


class Counted(NamedTuple):
    """The counts of a process since they were last taken.

    Attributes:
        tables: The counts of texts, in files.
        state: The rest.
        found: What the reading has to know at its end.
    """

    tables: list[SpilledTable]
    state: CountedState
    found: Findings


class EncodedPiece(NamedTuple):
    """The encoded rows of a piece.

    Attributes:
        rows: int32 `(rows, width)` of each batch, without those in the file.
        splits: int8 `(rows,)` of each batch.
        found: What the reading has to know at its end.
        file: The file of the rows of the first batches, where there are many. Default `None`.
        width: The width of these rows. Default 0.
    """

    rows: list[np.ndarray]
    splits: list[np.ndarray]
    found: Findings
    file: str | None = None
    width: int = 0

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the rows of each batch with their splits, and removes the file."""
        first = 0
        if self.file is not None:
            rows = np.memmap(self.file, np.int32, "r").reshape(-1, self.width)
            Path(self.file).unlink()
            begin = 0
            while begin < len(rows):
                end = begin + len(self.splits[first])
                yield rows[begin:end], self.splits[first]
                begin, first = end, first + 1
        yield from zip(self.rows, self.splits[first:], strict=True)


@dataclasses.dataclass
class _Kept:
    """What this process keeps between its tasks."""

    counting: CountTask | None = None
    counts: FeatureCounts | None = None
    tables: list[SpilledTable] = dataclasses.field(default_factory=list)
    found: Findings = dataclasses.field(default_factory=Findings)
    files: int = 0
    encoding: EncodeTask | None = None
    encoder: Encoder | None = None


_KEPT = _Kept()


def begin_counting(task: CountTask) -> None:
    """Prepares this process for `count_piece`."""
    _KEPT.counting, _KEPT.counts = task, FeatureCounts(task.source.schema)
    _KEPT.tables, _KEPT.found = [], Findings()


def count_piece(piece: Piece) -> int:
    """Counts the training rows of a piece, and returns how many usable rows it has in all."""
    task, counts = _KEPT.counting, _KEPT.counts
    if task is None or counts is None:
        raise RuntimeError("A piece is counted after begin_counting.")
    before = _KEPT.found.rows
    for batch in task.source.read_piece(piece, _KEPT.found):
        counts.add(batch)
        if counts.are_large(task.memory):
            _KEPT.tables += counts.spill(_next_file(task))
    _give_back(piece)
    return _KEPT.found.rows - before


def _give_back(piece: Piece) -> None:
    """Gives memory back to the system after a piece that needed much of it."""
    if piece.nbytes >= _LARGE_PIECE:
        pa.default_memory_pool().release_unused()


def _next_file(task: CountTask) -> Path:
    _KEPT.files += 1
    # Two machines may have processes of the same number.
    return Path(task.folder) / f"counts-{os.getpid()}-{_KEPT.files}-{secrets.token_hex(4)}.arrow"


def take_counts(_: None = None) -> Counted:
    """Returns the counts since they were last taken; those of texts in files."""
    task, counts = _KEPT.counting, _KEPT.counts
    if task is None or counts is None:
        raise RuntimeError("Counts are taken after begin_counting.")
    tables = [*_KEPT.tables, *counts.spill(_next_file(task))]
    counted = Counted(tables, counts.take_state(), _KEPT.found)
    _KEPT.tables, _KEPT.found = [], Findings()
    pa.default_memory_pool().release_unused()
    return counted


def begin_encoding(task: EncodeTask) -> None:
    """Prepares this process for `encode_piece`."""
    _KEPT.counting = _KEPT.counts = None
    pa.default_memory_pool().release_unused()
    encoder = Encoder.load(task.encoder)
    encoder.map_indices(
        {name: ValueIndex.load(encoder.vocabularies[name].values, Path(place)) for name, place in task.indices.items()}
    )
    _KEPT.encoding, _KEPT.encoder = task, encoder


def encode_piece(piece: Piece) -> EncodedPiece:
    """Encodes the rows of a piece."""
    task, encoder = _KEPT.encoding, _KEPT.encoder
    if task is None or encoder is None:
        raise RuntimeError("A piece is encoded after begin_encoding.")
    encoded = EncodedPiece([], [], Findings())
    path = Path(task.folder) / f"encoded-{os.getpid()}-{secrets.token_hex(8)}"
    for batch in task.source.read_piece(piece, encoded.found):
        encoded.rows.append(encoded_rows(batch, encoder))
        encoded.splits.append(batch.splits)
        if sum(rows.nbytes for rows in encoded.rows) >= _SENT_BYTES:
            with path.open("ab") as file:
                for rows in encoded.rows:
                    file.write(rows.data)
            encoded = encoded._replace(file=str(path), width=rows.shape[1])
            encoded.rows.clear()
    _give_back(piece)
    return encoded
