"""Arrow tables in files of their own, with checksums: Arrow trusts what it reads, and a changed length is a crash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dynctr_tf.durable_files import check_file, checksum_of, write_bytes


def write_arrow(path: Path, table: pa.Table) -> dict[str, Any]:
    """Writes a table and returns what `read_arrow` has to know of the file: its size and its checksum."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    content = sink.getvalue()
    write_bytes(path, content)
    return {"bytes": content.size, "checksum": checksum_of(content)}


def read_arrow(path: Path, known: Mapping[str, Any], advice: str) -> pa.Table:
    """Reads a table.

    Args:
        path: The file.
        known: What `write_arrow` returned.
        advice: What to do about damage.

    Raises:
        DamagedFileError: The file is absent or not what was written.
    """
    check_file(path, known["bytes"], known["checksum"], advice)
    with pa.OSFile(str(path)) as stream, pa.ipc.open_file(stream) as reader:
        return reader.read_all()


def array_of(table: pa.Table, column: str) -> pa.Array:
    """Returns a column as one array."""
    values = table.column(column).combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    return values
