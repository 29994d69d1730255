"""Counts of values on the disk: written in buckets of hashes, added up bucket by bucket, sorted in pieces.

Only one bucket, or one piece of the sorted values, is in memory at a time, whatever the number of distinct values.
"""

from __future__ import annotations

import bisect
import functools
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.encoding.arrow_file import array_of
from dynctr_tf.encoding.text_hash import text_hashes
from dynctr_tf.encoding.value_text import TextForm, ValueForms, canonical
from dynctr_tf.schema import Vocabulary

_BUCKET_BITS = 6
_BUCKETS = 1 << _BUCKET_BITS
_ALL = -1  # the bucket of tables that are not cut
_CUT_FROM = 1 << 12
_AT_ONCE = 1 << 18  # up to this many counts are added up at once, without buckets
_MOST_OF_BUCKET = 1 << 22  # a bucket of more counts is added up in parts, by further bits of the hash
_PIECE = 1 << 18
_SORT = [("count", "descending"), ("value", "ascending")]
_SCHEMA = pa.schema([("value", pa.large_string()), ("count", pa.int64())])

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


class SpilledTable(NamedTuple):
    """A table of values and counts in a file.

    Attributes:
        file: The file.
        place: Which of its tables it is.
        feature: The feature whose values were counted.
        bucket: The bucket of the values' hashes; -1 where all are in it.
        rows: How many values it has.
    """

    file: str
    place: int
    feature: str
    bucket: int
    rows: int


class SortedValues(NamedTuple):
    """The values of a vocabulary, and those that it leaves out, mapped from files.

    Attributes:
        values: `large_string`, in the order of their ids.
        counts: int64, their counts.
        form: How they are spelt.
        rest: `large_string`, the values that got no id.
        rest_counts: int64, their counts.
    """

    values: pa.Array
    counts: np.ndarray
    form: str
    rest: pa.Array
    rest_counts: np.ndarray


def _buckets(values: pa.Array, bits: int = _BUCKET_BITS) -> np.ndarray:
    # Spellings of one number are in one bucket.
    return (text_hashes(values, without_zeros=True) >> np.uint64(64 - bits)).astype(np.uint32)


def _parts(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cuts a table into those of its buckets."""
    values, counts = array_of(table, "value"), array_of(table, "count")
    buckets = _buckets(values).astype(np.uint8)
    order = np.argsort(buckets, kind="stable")
    ends = np.searchsorted(buckets[order], np.arange(_BUCKETS), side="right")
    taken = pa.table([values.take(pa.array(order)), counts.take(pa.array(order))], schema=_SCHEMA)
    for bucket in range(_BUCKETS):
        begin = int(ends[bucket - 1]) if bucket else 0
        if ends[bucket] > begin:
            yield bucket, taken.slice(begin, int(ends[bucket]) - begin)


def write_counts(path: Path, counts: Mapping[str, pa.Table]) -> list[SpilledTable]:
    """Writes the counts of some rows into one file.

    Args:
        path: The file.
        counts: For each feature a table of `value` and `count`; values may be in it more than once.
    """
    tables: list[SpilledTable] = []
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for name, table in counts.items():
            parts = _parts(table) if table.num_rows > _CUT_FROM else iter([(_ALL, table)])
            for bucket, part in parts:
                if part.num_rows:
                    part = part.combine_chunks().cast(_SCHEMA)
                    writer.write_batch(part.to_batches()[0])
                    tables.append(SpilledTable(str(path), len(tables), name, bucket, part.num_rows))
    return tables


def _write(path: str, table: pa.Table) -> None:
    # In one move: a runner may do a task twice at the same time.
    partial = f"{path}.{secrets.token_hex(4)}"
    with pa.OSFile(partial, "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for batch in table.combine_chunks().to_batches():
            writer.write_batch(batch)
    Path(partial).replace(path)


def _mapped(file: str) -> pa.ipc.RecordBatchFileReader:
    return pa.ipc.open_file(pa.memory_map(file))


def _table_of(part: SpilledTable) -> pa.Table:
    # Read and not mapped: there may be more files of counts than a process may have open.
    with pa.OSFile(part.file) as file:
        return pa.Table.from_batches([pa.ipc.open_file(file).get_batch(part.place)])


def _added(tables: Sequence[pa.Table]) -> pa.Table:
    grouped = pa.concat_tables(tables).group_by("value", use_threads=False).aggregate([("count", "sum")])
    return pa.table([grouped.column("value"), grouped.column("count_sum")], schema=_SCHEMA)


class _BucketTask(NamedTuple):
    tables: list[SpilledTable]
    bucket: int  # -1: all
    bits: int  # of the hash, which say what is in the bucket
    path: str


def add_bucket(task: _BucketTask) -> tuple[str, int, ValueForms]:
    """Adds up the counts of one bucket into a file; returns it, how many values it has and how they are spelt."""
    parts = []
    for spilled in task.tables:
        table = _table_of(spilled)
        if task.bucket != _ALL and (spilled.bucket == _ALL or task.bits > _BUCKET_BITS):
            table = table.filter(pa.array(_buckets(array_of(table, "value"), task.bits) == task.bucket))
        parts.append(table)
    table = _added(parts)
    _write(task.path, table)
    return task.path, table.num_rows, ValueForms.of(array_of(table, "value"))


def sum_buckets(
    tables: Sequence[SpilledTable], folder: Path, name: str, mapper: Mapper
) -> tuple[list[str], int, ValueForms]:
    """Adds up all counts of a feature, bucket by bucket.

    Args:
        tables: The feature's tables.
        folder: Where the sums are written.
        name: How their files begin.
        mapper: `map`, or that of several processes.

    Returns:
        The files, how many distinct values they have together, and how these are spelt.
    """
    whole = [table for table in tables if table.bucket == _ALL]
    few = sum(table.rows for table in tables) <= _AT_ONCE
    tasks = []
    for bucket in [_ALL] if few else range(_BUCKETS):
        own = list(tables) if few else [table for table in tables if table.bucket == bucket] + whole
        more = 0 if few else (sum(table.rows for table in own) // _MOST_OF_BUCKET).bit_length()
        for part in range(bucket << more, (bucket + 1) << more) if own else ():
            tasks.append(_BucketTask(own, part, _BUCKET_BITS + more, str(folder / f"{name}-sum-{bucket}-{part}.arrow")))
    files, total, forms = [], 0, ValueForms()
    for file, rows, own_forms in mapper(add_bucket, tasks):
        if rows:
            files.append(file)
            total += rows
            forms = forms.with_more(own_forms)
    return files, total, forms


class _SortTask(NamedTuple):
    file: str
    form: str
    rule: Vocabulary


def sort_bucket(task: _SortTask) -> tuple[str, str]:
    """Spells, filters and sorts the values of one bucket; returns the files of those that are kept, and of the rest."""
    table = _mapped(task.file).read_all()
    if task.form != "exact" and pc.any(pc.ends_with(table.column("value"), ".0")).as_py():
        table = _added(
            [
                pa.table(
                    [canonical(array_of(table, "value"), cast(TextForm, task.form)), table.column("count")],
                    schema=_SCHEMA,
                )
            ]
        )  # type: ignore[arg-type]
    kept = (
        table
        if task.rule.min_count <= 1
        else table.filter(pc.greater_equal(table.column("count"), task.rule.min_count))
    )
    rest = [table.filter(pc.less(table.column("count"), task.rule.min_count))] if task.rule.min_count > 1 else []
    kept = kept.sort_by(_SORT)
    if task.rule.max_size is not None:
        rest.append(kept.slice(task.rule.max_size))
        kept = kept.slice(0, task.rule.max_size)
    files = []
    for what, found in (("kept", kept), ("rest", pa.concat_tables(rest) if rest else kept.slice(0, 0))):
        files.append(f"{task.file}.{what}")
        _write(files[-1], found)
    return files[0], files[1]


class _Columns:
    """Values and counts that are written piece by piece and then mapped as one array each."""

    def __init__(self, start: Path) -> None:
        self._paths = [start.with_name(f"{start.name}.{what}") for what in ("bytes", "offsets", "counts")]
        self._files = [path.open("wb") for path in self._paths]
        self._files[1].write(np.zeros(1, np.int64).tobytes())
        self._end = 0
        self.rows = 0

    def append(self, table: pa.Table) -> None:
        values, counts = array_of(table, "value"), array_of(table, "count")
        if not len(values):
            return
        _, places, data = values.buffers()
        offsets = np.frombuffer(places, np.int64)[values.offset : values.offset + len(values) + 1]
        if data is not None:
            self._files[0].write(memoryview(data)[int(offsets[0]) : int(offsets[-1])])
        self._files[1].write((offsets[1:] - offsets[0] + self._end).tobytes())
        self._files[2].write(counts.to_numpy().tobytes())
        self._end += int(offsets[-1] - offsets[0])
        self.rows += len(values)

    def finish(self) -> tuple[pa.Array, np.ndarray]:
        for file in self._files:
            file.close()
        if not self.rows:
            return pa.array([], pa.large_string()), np.zeros(0, np.int64)
        data, offsets, counts = (
            pa.memory_map(str(path)).read_buffer() if path.stat().st_size else pa.py_buffer(b"") for path in self._paths
        )
        values = pa.Array.from_buffers(pa.large_string(), self.rows, [None, offsets, data])
        return values, np.frombuffer(counts, np.int64)


def sorted_values(
    files: Sequence[str], total: int, forms: ValueForms, rule: Vocabulary, start: Path, mapper: Mapper
) -> SortedValues:
    """Sorts the values of all buckets, the most frequent first, then by their bytes.

    Args:
        files: What `sum_buckets` returned.
        total: How many distinct values they have.
        forms: How they are spelt.
        rule: Which of them are kept.
        start: How the files of the result begin.
        mapper: `map`, or that of several processes.
    """
    form = forms.form(total)
    runs, left_over, rest = [], [], _Columns(start.with_name(f"{start.name}-rest"))
    tasks = [_SortTask(file, form, rule) for file in files]
    for file, (kept, left) in zip(files, mapper(sort_bucket, tasks), strict=True):
        Path(file).unlink()
        runs.append(kept)
        left_over.append(left)
    result = _Columns(start)
    for (file,) in mapper(merge_piece, _merge_tasks(runs, start)):
        table = _mapped(file).read_all()
        Path(file).unlink()
        room = table.num_rows if rule.max_size is None else max(0, rule.max_size - result.rows)
        result.append(table.slice(0, room))
        rest.append(table.slice(room))
    for file in left_over:
        rest.append(_mapped(file).read_all())
    for file in (*runs, *left_over):
        Path(file).unlink()
    return SortedValues(*result.finish(), form, *rest.finish())


class _MergeTask(NamedTuple):
    parts: list[tuple[str, int, int]]  # a file of sorted values, and which rows of it
    path: str


def merge_piece(task: _MergeTask) -> tuple[str]:
    """Sorts rows of several sorted files into one file, and returns it."""
    parts = [_mapped(file).read_all().slice(begin, end - begin) for file, begin, end in task.parts]
    _write(task.path, pa.concat_tables(parts).sort_by(_SORT))
    return (task.path,)


def _merge_tasks(files: Sequence[str], start: Path) -> Iterator[_MergeTask]:
    """Cuts sorted files into pieces that follow one another, between values that are drawn from all of them."""
    tables = [(file, _mapped(file).read_all()) for file in files]
    runs = [
        (file, array_of(table, "value"), array_of(table, "count").to_numpy())
        for file, table in tables
        if table.num_rows
    ]
    total = sum(len(counts) for _, _, counts in runs)
    pieces = -(-total // _PIECE)

    def key(run: tuple[str, pa.Array, np.ndarray], place: int) -> tuple[int, bytes]:
        return -int(run[2][place]), run[1][place].as_buffer().to_pybytes()

    drawn = (
        sorted(key(run, place) for run in runs for place in range(0, len(run[2]), max(1, total // (16 * pieces * 16))))
        if pieces > 1
        else []
    )
    cuts = [drawn[len(drawn) * piece // pieces] for piece in range(1, pieces)]
    begins = [0] * len(runs)
    for piece, cut in enumerate([*cuts, None]):
        parts = []
        for number, run in enumerate(runs):
            size = len(run[2])
            end = size
            if cut is not None:
                end = bisect.bisect_left(range(size), cut, lo=begins[number], key=functools.partial(key, run))
            if end > begins[number]:
                parts.append((run[0], begins[number], end))
            begins[number] = end
        if parts:
            yield _MergeTask(parts, str(start.with_name(f"{start.name}-merged-{piece}.arrow")))
