"""What a preparation has done, kept beside the encoded data set that it makes, so that the next one goes on from it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from dynctr_tf.code_digest import code_digest
from dynctr_tf.datasets.row_files import file_states
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import (
    DamagedFileError,
    make_folder,
    only_process,
    read_json,
    remove_abandoned,
    remove_folder,
    sync_folder,
    sync_tree,
    write_json,
)
from dynctr_tf.encoding.row_writer import ENCODER

_LOCK = "lock"
_JOB = "job.json"


class KeptWork:
    """The folder `.NAME.preparing` beside the wanted folder NAME.

    Args:
        source: The rows.
        directory: The wanted folder.
        way: How the rows are prepared; what one way has kept is nothing to another.
        rows_per_block: How many rows a block of the result has.

    Attributes:
        folder: Where work is kept.
        rows: The folder that becomes the wanted one.
        encoder: The folder of the fitted encoder.
    """

    def __init__(self, source: TabularFile, directory: Path, way: str, rows_per_block: int) -> None:
        self._source = source
        self._directory = directory
        self._way = way
        self._rows_per_block = rows_per_block
        self.folder = directory.with_name(f".{directory.name}.preparing")
        self.rows = self.folder / "rows"
        self.encoder = self.folder / ENCODER

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes out of the folder.

        Raises:
            BusyError: Another process prepares the same.
            ValueError: The wanted folder has been made meanwhile.
        """
        make_folder(self._directory.parent)
        remove_abandoned(self._directory.parent)
        with only_process(make_folder(self.folder) / _LOCK, f"prepares {self._directory}"):
            if self._directory.exists():
                raise ValueError(f"Another process has made {self._directory} meanwhile; open it.")
            yield

    def _key(self) -> str:
        """The identity of the work: what was done of other rows is done anew."""
        states = {path: list(state) for path, state in file_states(self._source.all_files).items()}
        code = code_digest("datasets", "encoding")
        work = [self._way, self._source.options_of_rows, states, self._rows_per_block, code]
        return hashlib.sha256(json.dumps(work, sort_keys=True, default=repr).encode()).hexdigest()

    def open(self) -> None:
        """Removes what was done of other rows."""
        key = self._key()
        try:
            same = read_json(self.folder / _JOB)["key"] == key
        except (OSError, DamagedFileError):
            same = False
        if same:
            return
        (self.folder / _JOB).unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        make_folder(self.rows)
        write_json(self.folder / _JOB, {"key": key})

    @property
    def fitted(self) -> bool:
        """Whether the encoder has been fitted."""
        return (self.encoder / "encoder.json").exists()

    @property
    def finished(self) -> bool:
        """Whether all rows have been written."""
        return (self.rows / "index.json").exists()

    def put_in_place(self) -> None:
        """Gives the finished rows their name."""
        if self.encoder.exists():  # else a stop came right after this line
            self.encoder.rename(self.rows / ENCODER)
        sync_tree(self.rows)
        self.rows.rename(self._directory)
        sync_folder(self._directory.parent)
        remove_folder(self.folder)
