"""Raw rows to an encoded data set on Apache Beam: `prepare_on_cluster`, with a pipeline for each of its steps.

Beam provides machines, retries and metrics; rows, ids and splits are those of `prepare_encoded_dataset`.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.encoding.cluster_preparation import prepare_on_cluster
from dynctr_tf.encoding.row_writer import ROWS_PER_BLOCK
from dynctr_tf.encoding.worker_pool import WorkerLostError

_TRIES = 3


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

    When to use: as `prepare_on_cluster`, on a cluster that Beam knows. Install `dynctr_tf[beam]` here and there. A
    runner may repeat a shard whose worker fails. The `DirectRunner` with several processes would wait for ever for one
    that is killed: its pipeline is ended and begun again with the shards that are not finished, twice at the most.

    Args:
        source: The rows.
        directory: The directory to make.
        options: Options of the pipeline, such as `["--runner", "DirectRunner"]`.
        about: As in `write_encoded_dataset`. Default `None`.
        check: As in `write_encoded_dataset`. Default `None`.
        rows_per_block: As in `write_encoded_dataset`. Default 65536.

    Raises:
        ValueError: As `prepare_on_cluster`; Apache Beam is not installed.
        WorkerLostError: Processes of the `DirectRunner` that were killed again and again.
        Exception: What the runner raises where a worker fails for good.

    Cost: As `prepare_on_cluster`.
    """
    _beam()
    run = functools.partial(_run, options)
    for turn in range(_TRIES):
        try:
            prepare_on_cluster(source, directory, run, about=about, check=check, rows_per_block=rows_per_block)
            return
        except WorkerLostError as error:
            if turn == _TRIES - 1:
                raise
            print(f"{error} Going on with other processes from what has been done.", flush=True)


def _beam() -> Any:
    try:
        import apache_beam
    except ImportError as error:
        raise ValueError("Preparing rows with a runner needs Apache Beam: pip install 'dynctr_tf[beam]'.") from error
    return apache_beam


def _run(options: Sequence[str], function: Callable[[Any], int], tasks: Sequence[Any]) -> None:
    """Runs one pipeline: a function for each task; prints and counts the rows where the tasks have some."""
    beam = _beam()
    metric = f"{_name_of(function)}_rows"

    class Work(beam.DoFn):  # type: ignore[misc, name-defined]
        """Calls the function."""

        def __init__(self) -> None:
            super().__init__()
            self._rows = beam.metrics.Metrics.counter("dynctr_tf", metric)

        def process(self, task: Any) -> Iterator[int]:
            rows = function(task)
            self._rows.inc(rows)
            yield rows

    given = beam.options.pipeline_options.PipelineOptions(list(options), save_main_session=False)
    with _ended_when_a_process_is_lost(), beam.Pipeline(options=given) as pipeline:
        _ = pipeline | beam.Create(list(tasks)) | beam.Reshuffle() | beam.ParDo(Work())
    counters = pipeline.result.metrics().query(beam.metrics.MetricsFilter().with_name(metric))["counters"]
    rows = sum(counter.result for counter in counters)
    if rows:
        print(f"{metric}: {rows:,} in {len(tasks):,} shards", flush=True)


def _name_of(function: Any) -> str:
    """The name of the step that a function of `prepare_on_cluster` does."""
    while isinstance(function, functools.partial):
        function = function.keywords.get("function", function.func)
    return str(function.__name__)


@contextlib.contextmanager
def _ended_when_a_process_is_lost() -> Iterator[None]:
    """Ends the wait for the pipeline when a thread of the `DirectRunner` reports that the process it started has ended.

    The runner only prints that, and waits for ever. Nothing is done where this is not the main thread, the one that a
    signal can wake.

    Raises:
        WorkerLostError: That was so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    lost: list[str] = []
    usual_hook = threading.excepthook
    usual_handler = signal.getsignal(signal.SIGINT) or signal.SIG_DFL

    def noted(failure: threading.ExceptHookArgs) -> None:
        if "Worker subprocess exited" not in str(failure.exc_value):
            usual_hook(failure)
        elif not lost:
            lost.append(str(failure.exc_value))
            # A signal that really arrives: _thread.interrupt_main leaves a thread asleep that waits for a lock.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def interrupted(number: int, frame: FrameType | None) -> None:
        if lost:
            raise WorkerLostError(
                f"A process of the DirectRunner that prepares rows was lost: {lost[0]}. 137 mostly means that the "
                "machine had no memory left: take fewer with --direct_num_workers."
            )
        if callable(usual_handler):
            usual_handler(number, frame)
        elif usual_handler is signal.SIG_DFL:
            raise KeyboardInterrupt

    # Also where the process ignores SIGINT, as one that a script starts in the background does.
    signal.signal(signal.SIGINT, interrupted)
    threading.excepthook = noted
    try:
        yield
    finally:
        threading.excepthook = usual_hook
        signal.signal(signal.SIGINT, usual_handler)
