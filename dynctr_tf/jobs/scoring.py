"""Scoring files of rows with an export: read, encoded and answered on all cores, written in parts that are kept."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tqdm import tqdm

from dynctr_tf.code_digest import code_digest
from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.row_files import RowPaths, list_row_files
from dynctr_tf.datasets.row_pieces import Piece
from dynctr_tf.datasets.rows_to_score import BatchToScore, FileReading, RowsToScore, open_rows, reading_of
from dynctr_tf.datasets.source_files import source_files
from dynctr_tf.durable_files import (
    make_folder,
    new_file,
    only_process,
    read_json,
    remove_abandoned,
    write_json,
)
from dynctr_tf.encoding.read_ahead import read_ahead
from dynctr_tf.export import ServedModel
from dynctr_tf.metrics.scored_rows import probabilities
from dynctr_tf.nearest import unknown_name_message

OutputFormat = Literal["parquet", "csv"]
OUTPUT_FORMATS: tuple[str, ...] = get_args(OutputFormat)

LABEL, WEIGHT, LOGIT, PROBABILITY = "label", "weight", "logit", "probability"
"""The columns that are added to the keys; the first two where rows have labels."""

ROWS_PER_PART = 500_000
"""How many rows a part has. As many are computed again after a kill."""

_RECORD = "_record"
_CODE = ("datasets", "encoding", "export", "jobs", "schema.py")

_Batch = TypeVar("_Batch")
_Answer = TypeVar("_Answer")


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    batches: Iterator[_Batch], answer: Callable[[_Batch], _Answer], workers: int
) -> Iterator[tuple[_Batch, _Answer]]:
    """Answers batches in threads and yields them in their order; a few more batches than threads are in work at a time.

    TensorFlow, pyarrow and NumPy release Python's lock: one batch is read while another is encoded and a third
    answered.
    """
    pending: collections.deque[tuple[_Batch, Future[_Answer]]] = collections.deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="scoring") as pool:
        for batch in read_ahead(batches):
            pending.append((batch, pool.submit(answer, batch)))
            if len(pending) > workers + 1:
                first, future = pending.popleft()
                yield first, future.result()
        while pending:
            first, future = pending.popleft()
            yield first, future.result()


@dataclasses.dataclass(frozen=True)
class ScoredRows:
    """The result of `score_files`.

    Args:
        output: The folder or file of the scores.
        rows: Number of rows in it.
        new_rows: How many of them were computed now, and not by an earlier start.
        seconds: How long that took, without loading the model.
        skipped: How many rows were left out, by reason.
    """

    output: Path
    rows: int
    new_rows: int
    seconds: float
    skipped: Mapping[str, int]

    @property
    def rows_per_second(self) -> float:
        """The rate of the rows that were computed now."""
        return self.new_rows / self.seconds if self.seconds > 0.0 else 0.0


def reading_of_export(served: ServedModel, **given: Any) -> FileReading:
    """How files are read for an export: as those of its training, as far as its card says it, but for what is given.

    Args:
        served: The export.
        **given: Fields of `FileReading` that replace those of the training; `None` keeps a field.
    """
    data = served.card.get("settings", {}).get("data", {})
    reading = reading_of(str(data.get("name", "tabular_file")), data.get("options", {}))
    return dataclasses.replace(reading, **{name: value for name, value in given.items() if value is not None})


def open_files(
    rows: RowPaths,
    served: ServedModel,
    *,
    keys: Sequence[str] = (),
    labelled: bool = False,
    reading: FileReading | None = None,
    on_bad_row: OnBadRow = "error",
) -> list[RowsToScore]:
    """Opens the files of rows that are to be scored, and checks that each has the columns.

    Args:
        rows: Files, folders, patterns, as `list_row_files` takes them.
        served: The export.
        keys: The columns that are carried along with each row. Default `()`: none.
        labelled: Whether labels and weights are read. Default `False`.
        reading: How they are read. Default `None`: as `reading_of_export` says.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.

    Raises:
        ValueError: No file, a column that is absent, the nearest one named, or as `RowsToScore`.
    """
    how = reading_of_export(served) if reading is None else reading
    options: dict[str, Any] = {"carried": keys, "labelled": labelled, "on_bad_row": on_bad_row}
    return [open_rows(file, served.schema, how, **options) for file in list_row_files(rows)]


def score_files(
    sources: Sequence[RowsToScore],
    served: ServedModel,
    output: str | Path,
    *,
    file_format: OutputFormat | None = None,
    rows_per_part: int = ROWS_PER_PART,
    workers: int | None = None,
    progress: bool = True,
) -> ScoredRows:
    """Answers the rows of files with an export and writes keys, logits and probabilities, in the order of the rows.

    The output is a folder of parts, `part-FILE-PART.parquet` or `.csv`, or one file, where its name ends with
    `.parquet` or `.csv`. A part gets its name when it is whole on the disk, and is not computed again: started again
    after a kill, the work goes on with the next part. A part or file that was deleted is made again. An output belongs
    to its rows, its export and the way in which they are read: other ones are refused. Parts that an earlier start left
    of the same work stay.

    Args:
        sources: The files, as `open_files` opens them.
        served: The export.
        output: A folder, or a file that ends in `.parquet` or `.csv`.
        file_format: `"parquet"` or `"csv"`. Default `None`: that of the file; Parquet for a folder.
        rows_per_part: How many rows a part has, about. Default 500000.
        workers: Number of threads. Default `None`: one for each core.
        progress: Whether a progress bar is shown. Default `True`.

    Returns:
        A `ScoredRows`.

    Raises:
        ValueError: An output of other rows or of another export, or something that is not an output; a key with the
            name of a column that is added; a bad row; no row at all; `rows_per_part` below 1.
        BusyError: Another process writes the output.

    Cost: memory for the rows of a part, without their features, and for a few batches, whatever the number of rows.
    """
    if rows_per_part < 1:
        raise ValueError(f"A part needs at least one row, got rows_per_part={rows_per_part}.")
    output = Path(output)
    wanted = _format_of(output, file_format)
    keys = sources[0].carried
    clash = [name for name in keys if name in added_columns(sources[0])]
    if clash:
        raise ValueError(
            f"A key cannot be called {clash[0]!r}, because a column of the scores has this name; rename it."
        )
    types = _common_types(sources)
    single = output.suffix.lower() in (".parquet", ".csv")
    folder = output.with_name(f".{output.name}.parts") if single else output
    if single and output.exists() and not (folder / _RECORD / "scores.json").exists():
        raise ValueError(f"{output} exists and was not made by this work. Give another --output, or delete it.")
    if single and output.is_dir():
        raise ValueError(f"{output} is a folder; give a folder's name without an ending, or another name.")
    if not single and folder.exists() and not (folder / _RECORD).is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds other files. Give another --output, or an empty folder.")
    make_folder(folder / _RECORD)
    with only_process(folder / _RECORD / "lock", f"writes {output}"):
        _check_record(folder, output, _record(sources, served, types, wanted, rows_per_part))
        remove_abandoned(folder)
        if single and output.exists():
            done = read_json(folder / _RECORD / "done.json")
            return ScoredRows(output, done["rows"], 0, 0.0, done["skipped"])
        work = _Work(folder, served, types, wanted, rows_per_part, workers or cores())
        start = time.perf_counter()
        with tqdm(desc="scoring", unit=" rows", unit_scale=True, disable=not progress) as bar:
            for number, source in enumerate(sources):
                bar.set_postfix_str(f"file {number + 1} of {len(sources)}")
                work.score(number, source, bar)
        if not work.rows:
            raise ValueError(f"The files have no usable row; left out: {dict(work.skipped)}.")
        if single:
            parts = sorted(folder.glob(f"part-*.{wanted}"))
            # Before the file itself: where the file exists, the work is done.
            write_json(folder / _RECORD / "done.json", {"rows": work.rows, "skipped": dict(work.skipped)})
            _join(parts, output, wanted)
            for part in parts:
                part.unlink()
        seconds = time.perf_counter() - start
    return ScoredRows(output, work.rows, work.new_rows, seconds, dict(work.skipped))


class _Answered(NamedTuple):
    """The result for a piece of a file."""

    tables: list[pa.RecordBatch]
    rows: int
    skipped: collections.Counter[str]


class _Work:
    """The parts of one output."""

    def __init__(
        self,
        folder: Path,
        served: ServedModel,
        types: Mapping[str, pa.DataType],
        file_format: OutputFormat,
        rows_per_part: int,
        workers: int,
    ) -> None:
        self.folder = folder
        self.served = served
        self.types = types
        self.file_format = file_format
        self.rows_per_part = rows_per_part
        self.workers = workers
        self.rows = self.new_rows = 0
        self.skipped: collections.Counter[str] = collections.Counter()
        # The parts that exist, by the number of their file; the folder is listed once, however many files there are.
        self._parts: dict[int, set[str]] = collections.defaultdict(set)
        for path in folder.iterdir():
            if match := re.fullmatch(rf"part-(\d+)-\d+\.{file_format}", path.name):
                self._parts[int(match[1])].add(path.name)
        self._checked = False
        self._lock = threading.Lock()

    def score(self, number: int, source: RowsToScore, bar: Any) -> None:
        """Writes the missing parts of a file."""
        done = self.folder / _RECORD / f"file-{number:05d}.json"
        finished = frozenset(self._parts[number])
        note = read_json(done) if done.exists() else {}
        if note.get("parts") == sorted(finished):
            self.rows += note["rows"]
            self.skipped.update(note["skipped"])
            bar.update(note["rows"])
            return

        def part_of(piece: Piece) -> Path:
            return self._part(number, piece.first_row // self.rows_per_part)

        def answer(piece: Piece) -> _Answered:
            return self._answered(source, piece, wanted=part_of(piece).name not in finished)

        path = self._part(number, 0)
        rows = 0
        skipped: collections.Counter[str] = collections.Counter()
        tables: list[pa.RecordBatch] = []
        for piece, found in in_parallel(source.pieces(), answer, self.workers):
            if part_of(piece) != path:
                self._write(number, path, tables)
                path, tables = part_of(piece), []
            tables += found.tables
            rows += found.rows
            skipped.update(found.skipped)
            bar.update(found.rows)
        self._write(number, path, tables)
        self.rows += rows
        self.skipped.update(skipped)
        write_json(done, {"rows": rows, "skipped": dict(skipped), "parts": sorted(self._parts[number])})

    def _answered(self, source: RowsToScore, piece: Piece, *, wanted: bool) -> _Answered:
        """Reads and answers the rows of a piece; where its part exists already, it only reads and counts them."""
        skipped: collections.Counter[str] = collections.Counter()
        tables: list[pa.RecordBatch] = []
        rows = 0
        for batch in source.piece_to_score(piece, self.types, skipped):
            rows += batch.columns.num_rows
            if wanted:
                with self._lock:
                    if not self._checked:
                        self.served.check(batch.columns)
                        self._checked = True
                tables.append(_scores(batch, self.served.logits(batch.columns), source))
        return _Answered(tables, rows, skipped)

    def _part(self, number: int, part: int) -> Path:
        return self.folder / f"part-{number:05d}-{part:05d}.{self.file_format}"

    def _write(self, number: int, path: Path, tables: Sequence[pa.RecordBatch]) -> None:
        if tables:
            self.new_rows += sum(table.num_rows for table in tables)
            with new_file(path) as partial:
                if self.file_format == "parquet":
                    pa.parquet.write_table(pa.Table.from_batches(tables), partial, write_page_checksum=True)
                else:
                    pa.csv.write_csv(pa.Table.from_batches(tables), partial)
            self._parts[number].add(path.name)


def added_columns(source: RowsToScore) -> tuple[str, ...]:
    """The columns that scores have beside the keys."""
    weight = (WEIGHT,) if source.schema.row_weight is not None else ()
    return (*((LABEL, *weight) if source.labelled else ()), LOGIT, PROBABILITY)


def _scores(batch: BatchToScore, logits: np.ndarray, source: RowsToScore) -> pa.RecordBatch:
    columns = dict(zip(batch.carried.schema.names, batch.carried.columns, strict=True))
    schema = source.schema
    if source.labelled:
        columns[LABEL] = batch.columns.column(schema.label)
        if schema.row_weight is not None:
            columns[WEIGHT] = batch.columns.column(schema.row_weight)
    columns[LOGIT] = pa.array(logits.astype(np.float32))
    columns[PROBABILITY] = pa.array(probabilities(logits.astype(np.float64)).astype(np.float32))
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _format_of(output: Path, given: OutputFormat | None) -> OutputFormat:
    if given is not None and given not in OUTPUT_FORMATS:
        raise ValueError(unknown_name_message("format of the output", str(given), OUTPUT_FORMATS))
    ending = output.suffix.lower().removeprefix(".")
    if ending not in OUTPUT_FORMATS:
        return given or "parquet"
    if given not in (None, ending):
        raise ValueError(
            f"The output {output} has the ending of a {ending} file, and --format is {given}. Give one of the two."
        )
    return "csv" if ending == "csv" else "parquet"


def _common_types(sources: Sequence[RowsToScore]) -> dict[str, pa.DataType]:
    """The types of the keys; text where files differ in them."""
    found = [source.carried_types() for source in sources]
    return {
        name: kind if all(types[name] == kind for types in found) else pa.string() for name, kind in found[0].items()
    }


def _record(
    sources: Sequence[RowsToScore],
    served: ServedModel,
    types: Mapping[str, pa.DataType],
    file_format: OutputFormat,
    rows_per_part: int,
) -> dict[str, Any]:
    """What an output depends on, beside its files of rows."""
    first = sources[0]
    made_of = {
        "export": f"{served.name} ({served.fingerprint})",
        "keys": {name: str(kind) for name, kind in types.items()},
        "labels": first.labelled,
        "on_bad_row": first.on_bad_row,
        "reading": [
            hashlib.sha256(repr(dataclasses.replace(source.reading, derive=None)).encode()).hexdigest()[:8]
            for source in {source.reading: source for source in sources}.values()
        ],
        "format": file_format,
        "rows_per_part": rows_per_part,
        "code": code_digest(*_CODE),
    }
    return {"made_of": json.loads(json.dumps(made_of)), "files": [path for source in sources for path in source.files]}


def _check_record(folder: Path, output: Path, record: Mapping[str, Any]) -> None:
    """Notes what the output depends on, or refuses an output whose parts were made of something else."""
    file = folder / _RECORD / "scores.json"
    files = [dataclasses.asdict(entry) for entry in source_files(record["files"], folder / _RECORD)]
    now = {**record["made_of"], "rows": [[entry["path"], entry["digest"]] for entry in files]}
    if not file.exists() or not (any(folder.glob("part-*")) or any((folder / _RECORD).glob("file-*"))):
        write_json(file, {**now, "files": files})
        return
    held = read_json(file)
    differences = [
        f"{name} {_short(held.get(name))} -> {_short(value)}"
        for name, value in now.items()
        if name != "rows" and held.get(name) != value
    ]
    before, after = dict(map(tuple, held["rows"])), dict(map(tuple, now["rows"]))
    differences += [f"{Path(path).name} has changed" for path in after if before.get(path, after[path]) != after[path]]
    differences += [f"without {path}" for path in before if path not in after]
    differences += [f"with {path}" for path in after if path not in before]
    if not differences and held["rows"] != now["rows"]:
        differences = ["the files are in another order"]
    if differences:
        more = f"; and {len(differences) - 4} more" if len(differences) > 4 else ""
        raise ValueError(
            f"{output} holds other scores ({'; '.join(differences[:4])}{more}). Give another --output, or delete it"
            + (f" and {folder}." if folder != output else ".")
        )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _join(parts: Sequence[Path], output: Path, file_format: OutputFormat) -> None:
    """Joins parts into one file."""
    with new_file(output) as partial:
        if file_format == "parquet":
            with pa.parquet.ParquetFile(parts[0]) as first:
                fields = first.schema_arrow
            with pa.parquet.ParquetWriter(partial, fields) as writer:
                for part in parts:
                    with pa.parquet.ParquetFile(part, page_checksum_verification=True) as file:
                        for batch in file.iter_batches():
                            writer.write_batch(batch)
            return
        with partial.open("wb") as joined:
            for number, part in enumerate(parts):
                with part.open("rb") as file:
                    header = _header_of(part)
                    file.seek(header if number else 0)
                    shutil.copyfileobj(file, joined, 1 << 22)


def _header_of(part: Path) -> int:
    """The length of the header of a CSV file, whose names may have line ends in quotes."""
    quoted, length = False, 0
    with part.open("rb") as file:
        while letter := file.read(1):
            length += 1
            quoted ^= letter == b'"'
            if letter == b"\n" and not quoted:
                break
    return length
