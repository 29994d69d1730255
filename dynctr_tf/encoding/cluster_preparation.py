"""Raw rows to an encoded data set on the machines of a cluster, with the functions that the processes of one run.

Three steps: count the shards, add the counts up bucket by bucket, encode the shards. Each is a function of a task; what
it finds goes into files, in a folder that all machines see, and never through the cluster as single rows.
"""

from __future__ import annotations

import functools
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.row_pieces import Findings, Piece
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import make_folder, read_array, read_json, write_array, write_json
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.kept_work import KeptWork
from dynctr_tf.encoding.row_writer import (
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

RunTasks = Callable[[Callable[[Any], int], Sequence[Any]], object]
"""Calls a function on each of some tasks, on any machine and in any order, and returns when all are done."""

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
        begin_counting(CountTask(source, shard.folder, MEMORY))
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
    batches = list(encoded.batches())
    width = batches[0][0].shape[1] if batches else 0
    rows = np.concatenate([np.empty((0, width), np.int32), *(rows for rows, _ in batches)])
    write_array(folder / f"rows-{shard.number}.npy", rows)
    write_array(folder / f"splits-{shard.number}.npy", np.concatenate([np.empty(0, np.int8), *encoded.splits]))
    write_json(folder / f"encoded-{shard.number}.json", {"found": plain_findings(encoded.found)})
    return encoded.found.rows


def merge_counts(numbered: tuple[int, Any], function: Callable[[Any], Any], name: str) -> int:
    """Adds up or sorts counts, and writes what comes out as JSON; returns 0, because it reads no rows."""
    number, task = numbered
    result = [list(part) if isinstance(part, tuple) else part for part in function(task)]
    write_json(f"{name}-{number}.json", {"result": result})
    return 0


def _kept_error(numbered: tuple[int, Any], function: Callable[[Any], int], errors: str) -> int:
    """Calls a function; an error of the rows, which would come at every try, goes into a file and not to the runner."""
    number, task = numbered
    try:
        return function(task)
    except ValueError as error:
        bad_row = error.given if isinstance(error, BadRowError) else None
        write_json(make_folder(errors) / f"{number}.json", {"message": str(error), "bad_row": bad_row})
        return 0


def prepare_on_cluster(
    source: TabularFile,
    directory: str | Path,
    run: RunTasks,
    *,
    about: Mapping[str, Any] | None = None,
    check: Callable[[], None] | None = None,
    rows_per_block: int = ROWS_PER_BLOCK,
) -> None:
    """Fits an encoder and encodes all rows on the machines of a cluster.

    When to use: rows of many files, or of a large Parquet file, and a cluster that can call a function on tasks, such
    as Spark; for Apache Beam use `prepare_on_beam`. The result is that of `prepare_encoded_dataset`, to the last bit. A
    shard is a file of text, or groups of rows of a Parquet file. The folder of the result is one that this machine and
    all others see under the same path, such as a mounted bucket; so are the rows, unless they are at a URI. This
    library is installed on all of them. What has been done is kept beside the folder, in `.NAME.preparing`: the same
    call goes on at the first shard that is not finished, also after a worker was lost.

    Args:
        source: The rows.
        directory: The directory to make.
        run: Gets a function and a list of tasks, which can be pickled. It calls the function on each task, on any
            machine and in any order, and returns when all are done; it may call it twice on a task. What the function
            returns, how many rows it has read, is not needed.
        about: As in `write_encoded_dataset`. Default `None`.
        check: As in `write_encoded_dataset`. Default `None`.
        rows_per_block: As in `write_encoded_dataset`. Default 65536.

    Raises:
        ValueError: As `prepare_encoded_dataset`.
        BusyError: Another process makes the same directory.
        Exception: What `run` raises.

    Cost:
        The cluster moves a name of a file for each shard, vocabulary and bucket. This process merges the sorted
        vocabularies and joins the encoded shards, in the memory of one shard. A worker holds one shard of encoded rows.
    """
    directory = Path(directory)
    check_wanted(directory, rows_per_block)
    check_first_split(source)
    kept = KeptWork(source, directory.absolute(), "cluster", rows_per_block)
    with kept.alone():
        kept.open()
        if not kept.finished:
            shards = [_Shard(number, piece, str(kept.folder)) for number, piece in enumerate(source.shards())]
            if not kept.fitted:
                _fit(source, shards, kept.folder, run).save(kept.encoder)
            _encode(source, shards, kept, run, about, rows_per_block)
        if check is not None:
            check()
        kept.put_in_place()


def _run(run: RunTasks, function: Callable[[Any], int], tasks: Sequence[Any], folder: Path) -> None:
    """Has a function called on all tasks, and raises the error of the first that had one."""
    if not tasks:
        return
    errors = folder / f"errors-{secrets.token_hex(4)}"
    run(functools.partial(_kept_error, function=function, errors=str(errors)), list(enumerate(tasks)))
    if errors.exists():
        first = read_json(min(errors.iterdir(), key=lambda path: int(path.stem)))
        raise ValueError(first["message"]) if first["bad_row"] is None else BadRowError(*first["bad_row"])


def _open(shards: Sequence[_Shard], done: str) -> list[_Shard]:
    """The shards whose result is not there yet."""
    return [shard for shard in shards if not (Path(shard.folder) / f"{done}-{shard.number}.json").exists()]


def _fit(source: TabularFile, shards: Sequence[_Shard], folder: Path, run: RunTasks) -> Encoder:
    """Counts the shards, and makes the encoder of the counts."""
    _run(run, functools.partial(count_shard, source=source), _open(shards, "counted"), folder)
    total = CountTotal(source)
    for shard in shards:
        total.add(counts_of(_result(folder, f"counted-{shard.number}"), folder))

    def mapper(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        given, name = list(tasks), f"result-{secrets.token_hex(4)}"
        if len(given) == 1:  # little: sooner done here than sent
            yield function(given[0])
            return
        merge = functools.partial(merge_counts, function=function, name=str(folder / name))
        _run(run, merge, list(enumerate(given)), folder)
        for number in range(len(given)):
            answer = _result(folder, f"{name}-{number}")["result"]
            yield (answer[0], answer[1], ValueForms(*answer[2])) if function is add_bucket else tuple(answer)

    return total.encoder(folder, mapper)


def _encode(
    source: TabularFile,
    shards: Sequence[_Shard],
    kept: KeptWork,
    run: RunTasks,
    about: Mapping[str, Any] | None,
    rows_per_block: int,
) -> None:
    """Encodes the shards, and joins them."""
    encoder = Encoder.load(kept.encoder)
    todo = _open(shards, "encoded")
    if todo:
        indices = encoder.write_large_indices(kept.folder)
        task = EncodeTask(source, str(kept.encoder), indices, str(kept.folder))
        encode = functools.partial(encode_shard, task=task, preparation=secrets.token_hex(8))
        _run(run, encode, todo, kept.folder)
    shutil.rmtree(kept.rows)
    writers, found = block_writers(source, encoder, make_folder(kept.rows), rows_per_block), Findings()
    for shard in shards:
        found.add(findings_of(_result(kept.folder, f"encoded-{shard.number}")["found"]))
        own, splits = (read_array(kept.folder / f"{name}-{shard.number}.npy") for name in ("rows", "splits"))
        if len(splits):
            put_into_splits(own, splits, writers, source.split_names)
    source.finish(found)
    write_index(source, encoder, kept.rows, writers, about, rows_per_block)


def _result(folder: Path, name: str) -> dict[str, Any]:
    """Reads what a worker wrote."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise ValueError(
            f"A worker has written {path}, and it is not here. Give a directory that this machine and all workers see "
            "under one path."
        )
    return read_json(path)
