"""A folder of encoded data, on this machine or at a URI, and the blocks in it read by several requests at a time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dynctr_tf.durable_files import DamagedFileError, checksum_of
from dynctr_tf.folders_at_uris import FolderAtUri
from dynctr_tf.uris import is_uri

MOST_READERS = 1024
# The most and the fewest bytes of a request: enough that the wait for its start is a small part of its time, and few
# enough that all readers are busy.
_PIECE = 1 << 22
_LEAST_PIECE = 1 << 18
_ADVICE = "Copy the folder there again, or prepare the data set again."


class Block(NamedTuple):
    """A file of encoded rows.

    Attributes:
        file: Its name in the folder.
        path: Its path or URI.
        rows: How many rows it has.
        size: Its bytes.
        checksum: That of its content.
    """

    file: str
    path: str
    rows: int
    size: int
    checksum: str


class BlockFolder:
    """The files of encoded data, wherever they lie.

    Args:
        place: A folder of this machine, or the URI of one.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = str(place)
        # Files of this machine are read without pyarrow, which refuses names that UTF-8 does not have.
        self._there = FolderAtUri(self.place) if is_uri(place) else None

    def path_of(self, file: str) -> str:
        """The path or URI of a file, for messages."""
        return str(Path(self.place, file)) if self._there is None else self._there.uri_of(file)

    def sizes(self) -> dict[str, int]:
        """The files in the folder and in its folders with their bytes; none where there is no folder.

        Raises:
            ValueError: The place cannot be reached.
            DamagedFileError: It has a file whose name leads out of it.
        """
        if self._there is not None:
            return self._there.sizes()
        root = Path(self.place)
        return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}

    def read(self, file: str, begin: int, size: int) -> bytes:
        """Reads a part of a file by one request, or two where its file system must open it first.

        Raises:
            OSError: It cannot be read, with its name.
            DamagedFileError: It ends before.
        """
        if self._there is not None:
            return self._there.read(file, begin, size, _ADVICE)
        try:
            with Path(self.place, file).open("rb", buffering=0) as here:
                here.seek(begin)
                content: bytes = here.read(size)
        except OSError as error:
            raise OSError(f"{self.path_of(file)}: cannot be read: {' '.join(str(error).split())[:300]}.") from error
        if len(content) != size:
            raise DamagedFileError(
                f"{self.path_of(file)} is damaged: it ends after {begin + len(content):,} bytes, before "
                f"{begin + size:,}. {_ADVICE}"
            )
        return content


class Fetched:
    """Blocks that are on their way, one after the other in one piece of memory.

    Args:
        folder: Where the blocks lie.
        blocks: The blocks.
        width: The numbers of a row.
    """

    def __init__(self, folder: BlockFolder, blocks: Sequence[Block], width: int) -> None:
        self._folder = folder
        self._blocks = list(blocks)
        self._ends = np.cumsum([block.size for block in blocks])
        self._width = width
        self._content = np.empty(self._ends[-1] if len(blocks) else 0, np.uint8)
        self._missing = self._ends - np.array([0, *self._ends[:-1]])  # the bytes of each block that are to come
        self._lock = threading.Lock()
        self._requests: list[Future[None]] = []

    def begin(self, pool: Executor, readers: int) -> Fetched:
        """Hands its requests to a pool, as many to each reader, and returns itself."""
        size = len(self._content)
        rounds = max(1, -(-size // (readers * _PIECE)))
        piece = max(_LEAST_PIECE, -(-size // (readers * rounds)))
        for begin in range(0, size, piece):
            self._requests.append(pool.submit(self._fetch, begin, min(begin + piece, size)))
        return self

    def cancel(self) -> None:
        """Takes back the requests that nobody has begun."""
        for request in self._requests:
            request.cancel()

    def rows(self) -> np.ndarray:
        """Waits for all, and returns the rows, int32 `(rows, width)`.

        Raises:
            OSError: A block cannot be read, with its name.
            DamagedFileError: A block is not what was written.
        """
        try:
            for request in self._requests:
                request.result()
        finally:
            self.cancel()
        rows: np.ndarray = self._content.view("<i4").reshape(-1, self._width)
        return rows

    def _fetch(self, begin: int, end: int) -> None:
        """Fetches some bytes, which may be of two blocks; a block that is whole is checked."""
        number = int(np.searchsorted(self._ends, begin, side="right"))
        while begin < end:
            block, last = self._blocks[number], int(self._ends[number])
            first, stop = last - block.size, min(end, last)
            self._content[begin:stop] = np.frombuffer(
                self._folder.read(block.file, begin - first, stop - begin), np.uint8
            )
            with self._lock:
                self._missing[number] -= stop - begin
                is_whole = self._missing[number] == 0
            if is_whole and checksum_of(self._content[first:last]) != block.checksum:
                raise DamagedFileError(f"{block.path} is damaged: its content is not what was written. {_ADVICE}")
            begin, number = stop, number + 1


class BlockReaders:
    """Reads blocks whole, by several requests at a time, and checks what comes.

    The rows are in the order of the blocks, whatever the number of readers and whichever request ends first.

    Args:
        folder: Where the blocks lie.
        readers: How many requests there are at a time, at least 1.
        width: The numbers of a row.

    Cost:
        Memory of the blocks that are asked for, and 4 MiB for each reader. The checksums take a second per gigabyte.
    """

    def __init__(self, folder: BlockFolder, readers: int, width: int) -> None:
        self._folder = folder
        self._readers = readers
        self._width = width
        # One for all splits, so that the readers are the most requests of a process.
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="block_reader")

    def begin(self, blocks: Sequence[Block]) -> Fetched:
        """Begins to read blocks, after those that were begun before."""
        return Fetched(self._folder, blocks, self._width).begin(self._pool, self._readers)


class WindowsAhead:
    """Gives the windows of a data set one after another, and begins to read each while the one before is in work.

    The wait for a window takes a thread of TensorFlow. So it must be short, and not the whole time of its requests.

    Args:
        readers: What reads.

    Cost:
        Memory of two windows: the one that is given, and the next.
    """

    def __init__(self, readers: BlockReaders) -> None:
        self._readers = readers
        self._lock = threading.Lock()
        self._next: tuple[int, Fetched] | None = None

    def rows(self, number: int, blocks: Sequence[Block], following: Sequence[Block]) -> np.ndarray:
        """Returns the rows of a window, int32 `(rows, width)`.

        Args:
            number: The number of the window.
            blocks: Its blocks.
            following: The blocks of the window with the next number; none where it is the last.

        Raises:
            OSError: A block cannot be read, with its name.
            DamagedFileError: A block is not what was written.
        """
        with self._lock:
            ahead, self._next = self._next, None
            if ahead is not None and ahead[0] == number:
                own = ahead[1]
            else:
                if ahead is not None:
                    ahead[1].cancel()
                own = self._readers.begin(blocks)
            if following:
                self._next = (number + 1, self._readers.begin(following))
        return own.rows()
