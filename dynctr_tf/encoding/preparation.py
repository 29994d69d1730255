"""Raw rows to an encoded data set with all cores, with large counts on the disk; it goes on where it was stopped."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from dynctr_tf.datasets.row_pieces import Findings, Piece
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import make_folder, read_array, read_json, sync_tree, write_array, write_json
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.kept_work import KeptWork
from dynctr_tf.encoding.row_writer import (
    ROWS_PER_BLOCK,
    BlockWriter,
    block_writers,
    check_wanted,
    put_into_splits,
    write_encoded_rows,
    write_index,
)
from dynctr_tf.encoding.saved_counts import CountTotal, counts_of, findings_of, plain_findings, saved_counts
from dynctr_tf.encoding.shard_work import (
    CountTask,
    EncodeTask,
    begin_counting,
    begin_encoding,
    count_piece,
    encode_piece,
    take_counts,
)
from dynctr_tf.encoding.vocabulary import MEMORY, check_first_split
from dynctr_tf.encoding.worker_pool import WorkerLostError, WorkerPool

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowSource

_ALONE_BYTES = 96 << 20  # the bytes that one process prepares before others would have started
# What has been done is kept after so many bytes, or pieces, but not before each process has had some.
_GROUP_BYTES = 256 << 20
_GROUP_PIECES = 128
_PIECES_EACH = 4
_TRIES = 3


def default_processes(source: RowSource) -> int:
    """Returns how many processes prepare a source: one if that takes a short time, else one for each core."""
    if not _in_pieces(source) or sum(_sizes(source)) < _ALONE_BYTES:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_pieces(source: RowSource) -> bool:
    """Whether pieces of the rows can be read by other processes."""
    if not isinstance(source, TabularFile) or any(str(file).startswith("memory://") for file in source.files):
        return False
    # Columns may be derived by a function that other processes cannot import: one inside of another, or of a script.
    try:
        return b"__main__" not in pickle.dumps(source)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


def _sizes(source: RowSource) -> Iterator[int]:
    for file in source.files:
        path = Path(str(file))
        yield path.stat().st_size if path.exists() else _ALONE_BYTES


def prepare_encoded_dataset(
    source: RowSource,
    directory: str | Path,
    *,
    processes: int | None = None,
    about: Mapping[str, Any] | None = None,
    check: Callable[[], None] | None = None,
    rows_per_block: int = ROWS_PER_BLOCK,
    progress: bool = True,
) -> None:
    """Fits an encoder on the training rows of a source and encodes all its rows to disk.

    Use it in place of `Encoder.fit` and `write_encoded_dataset`; the result is the same to the last bit: rows, ids and
    splits do not depend on the number of processes. Several processes count and encode pieces of the rows at the same
    time. Finished pieces are kept beside the directory, in `.NAME.preparing`, so that the same call goes on after a
    stop. A process that is killed is replaced.

    Args:
        source: The rows; those of a `TabularFile` can be shared by processes.
        directory: The directory to make.
        processes: How many processes. Default `None`: one for each core, or one alone where there are few rows.
        about: As in `write_encoded_dataset`. Default `None`.
        check: As in `write_encoded_dataset`. Default `None`.
        rows_per_block: As in `write_encoded_dataset`. Default 65536.
        progress: Whether progress bars are shown. Default `True`.

    Raises:
        ValueError: As `Encoder.fit` and `write_encoded_dataset`; less than one process.
        WorkerLostError: Processes that were killed again and again.
        BusyError: Another process makes the same directory.

    Cost:
        Memory is that of the code, of pieces of some megabytes for each process, and of counts up to
        `dynctr_tf.encoding.vocabulary.MEMORY` in each. It does not depend on the number of rows or distinct values:
        large vocabularies, and 12 bytes for each of their values, are mapped from files.

    Example:

    >>> import tempfile
    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> source = SyntheticCtrRows(num_train=300, num_validation=100, num_test=100)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     prepare_encoded_dataset(source, f"{place}/encoded", progress=False)
    ...     (Path(place) / "encoded" / "index.json").exists()
    True
    """
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be at least 1, got {processes}.")
    directory = Path(directory)
    check_wanted(directory, rows_per_block)
    check_first_split(source)
    if not isinstance(source, TabularFile) or not _in_pieces(source) or (processes or default_processes(source)) == 1:
        encoder = Encoder.fit(source, progress=progress)
        write_encoded_rows(source, encoder, directory, about, check, rows_per_block, progress)
        return
    kept = KeptWork(source, directory, "pool", rows_per_block)
    job = _Preparation(source, kept, processes or default_processes(source), rows_per_block, progress)
    with kept.alone():
        for turn in range(_TRIES):
            try:
                job.run(about)
                break
            except WorkerLostError as error:
                if turn == _TRIES - 1:
                    raise
                print(f"{error} Going on with other processes from what has been done.", flush=True)
        if check is not None:
            check()
        kept.put_in_place()


class _Preparation:
    """A preparation with several processes."""

    def __init__(
        self, source: TabularFile, kept: KeptWork, processes: int, rows_per_block: int, progress: bool
    ) -> None:
        self._source = source
        self._kept = kept
        self._processes = processes
        self._rows_per_block = rows_per_block
        self._progress = progress

    def run(self, about: Mapping[str, Any] | None) -> None:
        """Does the pieces that are not finished yet."""
        self._kept.open()
        if self._kept.finished:
            return
        with WorkerPool(self._processes) as pool:
            if not self._kept.fitted:
                self._fit(pool).save(self._kept.encoder)
            encoder = Encoder.load(self._kept.encoder)
            self._encode(pool, encoder, about)

    def _groups(self, done: int) -> Iterator[_Group]:
        """The pieces in groups, without the first ones."""
        pieces = itertools.islice(self._source.pieces(), done, None)
        for first in pieces:
            yield _Group(first, pieces, self._processes * _PIECES_EACH)

    def _bar(self, what: str, done: int) -> tqdm[Any]:
        return tqdm(
            total=self._source.num_rows,
            initial=done,
            desc=what,
            unit=" rows",
            unit_scale=True,
            disable=not self._progress,
        )

    # Fitting

    def _fit(self, pool: WorkerPool) -> Encoder:
        folder = make_folder(self._kept.folder / "counts")
        total, done = CountTotal(self._source), 0
        while (kept := _group_file(folder, done)).exists():
            group = read_json(kept)
            for plain in group["counted"]:
                total.add(counts_of(plain, folder))
            done += group["pieces"]
        known = {Path(table.file).name for table in total.tables}
        for path in folder.glob("counts-*.arrow"):
            if path.name not in known:  # of pieces that were not all counted when it was stopped
                path.unlink()
        begun = False
        with self._bar("fitting vocabularies", total.found.rows) as bar:
            for pieces in self._groups(done):
                if not begun:  # after the first piece, before which splits are looked for
                    pool.each(begin_counting, [CountTask(self._source, str(folder), MEMORY)] * self._processes)
                    begun = True
                for rows in pool.map(count_piece, pieces):
                    bar.update(rows)
                saved = []
                for place, counted in enumerate(pool.each(take_counts, [None] * self._processes)):
                    total.add(counted)
                    saved.append(saved_counts(counted, f"{done}-{place}", folder))
                sync_tree(folder)
                write_json(_group_file(folder, done), {"pieces": pieces.size, "counted": saved})
                done += pieces.size
        return total.encoder(folder, pool.map)

    # Encoding

    def _encode(self, pool: WorkerPool, encoder: Encoder, about: Mapping[str, Any] | None) -> None:
        journal_file = self._kept.folder / "encoding.json"
        writers = block_writers(self._source, encoder, self._kept.rows, self._rows_per_block)
        journal: dict[str, Any] = {"pieces": 0, "splits": [], "found": plain_findings(Findings())}
        if journal_file.exists():
            journal = read_json(journal_file)
        found = findings_of(journal["found"])
        for writer, split in zip(writers, journal["splits"], strict=False):
            writer.go_on(split["blocks"], read_array(self._kept.folder / split["rest"]))
        indices = encoder.write_large_indices(self._kept.folder)
        shutil.rmtree(self._kept.folder / "encoded", ignore_errors=True)
        sent = make_folder(self._kept.folder / "encoded")
        task = EncodeTask(self._source, str(self._kept.encoder), indices, str(sent))
        begun = False
        with self._bar("encoding rows", found.rows) as bar:
            for group in self._groups(journal["pieces"]):
                if not begun:
                    pool.each(begin_encoding, [task] * self._processes)
                    begun = True
                for encoded in pool.map(encode_piece, group):
                    for rows, splits in encoded.batches():
                        put_into_splits(rows, splits, writers, self._source.split_names)
                    found.add(encoded.found)
                    bar.update(encoded.found.rows)
                journal["pieces"] += group.size
                self._keep(journal_file, journal, writers, found)
        self._source.finish(found)
        shutil.rmtree(self._kept.folder / "counts", ignore_errors=True)
        write_index(self._source, encoder, self._kept.rows, writers, about, self._rows_per_block)

    def _keep(self, file: Path, journal: dict[str, Any], writers: list[BlockWriter], found: Findings) -> None:
        earlier = [split["rest"] for split in journal["splits"]]
        journal["splits"] = []
        for number, writer in enumerate(writers):
            rest = f"rest-{journal['pieces']}-{number}.npy"
            write_array(self._kept.folder / rest, writer.rest)
            journal["splits"].append({"blocks": writer.blocks, "rest": rest})
        journal["found"] = plain_findings(found)
        sync_tree(self._kept.rows)
        write_json(file, journal)
        for rest in earlier:
            (self._kept.folder / rest).unlink(missing_ok=True)


class _Group:
    """Pieces between two times at which what has been done is kept; they are cut while they are asked for."""

    def __init__(self, first: Piece, others: Iterator[Piece], least: int) -> None:
        self._first, self._others, self._least = first, others, least
        self.size = 0

    def __iter__(self) -> Iterator[Piece]:
        nbytes = 0
        for piece in itertools.chain([self._first], self._others):
            yield piece
            self.size, nbytes = self.size + 1, nbytes + piece.nbytes
            if self.size >= _GROUP_PIECES or (self.size >= self._least and nbytes >= _GROUP_BYTES):
                return


def _group_file(folder: Path, first: int) -> Path:
    """What was counted of the group of pieces that begins with the given one."""
    return folder / f"group-{first}.json"
