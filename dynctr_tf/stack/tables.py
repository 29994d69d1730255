"""Notes on an embedding table beside its numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from dynctr_tf.stack.variables import raw_variable


@dataclasses.dataclass
class TableNotes:
    """What optimizers need to know of an embedding table beside its values.

    Args:
        first_order: Whether the last column holds first-order weights, not a part of the embeddings. Default `False`.
        starts: For the first row of each part that the table was made of, the checksum of the values that it was filled
            with; empty where the values were not known when the table was made. Default none.
    """

    first_order: bool = False
    starts: dict[int, int] = dataclasses.field(default_factory=dict)

    def note_start(self, first_row: int, values: tf.Tensor) -> None:
        """Notes what a part of the table is filled with."""
        checksum = bits_checksum(values)
        if isinstance(checksum, tf.__internal__.EagerTensor):
            self.starts[first_row] = int(checksum)


def bits_checksum(values: Any) -> tf.Tensor:
    """Returns the wrapping sum of the bits of float32 values, the same in any order of summation; one pass."""
    return tf.reduce_sum(tf.bitcast(values, tf.int32))


def attach_table_notes(variable: Any, notes: TableNotes) -> None:
    """Attaches notes to a table, where an optimizer finds them by `table_notes`."""
    shards = getattr(variable, "variables", None)  # of a table on parameter servers
    if shards is not None and not isinstance(variable, tf.Variable):
        first = 0
        for shard in shards:
            starts = {0: notes.starts[first]} if first in notes.starts else {}
            shard._dynctr_table_notes = TableNotes(notes.first_order, starts)
            first += int(shard.shape[0])
        return
    variable._dynctr_table_notes = notes
    raw = raw_variable(variable)
    if isinstance(raw, tf.Variable):  # not yet there while Keras 3 traces a model that was never called
        raw._dynctr_table_notes = notes


def table_notes(variable: Any) -> TableNotes | None:
    """Returns what the embedding layer of a table has attached to it, `None` for any other variable."""
    notes: TableNotes | None = getattr(variable, "_dynctr_table_notes", None)
    return notes
