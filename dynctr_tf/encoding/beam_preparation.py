"""Raw rows to an encoded data set on Apache Beam, with the functions that the processes of one machine run.

Three pipelines: count the shards, add the counts up bucket by bucket, encode the shards. They pass names of files, in a
folder that all workers and this process see, and never single rows. Beam provides machines, retries and metrics; rows,
ids and splits are those of `prepare_encoded_dataset`.
"""

from __future__ import annotations

import pickle
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynctr_tf.datasets.tabular_file import Findings, Piece, TabularFile
from dynctr_tf.durable_files import (
    make_folder,
    new_folder,
    read_array,
    read_json,
    remove_abandoned,
    write_array,
    write_bytes,
    write_json,
)
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.row_writer import (
    ENCODER,
    ROWS_PER_BLOCK,
    block_writers,
    check_wanted,
    put_into_splits,
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
from dynctr_tf.encoding.spilled_counts import add_bucket
from dynctr_tf.encoding.value_text import ValueForms
from dynctr_tf.encoding.vocabulary import MEMORY, check_first_split
from dynctr_tf.encoding.worker_pool import sendable

# The preparation for which this process has begun to encode; workers may live longer than one.
_BEGUN: dict[str, str] = {}
# Runners call from several threads, and what a process keeps between its tasks is kept once.
_ALONE = threading.Lock()


class _Shard(NamedTuple):
    """A piece of the rows, its number, and the folder of its result."""

    number: int
    piece: Piece
    folder: str


def count_shard(shard: _Shard, source: TabularFile) -> int:
    """Counts a shard, writes the counts and the other findings, and returns how many usable rows it has."""
    with _ALONE:
        begin_counting(CountTask(source, shard.folder, MEMORY // 8))
        rows = count_piece(shard.piece)
        counted = take_counts()
    folder = Path(shard.folder)
    write_json(folder / f"counted-{shard.number}.json", saved_counts(counted, str(shard.number), folder))
    return rows


def encode_shard(shard: _Shard, task: EncodeTask, preparation: str) -> int:
    """Encodes a shard into files, and returns how many usable rows it has."""
    with _ALONE:
        if _BEGUN.get("preparation") != preparation:
            begin_encoding(task)
            _BEGUN["preparation"] = preparation
        encoded = encode_piece(shard.piece)
    folder = Path(shard.folder)
    width = encoded.rows[0].shape[1] if encoded.rows else 0
    rows = np.concatenate([np.empty((0, width), np.int32), *encoded.rows])
    write_array(folder / f"rows-{shard.number}.npy", rows)
    write_array(folder / f"splits-{shard.number}.npy", np.concatenate([np.empty(0, np.int8), *encoded.splits]))
    write_json(folder / f"encoded-{shard.number}.json", {"found": plain_findings(encoded.found)})
    return encoded.found.rows


def _call(numbered: tuple[int, Any], function: Callable[[Any], Any], name: str) -> int:
    """Calls a function and writes its result as JSON."""
    number, task = numbered
    result = [list(part) if isinstance(part, tuple) else part for part in function(task)]
    write_json(f"{name}-{number}.json", {"result": result})
    return 0


def prepare_on_beam(
    source: TabularFile,
    directory: str | Path,
    options: Sequence[str],
    *,
    about: Mapping[str, Any] | None = None,
    check: Callable[[], None] | None = None,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> None:
    """Fits an encoder and encodes all rows on a runner of Apache Beam.

    When to use: rows of many files, or of a large Parquet file, and a cluster that Beam knows. A shard is a file of
    text, or groups of rows of a Parquet file. The folder of the result is one that all workers see under the same
    path, such as a mounted bucket; so are the rows, unless they are at a URI. Install `dynctr_tf[beam]` here and there.
    The runner may repeat a shard whose worker fails; the `DirectRunner` with several processes waits for ever for a
    killed one. A preparation that was stopped begins anew.

    Args:
        source: The rows.
        directory: The directory to make.
        options: Options of the pipeline, such as `["--runner", "DirectRunner"]`.
        about: As in `write_encoded_dataset`. Default `None`.
        check: As in `write_encoded_dataset`. Default `None`.
        rows_per_block: As in `write_encoded_dataset`. Default 65536.

    Raises:
        ValueError: As `prepare_encoded_dataset`; Apache Beam is not installed.
        Exception: What the runner raises where a worker fails for good.

    Cost:
        The shuffle is one name of a file for each shard, vocabulary and bucket. This process sorts the vocabularies and
        joins the encoded shards, in the memory of one shard. A worker holds the encoded rows of one shard.
    """
    _beam()
    directory = Path(directory)
    check_wanted(directory, rows_per_block)
    check_first_split(source)
    make_folder(directory.parent)
    remove_abandoned(directory.parent)
    try:
        with new_folder(directory) as rows:
            work = make_folder(rows.resolve() / "work")
            shards = [_Shard(number, piece, str(work)) for number, piece in enumerate(source.shards())]
            _fit(source, shards, work, options).save(rows / ENCODER)
            encoder = Encoder.load(rows / ENCODER)
            task = EncodeTask(source, str(rows.resolve() / ENCODER), {})
            _run(options, shards, work, encode_shard, task, secrets.token_hex(8))
            writers, found = block_writers(source, encoder, rows, rows_per_block), Findings()
            for shard in shards:
                found.add(findings_of(_result(work, f"encoded-{shard.number}")["found"]))
                own, splits = (read_array(work / f"{name}-{shard.number}.npy") for name in ("rows", "splits"))
                if len(splits):
                    put_into_splits(own, splits, writers, source.split_names)
            source.finish(found)
            write_index(source, encoder, rows, writers, about, rows_per_block)
            shutil.rmtree(work)
            if check is not None:
                check()
    except FileExistsError as error:
        raise ValueError(f"Another process has made {directory} meanwhile; open it.") from error


def _fit(source: TabularFile, shards: Sequence[_Shard], work: Path, options: Sequence[str]) -> Encoder:
    """Counts the shards, and makes the encoder of the counts."""
    _run(options, shards, work, count_shard, source)
    total = CountTotal(source)
    for shard in shards:
        total.add(counts_of(_result(work, f"counted-{shard.number}"), work))

    def mapper(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        given, name = list(tasks), f"result-{secrets.token_hex(4)}"
        _run(options, list(enumerate(given)), work, _call, function, str(work / name))
        for number in range(len(given)):
            answer = _result(work, f"{name}-{number}")["result"]
            yield (answer[0], answer[1], ValueForms(*answer[2])) if function is add_bucket else tuple(answer)

    return total.encoder(work, mapper)


def _result(work: Path, name: str) -> dict[str, Any]:
    """Reads what a worker wrote."""
    path = work / f"{name}.json"
    if not path.exists():
        raise ValueError(
            f"A worker has written {path}, and it is not here. Give a directory that this machine and all workers see "
            "under one path."
        )
    return read_json(path)


def _beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        raise ValueError("Preparing rows with a runner needs Apache Beam: pip install 'dynctr_tf[beam]'.") from error
    return apache_beam


def _run(options: Sequence[str], tasks: Sequence[Any], work: Path, function: Callable[..., int], *more: Any) -> None:
    """Runs one pipeline: a function for each task; prints and counts the rows where the tasks have some.

    An error of the rows would come at every try: the worker writes it into a file, and this process raises it.
    """
    beam = _beam()
    metric, errors = f"{function.__name__}_rows", work / f"errors-{secrets.token_hex(4)}"

    class Work(beam.DoFn):  # type: ignore[misc, name-defined]
        """Calls the function."""

        def __init__(self) -> None:
            super().__init__()
            self._rows = beam.metrics.Metrics.counter("dynctr_tf", metric)

        def process(self, numbered: tuple[int, Any]) -> Iterator[int]:
            number, task = numbered
            try:
                rows = function(task, *more)
            except ValueError as error:
                write_bytes(make_folder(errors) / str(number), pickle.dumps(sendable(error)))
                rows = 0
            self._rows.inc(rows)
            yield rows

    given = beam.options.pipeline_options.PipelineOptions(list(options), save_main_session=False)
    with beam.Pipeline(options=given) as pipeline:
        _ = pipeline | beam.Create(list(enumerate(tasks))) | beam.Reshuffle() | beam.ParDo(Work())
    if errors.exists():
        raise pickle.loads(min(errors.iterdir(), key=lambda path: int(path.name)).read_bytes())
    counters = pipeline.result.metrics().query(beam.metrics.MetricsFilter().with_name(metric))["counters"]
    rows = sum(counter.result for counter in counters)
    if rows:
        print(f"{metric}: {rows:,} in {len(tasks):,} shards", flush=True)
