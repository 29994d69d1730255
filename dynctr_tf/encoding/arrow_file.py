"""Arrow tables in files with checksums. Arrow trusts what it reads: a damaged length would crash the process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from dynctr_tf.durable_files import check_file, file_checksum, new_file


def write_arrow(path: Path, table: pa.Table) -> dict[str, Any]:
    """Writes a table and returns the size and the checksum of the file, which `read_arrow` compares."""
    with new_file(path) as partial:
        with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"bytes": partial.stat().st_size, "checksum": file_checksum(partial)}


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
    # Mapped, so that processes which look up the same values have them in memory once.
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def array_of(table: pa.Table, column: str) -> pa.Array:
    """Returns a column as one array; without a copy where it is one already, as those of mapped files mostly are."""
    values = table.column(column)
    if values.num_chunks == 1:
        return values.chunk(0)
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
